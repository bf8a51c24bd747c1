import { isToken } from './characters.ts'
import type { Fields } from './fields.ts'
import { fault } from './head.ts'
import { splitList } from './lists.ts'

/** How the content of a message is delimited (RFC 9112 6). */
export interface Framing {
  readonly kind: 'none' | 'length' | 'chunked' | 'until-close'
  /** Bytes, for `length`; 0 otherwise. */
  readonly length: number
}

export const noContent: Framing = { kind: 'none', length: 0 }
export const chunkedContent: Framing = { kind: 'chunked', length: 0 }
export const untilClose: Framing = { kind: 'until-close', length: 0 }
const emptyContent: Framing = { kind: 'length', length: 0 }

export const lengthContent = (length: number): Framing => (length === 0 ? emptyContent : { kind: 'length', length })

/** 2^53 has 16 decimal digits; with 15 there is nothing to round. */
const lengthDigitsMax = 15

const faultLength = fault('length')
const faultLengthRepeated = fault('length-repeated')

/** The number of bytes Content-Length says, or a fault. The field is there. */
export const contentLength = (fields: Fields): number => {
  const at = fields.indexOf('content-length')
  if (fields.indexOf('content-length', at + 1) >= 0) return faultLengthRepeated
  return parseLength(fields.valueAt(at))
}

/** 1 to 15 decimal digits and nothing else: no sign, no list, no space. */
export const parseLength = (text: string): number => {
  if (text.length === 0) return faultLength
  let value = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 44) return faultLengthRepeated
    if (c < 48 || c > 57) return faultLength
    value = value * 10 + (c - 48)
  }
  return text.length > lengthDigitsMax ? faultLength : value
}

/** 0 if Transfer-Encoding is exactly one `chunked`, else a fault. The field is there. */
export const codingFault = (fields: Fields): number => {
  const at = fields.indexOf('transfer-encoding')
  const value = fields.valueAt(at)
  if (fields.indexOf('transfer-encoding', at + 1) < 0) {
    if (value === 'chunked' || value.toLowerCase() === 'chunked') return 0
  }
  // A well-formed list of other codings in front of a final chunked can be told from nonsense (RFC 9112 6.1: 501).
  const codings = splitList(fields.joined('transfer-encoding') ?? '').map(coding => coding.toLowerCase())
  const others = codings.slice(0, -1)
  const othersRead = others.length > 0 && others.every(coding => isToken(coding) && coding !== 'chunked')
  const wellFormed = codings.at(-1) === 'chunked' && othersRead
  return wellFormed ? fault('coding-unsupported') : fault('coding')
}
