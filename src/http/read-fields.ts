import { tokenByte, valueByte } from './characters.ts'
import { hashStep, knownLower, knownNameAt, role } from './field-names.ts'
import { fault } from './head.ts'

// Field lines (RFC 9112 5), from bytes. `text` is the latin1 string of slab[base, ...): names and values are cut from
// it, since one string per head and cheap slices of it cost far less than a string per field.

const faultBareCr = fault('bare-cr')
const faultBareLf = fault('bare-lf')
const faultControl = fault('control')
const faultTooMany = fault('fields-too-many')
const faultName = fault('field-name')
const faultNameSpace = fault('field-name-space')
const faultFold = fault('obs-fold')

const CR = 13
const LF = 10
const SP = 32
const HT = 9
const COLON = 58

/** What came out beside the position; valid until the next call. Calls do not nest. */
export const fieldsRead = { roles: 0 }

/**
 * Reads slab[at, stop) up to and including the empty line, which must be there (`stop` lies behind a CRLF CRLF).
 * Appends to `pairs` and `lowers`. Answers where the empty line ends, or a fault.
 */
export const readFields = (
  slab: Uint8Array,
  text: string,
  base: number,
  at: number,
  stop: number,
  fieldsMax: number,
  pairs: string[],
  lowers: string[],
): number => {
  let roles = 0
  let count = 0
  let i = at
  for (;;) {
    const nameStart = i
    let c = slab[i] as number // i < stop: every path below ends at the empty line at the latest
    if (c === CR) {
      if (slab[i + 1] !== LF) return faultBareCr
      fieldsRead.roles = roles
      return i + 2
    }
    let hash = 0
    while (tokenByte[c] === 1) {
      hash = hashStep(hash, c)
      c = slab[++i] as number
    }
    if (c !== COLON || i === nameStart) return nameFault(slab, nameStart, i, nameStart === at)
    if (++count > fieldsMax) return faultTooMany
    const known = knownNameAt(slab, nameStart, i, hash)
    const nameEnd = i
    c = slab[++i] as number
    while (c === SP || c === HT) c = slab[++i] as number
    const valueStart = i
    while (valueByte[c] === 1) c = slab[++i] as number
    if (c !== CR) return c === LF ? faultBareLf : faultControl
    if (slab[i + 1] !== LF) return faultBareCr
    let valueEnd = i
    while (valueEnd > valueStart && isSpace(slab[valueEnd - 1] as number)) valueEnd--
    let fieldRoles = 0
    if (known === null) {
      const name = text.slice(nameStart - base, nameEnd - base)
      pairs.push(name, text.slice(valueStart - base, valueEnd - base))
      const lower = name.toLowerCase()
      const oddlySpelled = knownLower(lower)
      fieldRoles = oddlySpelled?.roles ?? 0
      lowers.push(oddlySpelled?.lower ?? lower)
    } else {
      fieldRoles = known.roles
      pairs.push(known.name, text.slice(valueStart - base, valueEnd - base))
      lowers.push(known.lower)
    }
    if (fieldRoles !== 0) {
      if ((fieldRoles & framingRoles) !== 0 && hasTab(slab, nameEnd, i)) return framingFault(fieldRoles)
      roles |= fieldRoles
    }
    i += 2
    if (i >= stop) return faultName // cannot happen while `stop` lies behind an empty line
  }
}

/** White space may be a tab (RFC 9110 5.6.3), but around a length or coding parsers differ: llhttp refuses some. */
const framingRoles = role.contentLength | role.transferEncoding

const hasTab = (slab: Uint8Array, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) if (slab[i] === HT) return true
  return false
}

const framingFault = (roles: number): number => fault((roles & role.contentLength) !== 0 ? 'length' : 'coding')

const isSpace = (c: number): boolean => c === SP || c === HT

const nameFault = (slab: Uint8Array, start: number, at: number, first: boolean): number => {
  const c = slab[at] as number
  if (isSpace(c)) return at === start && !first ? faultFold : faultNameSpace
  if (c === LF) return faultBareLf
  if (c === CR && slab[at + 1] !== LF) return faultBareCr
  return c < SP && c !== CR ? faultControl : faultName
}
