import { FakeClock } from '../support/fake-clock.ts'
import { startProxy } from '../support/proxy.ts'

// A whole proxy on a clock that its parent moves, until the parent leaves. Its argument is a conf.

const [, , conf = ''] = process.argv
const clock = new FakeClock()
const proxy = await startProxy(conf, 'auto', clock, () => {})
// a second begins where the replay's does
clock.advance(1000 - (clock.wall() % 1000))
process.on('message', (told: { advanceMs: number }) => {
  clock.advance(told.advanceMs)
  process.send?.('moved')
})
process.once('disconnect', () => {
  void proxy.stop().then(() => process.exit(0))
})
process.send?.({ port: proxy.port('web'), epochMs: clock.wall() })
