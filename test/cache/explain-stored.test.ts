// The sums behind an answer, put into words: they are those of the rules, for each way a lifetime can come about.

import { expect, it } from 'vitest'
import { type CachePolicy, defaultPolicy, explainStored, noRefreshOptions, RefreshPatterns, reuse } from '../../src/cache/index.ts'
import { seconds } from '../../src/base/index.ts'
import { at, type Case, dateAt, factsOf, storedOf } from './kit.ts'

const pattern = (options = {}): CachePolicy => ({
  ...defaultPolicy,
  refresh: new RefreshPatterns([
    { regex: /./, min: seconds(600), percent: 50, max: seconds(36_000), options: { ...noRefreshOptions, ...options }, text: 'a.conf:7: refresh_pattern . 10 50% 600' },
  ]),
})

it.each<[string, Case, CachePolicy, number, number, string[]]>([
  ['max-age', { response: ['Cache-Control: max-age=100', 'Age: 30'] }, defaultPolicy, 50, 100, [
    'age = 80 s: it was 30 s old (by Date, Age, or the time it took) when it came, and has been here for 50 s',
    'lifetime = 100 s: Cache-Control: max-age',
    'fresh for 20 s more',
    'may be used stale for 604800 s (7 days) at most (max_stale)',
    'it has no validator: the origin would have to send it anew',
  ]],
  ['s-maxage, stale', { response: ['Cache-Control: s-maxage=10', 'ETag: "1"'] }, defaultPolicy, 50, 10, [
    'age = 50 s: it was new when it came, and has been here for 50 s',
    'lifetime = 10 s: Cache-Control: s-maxage',
    'stale for 40 s',
    'must-revalidate, proxy-revalidate or s-maxage: never used stale',
    'it has a validator: the origin can say 304',
  ]],
  ['a share of the time since Last-Modified', { response: [`Last-Modified: ${dateAt(-10_000)}`] }, pattern(), 100, 5000, [
    'age = 100 s: it was new when it came, and has been here for 100 s',
    'lifetime = 5000 s: 50 % of the 10000 s (2.8 h) since Last-Modified, at most 36000 s (10 h) (a.conf:7: refresh_pattern . 10 50% 600)',
    'fresh for 4900 s more',
    'may be used stale for 604800 s (7 days) at most (max_stale)',
    'it has a validator: the origin can say 304',
  ]],
  ['the minimum', { response: [] }, pattern(), 0, 600, [
    'age = 0 s: it was new when it came, and has been here for 0 s',
    'lifetime = 600 s: nothing is known of it, so the minimum (a.conf:7: refresh_pattern . 10 50% 600)',
    'fresh for 600 s more',
    'may be used stale for 604800 s (7 days) at most (max_stale)',
    'it has no validator: the origin would have to send it anew',
  ]],
  ['override-expire', { response: ['Cache-Control: max-age=60, immutable, stale-if-error=5'] }, pattern({ overrideExpire: true, maxStale: seconds(1000) }), 100, 60, [
    'age = 100 s: it was new when it came, and has been here for 100 s',
    'lifetime = 60 s: Cache-Control: max-age',
    'stale for 40 s',
    `its refresh_pattern stretches that by 540 s, until ${new Date(at(600)).toISOString()}`,
    'may be used stale for 5 s when the origin fails (stale-if-error)',
    'may be used stale for 1000 s at most (max_stale)',
    'immutable: while it is fresh a reload does not validate it',
    'it has no validator: the origin would have to send it anew',
  ]],
  ['no-cache', { response: ['Cache-Control: no-cache', 'ETag: "1"'] }, defaultPolicy, 1, 0, [
    'age = 1 s: it was new when it came, and has been here for 1 s',
    'lifetime = 0 s: nothing is known of it, so the minimum (no refresh_pattern matches: 0 20% 4320)',
    'stale for 1 s',
    'no-cache (or private, and stored by its refresh_pattern): validated at each use',
    'it has a validator: the origin can say 304',
  ]],
])('%s', (_what, c, policy, later, lifetime, sums) => {
  const stored = storedOf(c, policy)
  const explained = explainStored(stored, null, policy, at(later))
  expect(explained.sums).toEqual(sums)
  expect(explained.lifetimeSeconds).toBe(lifetime)
  expect(explained.reuse.reason).toBe(reuse(stored, null, policy, at(later)).reason)
})

it('what the request says counts', () => {
  const stored = storedOf({ response: ['Cache-Control: max-age=100'] })
  expect(explainStored(stored, factsOf('Cache-Control: max-age=5'), defaultPolicy, at(10)).reuse).toEqual({
    kind: 'validate', reason: 'client-max-age', doc: 'older than the max-age of the request',
  })
})
