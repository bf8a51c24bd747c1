import { trimmed } from './lists.ts'

// Range and Content-Range in bytes (RFC 9110 14). Positions are inclusive, as they are on the wire.

/** As asked: `first-last`, `first-` (last null), `-suffix` (first null). */
export interface RangeSpec {
  readonly first: number | null
  readonly last: number | null
}

/** A part of a representation that exists: 0 <= first <= last < length. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

export interface ContentRange {
  /** Null in an answer 416: no part. */
  readonly range: ByteRange | null
  /** The complete length; null = the sender does not know it. */
  readonly length: number | null
}

/** More are a way to make a server work (RFC 9110 14.2); Range is then ignored, as it may always be. */
export const rangesMax = 32

/** Null = not a Range of bytes that can be read: it is ignored (RFC 9110 14.2). */
export const parseRange = (text: string): readonly RangeSpec[] | null => {
  const equals = text.indexOf('=')
  if (equals < 0 || text.slice(0, equals).toLowerCase() !== 'bytes') return null
  const specs: RangeSpec[] = []
  for (let i = equals + 1; i <= text.length; ) {
    const comma = text.indexOf(',', i)
    const end = comma < 0 ? text.length : comma
    const member = trimmed(text, i, end)
    i = end + 1
    if (member === '') continue
    const spec = parseSpec(member)
    if (spec === null || specs.length === rangesMax) return null
    specs.push(spec)
  }
  return specs.length === 0 ? null : specs
}

const parseSpec = (text: string): RangeSpec | null => {
  const dash = text.indexOf('-')
  if (dash < 0) return null
  const first = dash === 0 ? null : position(text.slice(0, dash))
  const last = dash === text.length - 1 ? null : position(text.slice(dash + 1))
  if (Number.isNaN(first) || Number.isNaN(last) || (first === null && last === null)) return null
  return first !== null && last !== null && last < first ? null : { first, last }
}

/** Digits only; saturates where numbers stop being exact. NaN = malformed. */
const position = (text: string): number => {
  if (text === '') return Number.NaN
  let value = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i) - 48
    if (!(c >= 0 && c <= 9)) return Number.NaN
    value = Math.min(value * 10 + c, Number.MAX_SAFE_INTEGER)
  }
  return value
}

/** The parts of `length` bytes that were asked for, in the order asked; empty = 416 (RFC 9110 14.1.2, 15.5.17). */
export const satisfiable = (specs: readonly RangeSpec[], length: number): readonly ByteRange[] => {
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    const range = satisfy(spec, length)
    if (range !== null) ranges.push(range)
  }
  return ranges
}

const satisfy = (spec: RangeSpec, length: number): ByteRange | null => {
  if (length === 0) return null
  if (spec.first === null) {
    const suffix = Math.min(spec.last ?? 0, length)
    return suffix === 0 ? null : { first: length - suffix, last: length - 1 }
  }
  if (spec.first >= length) return null
  return { first: spec.first, last: Math.min(spec.last ?? length - 1, length - 1) }
}

/** Null = malformed, contradictory, or not in bytes; what came with it cannot be placed. */
export const parseContentRange = (text: string): ContentRange | null => {
  const space = text.indexOf(' ')
  if (space < 0 || text.slice(0, space).toLowerCase() !== 'bytes') return null
  const slash = text.indexOf('/', space)
  if (slash < 0) return null
  const lengthText = text.slice(slash + 1)
  const length = lengthText === '*' ? null : position(lengthText)
  if (Number.isNaN(length)) return null
  const part = text.slice(space + 1, slash)
  if (part === '*') return length === null ? null : { range: null, length }
  const dash = part.indexOf('-')
  if (dash < 0) return null
  const first = position(part.slice(0, dash))
  const last = position(part.slice(dash + 1))
  if (Number.isNaN(first) || Number.isNaN(last) || last < first) return null
  return length !== null && last >= length ? null : { range: { first, last }, length }
}

/** `bytes 0-4/10`, `bytes 0-4/*`; with range null `bytes *` + `/10` for 416. */
export const contentRangeText = (range: ByteRange | null, length: number | null): string =>
  `bytes ${range === null ? '*' : `${range.first}-${range.last}`}/${length ?? '*'}`
