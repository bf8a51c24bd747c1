import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contentRangeText, parseContentRange, parseRange, rangesMax, satisfiable } from '../../src/http/index.ts'

// Guards: which bytes a range is. One off is a corrupt file at the client, and at every client after it.

const asked = (text: string, length: number): string[] | null => {
  const specs = parseRange(text)
  return specs === null ? null : satisfiable(specs, length).map(r => `${r.first}-${r.last}`)
}

describe('Range', () => {
  it.each<[string, number, string[] | null]>([
    ['bytes=0-4', 10, ['0-4']],
    ['bytes=0-0', 10, ['0-0']],
    ['bytes=9-9', 10, ['9-9']],
    ['bytes=5-', 10, ['5-9']],
    ['bytes=0-', 10, ['0-9']],
    ['bytes=-3', 10, ['7-9']],
    ['bytes=-10', 10, ['0-9']],
    ['bytes=-11', 10, ['0-9']],
    ['bytes=5-99', 10, ['5-9']],
    ['bytes=0-9007199254740993', 10, ['0-9']],
    [`bytes=0-${'9'.repeat(50)}`, 10, ['0-9']],
    ['Bytes=0-1', 10, ['0-1']],
    ['bytes=0-1,5-6 ,\t-1', 10, ['0-1', '5-6', '9-9']],
    ['bytes=,0-1,,', 10, ['0-1']],
    ['bytes=5-6,0-1', 10, ['5-6', '0-1']],
    ['bytes=0-1,20-30', 10, ['0-1']],
    // 416
    ['bytes=10-', 10, []],
    ['bytes=10-20', 10, []],
    ['bytes=-0', 10, []],
    ['bytes=0-', 0, []],
    ['bytes=-1', 0, []],
    // ignored
    ['', 10, null],
    ['bytes', 10, null],
    ['bytes=', 10, null],
    ['bytes=,', 10, null],
    ['bytes=-', 10, null],
    ['bytes=4-0', 10, null],
    ['bytes=a-b', 10, null],
    ['bytes=0-1x', 10, null],
    ['bytes=0--1', 10, null],
    ['bytes=+0-1', 10, null],
    ['bytes=0 -1', 10, null],
    ['bytes=0-1,x', 10, null],
    ['bytes=0-1;', 10, null],
    ['bytes=0x0-1', 10, null],
    ['bytes =0-1', 10, null],
    ['items=0-1', 10, null],
    ['bytes=\xa00-1', 10, null],
  ])('%j of %i', (text, length, ranges) => expect(asked(text, length)).toEqual(ranges))

  it('is ignored when it asks for too much', () => {
    const many = (n: number): string => `bytes=${Array.from({ length: n }, (_, i) => `${i}-${i}`).join(',')}`
    expect(asked(many(rangesMax), 1000)).toHaveLength(rangesMax)
    expect(asked(many(rangesMax + 1), 1000)).toBe(null)
  })

  it('never reaches outside what there is', () => {
    const bound = fc.oneof(fc.constant(''), fc.nat(30).map(String))
    const spec = fc.tuple(bound, bound).map(pair => pair.join('-'))
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 4 }), fc.nat(20), (specs, length) => {
        for (const range of satisfiable(parseRange(`bytes=${specs.join(',')}`) ?? [], length)) {
          expect(range.first).toBeGreaterThanOrEqual(0)
          expect(range.last).toBeGreaterThanOrEqual(range.first)
          expect(range.last).toBeLessThan(length)
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('Content-Range', () => {
  it.each<[string, object | null]>([
    ['bytes 0-4/10', { range: { first: 0, last: 4 }, length: 10 }],
    ['bytes 0-9/10', { range: { first: 0, last: 9 }, length: 10 }],
    ['BYTES 0-4/*', { range: { first: 0, last: 4 }, length: null }],
    ['bytes */10', { range: null, length: 10 }],
    ['bytes */*', null],
    ['bytes 0-10/10', null],
    ['bytes 4-0/10', null],
    ['bytes 0-4', null],
    ['bytes 0-4/', null],
    ['bytes -4/10', null],
    ['bytes 0-/10', null],
    ['bytes 0-4/10 ', null],
    ['bytes  0-4/10', null],
    ['bytes=0-4/10', null],
    ['items 0-4/10', null],
    ['0-4/10', null],
    ['', null],
  ])('%j', (text, expected) => expect(parseContentRange(text)).toEqual(expected))

  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.boolean(), (a, b, known) => {
        const range = { first: Math.min(a, b), last: Math.max(a, b) }
        const length = known ? range.last + 1 : null
        expect(parseContentRange(contentRangeText(range, length))).toEqual({ range, length })
      }),
    )
    expect(contentRangeText(null, 10)).toBe('bytes */10')
  })
})
