import type { FieldView } from '../base/index.ts'
import {
  type ByteRange, contentRangeText, endToEndFields, type Fields, isStrongEtag, parseContentRange,
} from '../http/index.ts'
import { flag, headText, StoredResponse } from './stored-response.ts'
import { SplicedContent, type Segment } from './spliced-content.ts'
import { tagFields } from './tags.ts'
import { chooseAmong, selects } from './vary.ts'

// Parts (RFC 9111 3.3, 3.4). A part is stored as the 206 it came as, or as the 206 that a broken-off 200 amounts to: a
// variant of its key like others, that answers no request for the whole. Parts of one representation, told by a strong
// validator, are used together:
//
//   representation   0 ─────────────────────────────── length
//   stored              [ part ]   [ part ]
//   wanted                 |───────────────|
//   missing                    |──|                          one piece: from the first byte that lacks to the last
//
// A cache that has parts is a cache of fewer misses, nothing else: HEAD, conditions and whatever else needs the whole are
// not answered from them ("MUST NOT use an incomplete response", 3.3).

/** Where a part lies in its representation. */
export interface PartRange extends ByteRange {
  /** Of the whole. */
  readonly length: number
}

export const partStatus = 206

const rangeLine = '\r\nContent-Range: '

/** Null for what is no part. The field is as `placed` writes it. */
export const rangeOfPart = (stored: StoredResponse): PartRange | null => {
  if (stored.status !== partStatus) return null
  const at = stored.head.indexOf(rangeLine)
  if (at < 0) return null
  const from = at + rangeLine.length
  const { range, length } = parseContentRange(stored.head.slice(from, stored.head.indexOf('\r\n', from))) ?? nowhere
  return range === null || length === null ? null : { first: range.first, last: range.last, length }
}

const nowhere = { range: null, length: null }

/** Bytes of the whole; -1 = not known. */
export const lengthOfWhole = (stored: StoredResponse): number =>
  stored.status === partStatus ? (rangeOfPart(stored)?.length ?? -1) : stored.contentLength

/** RFC 9110 8.8.2.2: within a minute of its date a Last-Modified may be that of two contents. */
const settledMs = 60_000

/** Whether a Last-Modified tells two contents apart. */
export const isSettled = (lastModified: number, date: number): boolean => date - lastModified >= settledMs

/** What If-Range may say of it (RFC 9110 13.1.5); null = nothing that tells two contents apart for sure. */
export const strongValidatorOf = (stored: StoredResponse): string | null => {
  if (stored.etag !== null) return isStrongEtag(stored.etag) ? stored.etag : null
  if (stored.lastModified < 0 || !isSettled(stored.lastModified, stored.date)) return null
  return stored.fields().get('last-modified') ?? null
}

/** RFC 9111 3.4: whether bytes of the one are bytes of the other. */
export const sameRepresentation = (one: StoredResponse, other: StoredResponse): boolean => {
  const validator = strongValidatorOf(one)
  if (validator === null || lengthOfWhole(one) !== lengthOfWhole(other)) return false
  if (one.etag !== null || other.etag !== null) return one.etag === other.etag
  return one.lastModified === other.lastModified && strongValidatorOf(other) !== null
}

/**
 * Whether a response takes the place of one stored before it. Of what fits the same requests there is one, but parts of
 * one representation that each have bytes of their own stand beside each other, and beside nothing else.
 */
export const takesPlaceOf = (by: StoredResponse, other: StoredResponse, request: FieldView): boolean => {
  if (!selects(other.selecting, request)) return false
  if (by.status !== partStatus || !sameRepresentation(by, other)) return true
  const [mine, its] = [rangeOfPart(by), rangeOfPart(other)]
  return mine !== null && its !== null && mine.first <= its.first && its.last <= mine.last
}

/** What came of a response until it broke off, as the part that it is; null = it could never be completed. */
export const brokenOff = (response: StoredResponse, bytes: number): StoredResponse | null => {
  const { first, length } = rangeOfPart(response) ?? { first: 0, length: response.contentLength }
  const mayBe = response.status === 200 || response.status === partStatus
  if (!mayBe || response.has(flag.headOnly) || bytes <= 0 || length < 0) return null
  if (strongValidatorOf(response) === null) return null
  const range = { first, last: first + bytes - 1, length }
  return range.last < length ? asPart(response, range) : null
}

/** The same response, but of it only these bytes. */
export const asPart = (response: StoredResponse, range: PartRange): StoredResponse => {
  const fields = response.fields()
  placed(fields, range)
  const contentLength = range.last - range.first + 1
  return new StoredResponse({ ...response, status: partStatus, head: partHead(fields), contentLength }, [])
}

/** Content-Range and Content-Length of that part, as rangeOfPart reads them. */
export const placed = (fields: Fields, range: PartRange): void => {
  fields.set('Content-Range', contentRangeText(range, range.length))
  fields.set('Content-Length', String(range.last - range.first + 1))
}

const partHead = (fields: Fields): string => detachedHead(partStatus, 'Partial Content', fields)

const detachedHead = (status: number, phrase: string, fields: Fields): string => headText(status, phrase, fields.pairs)

interface Placed extends ByteRange {
  readonly stored: StoredResponse
}

/** What is stored of one representation that is not there whole. */
export class PartialResponse {
  /** Its fields are those of the whole (RFC 9111 3.4). */
  readonly newest: StoredResponse
  readonly length: number
  /** By first byte; none lies within another. */
  readonly parts: readonly Placed[]
  #whole: StoredResponse | null = null
  #content: SplicedContent | null = null

  constructor(newest: StoredResponse, length: number, parts: readonly Placed[]) {
    this.newest = newest
    this.length = length
    this.parts = parts
  }

  /** Of the representation that the newest part which fits the request is a part of; null = there is none. */
  static of(variants: readonly StoredResponse[], request: FieldView): PartialResponse | null {
    const newest = chooseAmong(variants, request, true)
    const length = newest === null ? -1 : lengthOfWhole(newest)
    if (newest === null || length < 0) return null
    const parts: Placed[] = []
    for (const stored of variants) {
      const range = rangeOfPart(stored)
      if (range === null || !selects(stored.selecting, request)) continue
      if (stored === newest || sameRepresentation(stored, newest)) parts.push({ first: range.first, last: range.last, stored })
    }
    return new PartialResponse(newest, length, withoutCovered(parts))
  }

  /** The same after a 304 or another part has brought the fields up to date. */
  renewed(newest: StoredResponse): PartialResponse {
    const parts = this.parts.map(part => (part.stored === this.newest ? { ...part, stored: newest } : part))
    return new PartialResponse(newest, this.length, parts)
  }

  /** The bytes of `wanted` that are not here, from the first to the last; null = all are. */
  missing(wanted: ByteRange): ByteRange | null {
    let first = wanted.first
    for (const part of this.parts) if (part.first <= first && part.last >= first) first = part.last + 1
    if (first > wanted.last) return null
    let last = wanted.last
    for (const part of this.parts.toReversed()) if (part.first <= last && part.last >= last) last = part.first - 1
    return { first, last }
  }

  /** What lies in one piece around byte `at`. */
  runAround(at: number): { readonly first: number; readonly last: number; readonly parts: readonly Placed[] } {
    let run: Placed[] = []
    let end = -1
    for (const part of this.parts) {
      if (part.first > end + 1) {
        if (at <= end) break
        run = []
      }
      run.push(part)
      end = part.last
    }
    return { first: run[0]?.first ?? 0, last: end, parts: run }
  }

  /**
   * The whole as if it were stored: its fields, its length, and those of its bytes that are here. Whoever delivers it
   * looks at `missing` first.
   */
  get whole(): StoredResponse {
    this.#whole ??= wholeOf(this.newest, this.length, this.content)
    return this.#whole
  }

  /** Those bytes of the whole that are here. */
  get content(): SplicedContent {
    this.#content ??= new SplicedContent(segmentsOf(this.parts))
    return this.#content
  }
}

const withoutCovered = (parts: readonly Placed[]): Placed[] => {
  const sorted = parts.toSorted((a, b) => a.first - b.first || b.last - a.last)
  const kept: Placed[] = []
  for (const part of sorted) if (part.last > (kept.at(-1)?.last ?? -1)) kept.push(part)
  return kept
}

/** Each byte once. */
export const segmentsOf = (parts: readonly Placed[]): Segment[] => {
  const segments: Segment[] = []
  let next = 0
  for (const { first, last, stored } of parts) {
    const at = Math.max(first, next)
    segments.push({ at, length: last + 1 - at, from: at - first, body: stored.body, content: stored.content })
    next = last + 1
  }
  return segments
}

/** A part's fields on a 200. `content` null: `body` has it. */
export const wholeOf = (
  part: StoredResponse,
  length: number,
  content: SplicedContent | null,
  body: readonly Buffer[] = [],
): StoredResponse => {
  const fields = part.fields()
  fields.delete('content-range')
  fields.set('Content-Length', String(length))
  const facts = { ...part, status: 200, head: detachedHead(200, 'OK', fields), contentLength: length }
  return new StoredResponse(facts, body, content)
}

/**
 * RFC 9111 3.4: the fields of a response put together from what is stored and a 206, as if it had come whole or as the
 * part `range`. Those of the 206 count, but for what describes the bytes alone.
 */
export const fieldsTogether = (newest: StoredResponse, came: Fields, range: PartRange | null, length: number): Fields => {
  const fields = newest.fields()
  const brought = endToEndFields(came)
  fields.delete('date')
  const replaced = new Set<string>()
  for (let i = 0; i < brought.size; i++) {
    const lower = brought.lowerAt(i)
    if (ofBytes.has(lower)) continue
    if (replaced.has(lower)) fields.append(brought.nameAt(i), brought.valueAt(i))
    else fields.set(brought.nameAt(i), brought.valueAt(i))
    replaced.add(lower)
  }
  fields.delete('content-range')
  // tags may be kept beside the fields alone, and a 206 to If-Range does not say them again
  if (newest.tags.length > 0 && !tagFields.some(name => fields.has(name))) fields.set('Cache-Tag', newest.tags.join(', '))
  if (range === null) fields.set('Content-Length', String(length))
  else placed(fields, range)
  return fields
}

const ofBytes = new Set(['content-length', 'content-range', 'content-encoding'])

/** A 206 to what we asked for brings exactly that, of the representation we have. */
export const continues = (newest: StoredResponse, asked: PartRange, fields: Fields): boolean => {
  const told = parseContentRange(fields.get('content-range') ?? '')
  if (told === null || told.range === null || told.length !== asked.length) return false
  if (told.range.first !== asked.first || told.range.last !== asked.last) return false
  const length = fields.get('content-length')
  if (length !== undefined && Number(length) !== asked.last - asked.first + 1) return false
  if (newest.etag !== null) return fields.get('etag') === newest.etag
  const modified = fields.get('last-modified')
  return modified === undefined || modified === newest.fields().get('last-modified')
}

