import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type DurationMs, wallMs } from '../../src/base/index.ts'
import { type CacheKey, freshnessSources, type FreshnessSource } from '../../src/cache/index.ts'
import type { StoredFacts } from '../../src/cache/stored-response.ts'
import { decodeRecord, encodeRecord, keyOfRecord, tagsOfRecord } from '../../src/cache/store/disk/record.ts'

// A stored response as bytes: what comes back is what went in, and any change of any byte is noticed.

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map(code => String.fromCharCode(code)), maxLength: 60 })
const number = fc.oneof(fc.integer(), fc.constant(-1), fc.maxSafeInteger())
const selecting = fc.array(fc.tuple(fc.constantFrom('accept', 'foo', 'accept-encoding'), fc.option(latin1)), { maxLength: 4 })

const facts: fc.Arbitrary<StoredFacts> = fc
  .record({
    key: latin1, uri: fc.option(latin1), head: latin1, contentType: latin1, etag: fc.option(latin1),
    status: fc.integer({ min: 200, max: 599 }), numbers: fc.array(number, { minLength: 8, maxLength: 8 }),
    flags: fc.integer({ min: 0, max: 255 }),
    lifetimeSource: fc.constantFrom(...(Object.keys(freshnessSources) as FreshnessSource[])),
    selecting: fc.option(selecting),
    tags: fc.array(fc.stringMatching(/^[!-~]{1,20}$/), { maxLength: 5 }),
  })
  .map(r => {
    const at = (i: number): number => r.numbers[i] ?? 0
    return {
      key: r.key as CacheKey, uri: r.uri ?? r.key, head: r.head, contentType: r.contentType, etag: r.etag, status: r.status,
      flags: r.flags, lifetimeSource: r.lifetimeSource, contentLength: at(0), responseTime: wallMs(at(1)),
      bornAt: wallMs(at(2)), date: wallMs(at(3)), lifetime: at(4) as DurationMs, staleWhileRevalidate: at(5) as DurationMs,
      staleIfError: at(6) as DurationMs, lastModified: wallMs(at(7)),
      tags: r.tags,
      selecting:
        r.selecting === null
          ? null
          : {
              names: r.selecting.map(([name]) => name),
              received: r.selecting.map(([, value]) => value),
              normalised: [],
            },
    }
  })

const content = fc.record({ serial: fc.maxSafeNat(), bytes: fc.maxSafeNat(), crc: fc.integer({ min: 0, max: 0xffffffff }) })

test('what comes back is what went in', () => {
  fc.assert(
    fc.property(facts, content, (before, kept) => {
      const record = encodeRecord(before, kept)
      const after = decodeRecord(record)
      const plain = (f: StoredFacts | undefined) => ({ ...f, selecting: f?.selecting && [f.selecting.names, f.selecting.received] })
      expect(plain(after?.facts)).toEqual(plain(before))
      expect(after).toMatchObject(kept)
      expect(keyOfRecord(record)).toBe(before.key)
    }),
    { numRuns: 300 },
  )
})

test('a record that is not as it was written is none', () => {
  fc.assert(
    fc.property(facts, content, fc.nat(), fc.integer({ min: 1, max: 255 }), (before, kept, where, change) => {
      const record = encodeRecord(before, kept)
      const at = where % record.length
      const spoilt = Buffer.from(record)
      spoilt[at] = (record[at] ?? 0) ^ change
      expect(decodeRecord(spoilt)).toBe(null)
      expect(decodeRecord(record.subarray(0, at))).toBe(null)
      keyOfRecord(spoilt)
      tagsOfRecord(spoilt)
    }),
    { numRuns: 300 },
  )
})
