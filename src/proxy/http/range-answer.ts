import type { WallMs } from '../../base/index.ts'
import { cut, isSettled, type Segment, SplicedContent, type StoredResponse } from '../../cache/index.ts'
import {
  type ByteRange, contentRangeText, fieldLines, type Fields, parseHttpDate, parseRange, satisfiable, statusLine,
  strongMatch,
} from '../../http/index.ts'
import type { Transaction } from './transaction.ts'

// What a Range gets from a 200 that is here (RFC 9110 14.2, 15.3.7).
//
//   nothing in common ──► 416          one range ──► 206          several ──► 206 multipart/byteranges, in the order asked
//
// Ranges that overlap or nearly touch become one, so that no request makes us send more than the whole and a little: a
// Range of a few hundred bytes could otherwise have megabytes for an answer many times over.

/** What a Range is held against. */
export interface Ranged {
  readonly etag: string | null
  readonly lastModified: number
  readonly date: number
}

/** RFC 9110 13.1.5: a part is wanted only if it is a part of what the client has; a date that may be that of two contents says nothing. */
export const rangeApplies = (asked: Fields, stored: Ranged, now: WallMs): boolean => {
  const condition = asked.get('if-range')
  if (condition === undefined) return true
  if (condition.startsWith('"')) return stored.etag !== null && strongMatch(stored.etag, condition)
  const date = parseHttpDate(condition, now)
  return date !== null && stored.lastModified === date && isSettled(date, stored.date)
}

/** 'whole': the Range is ignored. */
export type RangeWanted = 'whole' | 'unsatisfiable' | readonly ByteRange[]

/** Bytes between two ranges that cost less to send than the head of another part. */
const gapMax = 80
/** More of them, and it is no reader who asks (RFC 9110 14.2). */
const partsMax = 16

export const rangesWanted = (t: Transaction, length: number): RangeWanted => {
  const specs = parseRange(t.fields.joined('range') ?? '')
  if (specs === null) return 'whole'
  const ranges = joined(satisfiable(specs, length))
  if (ranges.length === 0) return 'unsatisfiable'
  return ranges.length > partsMax ? 'whole' : ranges
}

/** In the order asked, unless some touch: then ascending. */
const joined = (ranges: readonly ByteRange[]): readonly ByteRange[] => {
  if (ranges.length < 2) return ranges
  const kept: { first: number; last: number }[] = []
  for (const { first, last } of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = kept.at(-1)
    if (before !== undefined && first <= before.last + 1 + gapMax) before.last = Math.max(before.last, last)
    else kept.push({ first, last })
  }
  return kept.length === ranges.length ? ranges : kept
}

/** What is sent: its head, open at its end, and its content, in memory or where it is read. */
export interface RangeAnswer {
  readonly status: 206 | 416
  readonly head: string
  readonly length: number
  readonly body: readonly Buffer[]
  /** Null: `body` has it. */
  readonly content: SplicedContent | null
}

export const unsatisfiable = (fields: Fields, length: number): RangeAnswer => {
  const pairs = ['Content-Range', contentRangeText(null, length), 'Content-Length', '0', 'Date', fields.get('date') ?? '']
  return { status: 416, head: statusLine(416) + fieldLines(pairs), length: 0, body: [], content: null }
}

/** The ranges of a stored response, all of which are here. */
export const rangeAnswer = (stored: StoredResponse, ranges: readonly ByteRange[]): RangeAnswer => {
  const fields = stored.fields()
  const [only] = ranges
  if (only !== undefined && ranges.length === 1) {
    const length = only.last - only.first + 1
    fields.set('Content-Length', String(length))
    fields.set('Content-Range', contentRangeText(only, stored.contentLength))
    return answerOf(fields, rangeSegments(stored, only, 0), length)
  }
  return multipart(stored, fields, ranges)
}

/** RFC 9110 14.6 */
const multipart = (stored: StoredResponse, fields: Fields, ranges: readonly ByteRange[]): RangeAnswer => {
  const boundary = boundaryOf(stored)
  const type = fields.get('content-type')
  const segments: Segment[] = []
  let length = 0
  const text = (words: string): void => {
    const bytes = Buffer.from(words, 'latin1')
    segments.push({ at: length, length: bytes.length, from: 0, body: [bytes], content: null })
    length += bytes.length
  }
  for (const range of ranges) {
    const typeLine = type === undefined ? '' : `Content-Type: ${type}\r\n`
    text(`${length === 0 ? '' : '\r\n'}--${boundary}\r\n${typeLine}Content-Range: ${contentRangeText(range, stored.contentLength)}\r\n\r\n`)
    segments.push(...rangeSegments(stored, range, length))
    length += range.last - range.first + 1
  }
  text(`\r\n--${boundary}--\r\n`)
  fields.delete('content-range')
  fields.set('Content-Type', `multipart/byteranges; boundary=${boundary}`)
  fields.set('Content-Length', String(length))
  return answerOf(fields, segments, length)
}

/** Not to be found in what was stored before it was known: it says when the response came, to the millisecond. */
const boundaryOf = (stored: StoredResponse): string => {
  const salt = Math.floor(Math.random() * 0x1_0000_0000)
  return `glassquid-${stored.responseTime.toString(36)}-${salt.toString(36)}`
}

const rangeSegments = ({ body, content }: StoredResponse, { first, last }: ByteRange, at: number): readonly Segment[] =>
  content instanceof SplicedContent
    ? content.within(first, last, at)
    : [{ at, length: last - first + 1, from: first, body, content }]

const answerOf = (fields: Fields, segments: readonly Segment[], length: number): RangeAnswer => {
  const head = statusLine(206) + fieldLines(fields.pairs)
  if (segments.some(segment => segment.content !== null)) {
    return { status: 206, head, length, body: [], content: new SplicedContent(segments) }
  }
  const body = segments.flatMap(({ body: from, from: at, length: bytes }) => cut(from, at, at + bytes))
  return { status: 206, head, length, body, content: null }
}
