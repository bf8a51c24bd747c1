// What systemd is told, and how often.

import { expect, it } from 'vitest'
import { ms } from '../../src/base/index.ts'
import { takeServiceManager } from '../../src/cli/service-manager.ts'
import { FakeClock } from '../support/fake-clock.ts'

const told = (env: Record<string, string | undefined>) => {
  const clock = new FakeClock()
  const sent: string[] = []
  return { clock, sent, systemd: takeServiceManager(env, clock, (socket, text) => void sent.push(`${socket} ${text}`)), env }
}

it('ready, reloading with its time, ready again, stopping; nobody who is started inherits the socket', () => {
  const { systemd, sent, env } = told({ NOTIFY_SOCKET: '@x', PATH: '/bin' })
  systemd.ready('forward [::]:80')
  systemd.reloading()
  systemd.ready('again\nno second line')
  systemd.stopping()
  expect(sent.map(text => text.replace(/\d{4,}/, 'TIME'))).toEqual([
    '@x READY=1\nSTATUS=forward [::]:80', '@x RELOADING=1\nMONOTONIC_USEC=TIME', '@x READY=1\nSTATUS=again no second line', '@x STOPPING=1',
  ])
  expect(env).toEqual({ PATH: '/bin' })
})

it('lives twice as often as asked, once it is ready, and only if it is meant', () => {
  const one = told({ NOTIFY_SOCKET: '/s', WATCHDOG_USEC: '10000000', WATCHDOG_PID: String(process.pid) })
  one.clock.advance(ms(20_000))
  expect(one.sent).toEqual([])
  one.systemd.ready('')
  one.clock.advance(ms(20_000))
  one.systemd.ready('')
  expect(one.sent.filter(text => text === '/s WATCHDOG=1')).toHaveLength(5)
  const other = told({ NOTIFY_SOCKET: '/s', WATCHDOG_USEC: '10000000', WATCHDOG_PID: '1' })
  other.systemd.ready('')
  other.clock.advance(ms(20_000))
  expect(other.sent).toHaveLength(1)
})

it('without systemd nothing is sent', () => {
  const { systemd, sent } = told({ WATCHDOG_USEC: '1000' })
  systemd.ready('')
  systemd.stopping()
  expect(sent).toEqual([])
})
