// Contract: when the clock on the wall is set by hours, forward or back, connections and timeouts do not notice; no age is
// negative; what was stored before is neither believed for hours too long nor forgotten; rates of the manager stay rates;
// and cache.log says what happened. Times that are waited for pass by the other clock.

import { expect, it } from 'vitest'
import { get, site, stage, until } from './scene.ts'

const hour = 3_600_000
/** A look at the clock is taken at least so often. */
const looked = 10_000

const fields = ['Cache-Control: max-age=60', 'ETag: "a"']

it('set back: stored responses are validated at their next use, and then are what they were', async () => {
  const proxy = await stage()
  const server = await site((_, nth) => (nth === 0 ? { fields, content: 'one' } : { status: 304, fields }))
  const ask = () => proxy.ask(get(server.port))
  await ask()
  proxy.clock.advance(20_000)
  expect((await ask()).fields.joined('age')).toBe('20')
  proxy.clock.set(-6 * hour)
  // before anybody has looked: an age all the same
  expect((await ask()).fields.joined('age')).toBe('0')
  proxy.clock.advance(looked)
  expect((await ask()).body).toBe('one')
  expect(server.requests).toHaveLength(2)
  expect(server.field(1, 'if-none-match')).toBe('"a"')
  proxy.clock.advance(30_000)
  expect((await ask()).fields.joined('age')).toBe('30')
  proxy.clock.advance(31_000)
  await ask()
  expect(server.requests).toHaveLength(3)
  expect(await proxy.results(6)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MEM_HIT/200', 'TCP_REFRESH_UNMODIFIED/200', 'TCP_MEM_HIT/200', 'TCP_REFRESH_UNMODIFIED/200'])
  expect(proxy.said.filter(text => text.includes('clock'))).toEqual([expect.stringMatching(/^WARNING: the clock was set back by [56] h/)])
  expect(proxy.records.every(({ startedMono, endedMono }) => endedMono >= startedMono)).toBe(true)
})

it('set forward and back again: nothing is used for longer than it may be, and what is not yet old is used again', async () => {
  const proxy = await stage()
  const server = await site((_, nth) => ({ fields: ['Cache-Control: max-age=60'], content: `answer ${nth}` }))
  const ask = async (path: string) => (await proxy.ask(get(server.port, path))).body
  expect(await ask('/old')).toBe('answer 0')
  proxy.clock.set(3 * hour)
  expect(await ask('/old')).toBe('answer 1') // three hours old, as far as anybody can know
  expect(await ask('/new')).toBe('answer 2')
  proxy.clock.advance(looked)
  proxy.clock.set(-3 * hour)
  proxy.clock.advance(looked)
  expect(await ask('/new')).toBe('answer 3')
  proxy.clock.advance(30_000)
  expect(await ask('/new')).toBe('answer 3')
  expect(proxy.said.filter(text => text.includes('clock'))).toEqual([
    expect.stringMatching(/^WARNING: the clock went ahead by 3 h 0 min 0 s: it was set, or the machine has slept/),
    expect.stringMatching(/^WARNING: the clock was set back by 3 h 0 min 0 s/),
  ])
})

it.each([8 * hour, -8 * hour])('by %i ms: connections stay and end when their time has passed, not before', async by => {
  const proxy = await stage('client_idle_pconn_timeout 60 seconds\n')
  const server = await site(() => ({ fields, content: 'x' }))
  const wire = await proxy.client()
  expect((await wire.send(get(server.port)).response()).status).toBe(200)
  proxy.clock.set(by)
  proxy.clock.advance(50_000)
  expect((await wire.send(get(server.port)).response()).status).toBe(200)
  proxy.clock.set(-by)
  proxy.clock.advance(55_000)
  expect(proxy.machine.sessions).toBe(1)
  proxy.clock.advance(6_000)
  await until(() => proxy.machine.sessions === 0, 'the end of the idle connection')
  expect(await wire.closed()).toBe('')
})

it.each([5 * hour, -5 * hour])('by %i ms: averages are over five minutes, and time since the start goes on', async by => {
  const proxy = await stage()
  const server = await site(() => ({ fields: ['Cache-Control: no-store'], content: 'x' }))
  proxy.clock.advance(600_000)
  proxy.clock.set(by)
  const wire = await proxy.client()
  for (let i = 0; i < 30; i++) await wire.send(get(server.port)).response()
  proxy.clock.advance(60_000)
  const text = async (name: string) => {
    const answer = await proxy.machine.manager.find(name)?.render(new URLSearchParams())
    return answer?.ok === true ? answer.text() : ''
  }
  expect(await text('5min')).toMatch(/^client_http\.requests = 0\.100000\/sec$/m)
  expect(await text('5min')).toMatch(/^wall_time = 300\.000000 seconds$/m)
  expect(await text('counters')).toMatch(/^wall_time = 660\.000000$/m)
  expect(await text('info')).toMatch(/UP Time:\t660\.000 seconds/)
})
