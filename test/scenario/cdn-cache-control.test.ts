// cdn_cache_control: on accel ports CDN-Cache-Control alone decides where it can be read; elsewhere it is a field like
// others.

import { expect, it } from 'vitest'
import { get, site, stage, stageOf, type Stage } from './scene.ts'

const accel = (port: number, conf: string): Promise<Stage> =>
  stageOf(`http_port 127.0.0.1:0 accel name=web defaultsite=127.0.0.1:${port} vport=${port} allow-direct\nhttp_access allow all\n${conf}`)

const originForm = `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`

const cases: [string, string[], number, boolean][] = [
  ['longer than Cache-Control', ['Cache-Control: max-age=1', 'CDN-Cache-Control: max-age=100'], 50, true],
  ['shorter', ['Cache-Control: max-age=100', 'CDN-Cache-Control: max-age=1'], 50, false],
  ['no-store', ['Cache-Control: max-age=100', 'CDN-Cache-Control: no-store'], 1, false],
  ['stored in spite of no-store', ['Cache-Control: no-store', 'CDN-Cache-Control: max-age=100'], 50, true],
  ['stored in spite of private', ['Cache-Control: private', 'CDN-Cache-Control: max-age=100'], 50, true],
  ['Expires does not count beside it', [`Expires: ${new Date(4e12).toUTCString()}`, 'CDN-Cache-Control: max-age=1'], 50, false],
  ['Expires does not count beside it, though it says no time', [`Expires: ${new Date(4e12).toUTCString()}`, 'CDN-Cache-Control: must-revalidate'], 1, false],
  ['one that cannot be read is none', ['Cache-Control: max-age=100', 'CDN-Cache-Control: no-store, &&&'], 50, true],
  ['one of the wrong type is none', ['Cache-Control: no-store', 'CDN-Cache-Control: max-age="100"'], 1, false],
]

it.each(cases)('%s', async (_what, fields, later, hit) => {
  const web = await site(() => ({ fields }))
  const proxy = await accel(web.port, 'cdn_cache_control on\n')
  const first = await proxy.ask(originForm)
  expect(first.fields.get('cdn-cache-control')).toBe(fields.find(line => line.startsWith('CDN'))?.slice(19))
  proxy.clock.advance(later * 1000)
  const second = await proxy.ask(originForm)
  expect([/; hit/.test(second.fields.get('cache-status') ?? ''), web.requests.length]).toEqual([hit, hit ? 1 : 2])
})

it('a 304 brings it up to date', async () => {
  const web = await site(r => (r.headers['if-none-match'] === undefined ? { fields: ['ETag: "1"', 'CDN-Cache-Control: max-age=1'] } : { status: 304, fields: ['ETag: "1"', 'Cache-Control: no-store', 'CDN-Cache-Control: max-age=100'] }))
  const proxy = await accel(web.port, 'cdn_cache_control on\n')
  await proxy.ask(originForm)
  proxy.clock.advance(5000)
  await proxy.ask(originForm)
  proxy.clock.advance(50_000)
  expect((await proxy.ask(originForm)).fields.get('cache-status')).toContain('; hit')
  expect(web.requests).toHaveLength(2)
})

it('counts for nothing where it is off, and on ports that do not accelerate', async () => {
  const web = await site(() => ({ fields: ['Cache-Control: no-store', 'CDN-Cache-Control: max-age=100'] }))
  const off = await accel(web.port, '')
  for (let i = 0; i < 2; i++) await off.ask(originForm)
  const forward = await stage('cdn_cache_control on\n')
  for (let i = 0; i < 2; i++) await forward.ask(get(web.port))
  expect(web.requests).toHaveLength(4)
})
