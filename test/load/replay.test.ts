// A slice of the day's replay (npm run replay): a made-up web, real sockets, a proxy in a process of its own on a clock
// that is moved. Contract: no answer is wrong by an oracle that knows nothing of the proxy, and the cache answers as
// often by itself as a faultless one of its size would. That the oracle sees what is wrong is shown beside it.

import { expect, test } from 'vitest'
import { type Answer, type Seen, wrong } from '../replay/oracle.ts'
import { dayProxy } from '../replay/proxy.ts'
import { replay } from '../replay/replay.ts'
import type { Asked } from '../replay/trace.ts'
import { beganAt, contentOf, epochAt, illness, thing, type Thing, type World } from '../replay/world.ts'

test('a slice of a day: every byte is one the origin permitted, and as many hits as there can be', { timeout: 120_000 }, async () => {
  const requests = 20_000
  const report = await replay(dayProxy(), { seed: 7, requests, objects: 3000, atOnce: 16, cacheMib: 16 }, () => {})
  expect(report.wrong).toEqual([])
  expect(report.wrongCount).toBe(0)
  expect(report.hits).toBeGreaterThan(requests / 4)
  expect(Math.abs(report.hits - report.idealHits)).toBeLessThan(requests / 100)
  // what a day is made of has come to pass
  for (const status of ['200', '204', '301', '304', '404', '503']) expect(report.byStatus[status], status).toBeGreaterThan(0)
})

const world: World = { seed: 7, objects: 3000, day: 86_400 }
const asked: Asked = { object: 0, method: 'GET', coding: 'gzip', language: 'en', reload: false, conditional: false }
/** A page whose origin is well all around that second, in the last second of a version. */
const find = (): { of: Thing; at: number } => {
  for (let id = 0; id < world.objects; id++) {
    const of = thing(world, id)
    const at = beganAt(of, epochAt(of, 40_000) + 1) - 1
    const quiet = [-1000, -500, 0, 500, 1000].every(by => illness(world, of, at + by) === 'well')
    if (of.kind === 'page' && of.vary === 'nothing' && of.etag && of.bytes > 0 && of.lifetime < of.period && quiet) return { of, at }
  }
  throw new Error('the world has no such page')
}

const { of, at } = find()
const version = `${epochAt(of, at)}.0`
const right: Answer = {
  status: 200,
  version,
  variant: '',
  etag: `"${of.id}-${version}-"`,
  contentLength: of.bytes,
  age: 0,
  content: contentOf(of, '', version),
  complete: true,
}
const seen: Seen = { from: at, to: at, slack: 0, changesBefore: 0, changesAfter: 0, condition: undefined }

test('the oracle lets pass what is right', () => {
  expect(wrong(world, of, asked, right, seen)).toBe(null)
  // the last moment a copy of its last second may be used
  expect(wrong(world, of, asked, right, { ...seen, from: at + 1 + of.lifetime, to: at + 1 + of.lifetime })).toBe(null)
})

const flipped = Buffer.from(right.content)
flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 1

test.each<readonly [string, Partial<Answer>, Partial<Seen>, Partial<Asked>]>([
  ['one bit of the content', { content: flipped }, {}, {}],
  ['the last byte missing', { content: right.content.subarray(1) }, {}, {}],
  ['a response that has been too old for a second', {}, { from: at + 2 + of.lifetime, to: at + 2 + of.lifetime }, {}],
  ['a version that was changed by an unsafe request', {}, { changesBefore: 1, changesAfter: 1 }, {}],
  ['an old version to a reload', {}, { from: at + 2, to: at + 2 }, { reload: true }],
  ['a version of the future', {}, { from: at - of.period, to: at - of.period }, {}],
  ['the ETag of another version', { etag: `"${of.id}-0.0-"` }, {}, {}],
  ['a 304 nobody asked for', { status: 304, content: Buffer.alloc(0) }, {}, {}],
  ['a 503 of a healthy origin', { status: 503, content: Buffer.alloc(0) }, {}, {}],
  ['a healthy response broken off', { complete: false }, {}, {}],
  ['another status', { status: 404 }, {}, {}],
  ['content in an answer to HEAD', {}, {}, { method: 'HEAD' }],
])('the oracle sees %s', (_what, answer, around, question) => {
  expect(wrong(world, of, { ...asked, ...question }, { ...right, ...answer }, { ...seen, ...around })).not.toBe(null)
})
