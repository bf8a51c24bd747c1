import { valueByte } from './characters.ts'
import { role } from './field-names.ts'
import { Fields } from './fields.ts'
import {
  chunkedContent, codingFault, contentLength, type Framing, lengthContent, noContent, untilClose,
} from './framing.ts'
import { badResponse, fault, type HeadAnswer, type HeadLimits, more } from './head.ts'
import { findHead, looksWhole } from './head-scan.ts'
import { latin1 } from './latin1.ts'
import { fieldsRead, readFields } from './read-fields.ts'
import { persists } from './request-head.ts'

export interface ResponseHead {
  /** 100…999. */
  readonly status: number
  /** As received, possibly empty. */
  readonly reason: string
  readonly versionMajor: number
  readonly versionMinor: number
  readonly fields: Fields
  readonly headBytes: number
  readonly framing: Framing
  /** The connection may carry another exchange after this one. */
  readonly keepAlive: boolean
  /** 101, or 2xx to CONNECT: what follows is no HTTP. */
  readonly tunnel: boolean
}

const CR = 13
const LF = 10
const SP = 32

/** As parseRequestHead; `method` is that of the request, which decides what an answer's length fields mean. */
export const parseResponseHead = (
  slab: Buffer,
  start: number,
  end: number,
  limits: HeadLimits,
  method: string,
  scanFrom: number = start,
): HeadAnswer<ResponseHead> => {
  if (scanFrom <= start && looksWhole(slab, start, end)) {
    const answer = readHead(slab, start, end, limits, method)
    if (answer.kind === 'head') return answer
  }
  const headEnd = findHead(slab, start, end, limits, scanFrom, judgeLine)
  if (headEnd < 0) return badResponse(headEnd)
  return headEnd === 0 ? more : readHead(slab, start, headEnd, limits, method)
}

const judgeLine = (slab: Buffer, at: number, lineEnd: number): number =>
  readStatusLine(slab, latin1(slab, at, lineEnd), at)

/** What the status line says; valid until the next call. */
const line = { status: 0, reason: '', versionMinor: 0 }

const readHead = (
  slab: Buffer,
  start: number,
  stop: number,
  limits: HeadLimits,
  method: string,
): HeadAnswer<ResponseHead> => {
  const text = latin1(slab, start, stop)
  const lineEnd = readStatusLine(slab, text, start)
  if (lineEnd < 0) return badResponse(lineEnd)
  if (lineEnd - start > limits.lineBytesMax) return badResponse(fault('line-too-long'))
  const pairs: string[] = []
  const lowers: string[] = []
  const end = readFields(slab, text, start, lineEnd, stop, limits.fieldsMax, pairs, lowers)
  if (end < 0) return badResponse(end)
  if (end - start > limits.headBytesMax) return badResponse(fault('head-too-long'))
  return judge(new Fields(pairs, lowers), fieldsRead.roles, end - start, end, method)
}

/** Fills `line`; answers where the line ends, or a fault. The space before an empty reason may be missing. */
const readStatusLine = (slab: Buffer, text: string, base: number): number => {
  for (let i = 0; i < 5; i++) if (slab[base + i] !== 'HTTP/'.charCodeAt(i)) return fault('status-line')
  const major = (slab[base + 5] as number) - 48
  const minor = (slab[base + 7] as number) - 48
  if (major < 0 || major > 9 || slab[base + 6] !== 46 || minor < 0 || minor > 9) return fault('status-line')
  if (major !== 1 || minor > 1) return fault('version')
  if (slab[base + 8] !== SP) return fault('status-line')
  let status = 0
  for (let i = base + 9; i < base + 12; i++) {
    const digit = (slab[i] as number) - 48
    if (!(digit >= 0 && digit <= 9)) return fault('status-line')
    status = status * 10 + digit
  }
  if (status < 100) return fault('status-line')
  let i = base + 12
  if (slab[i] !== SP && slab[i] !== CR) return fault('status-line')
  const reasonStart = slab[i] === SP ? i + 1 : i
  i = reasonStart
  while (valueByte[slab[i] as number] === 1) i++
  if (slab[i] !== CR || slab[i + 1] !== LF) return fault('status-line')
  line.status = status
  line.reason = text.slice(reasonStart - base, i - base)
  line.versionMinor = minor
  return i + 2
}

const judge = (
  fields: Fields,
  roles: number,
  headBytes: number,
  end: number,
  method: string,
): HeadAnswer<ResponseHead> => {
  const status = line.status
  const minor = line.versionMinor
  const declared = declaredFraming(fields, roles, minor)
  if (typeof declared === 'number') return badResponse(declared)
  const tunnel = status === 101 || (method === 'CONNECT' && status >= 200 && status <= 299)
  const interimOr204 = status < 200 || status === 204
  const without = tunnel || interimOr204 || status === 304 || method === 'HEAD'
  // RFC 9112 6.3: such a response has no content whatever it says; one that announces some all the same may send it,
  // so nothing that follows on this connection can be trusted.
  const announces = interimOr204 && (declared.kind === 'chunked' || declared.length > 0)
  const framing = without ? noContent : declared
  const head: ResponseHead = {
    status,
    reason: line.reason,
    versionMajor: 1,
    versionMinor: minor,
    fields,
    headBytes,
    framing,
    keepAlive: !tunnel && !announces && framing.kind !== 'until-close' && persists(fields, minor),
    tunnel,
  }
  return { kind: 'head', head, end }
}

/** RFC 9112 6.3 for responses, before the exceptions; a fault as a number. */
const declaredFraming = (fields: Fields, roles: number, minor: number): Framing | number => {
  if ((roles & role.transferEncoding) !== 0) {
    if (minor === 0) return fault('coding-1.0')
    if ((roles & role.contentLength) !== 0) return fault('length-with-coding')
    const found = codingFault(fields)
    return found < 0 ? found : chunkedContent
  }
  if ((roles & role.contentLength) === 0) return untilClose
  const length = contentLength(fields)
  return length < 0 ? length : lengthContent(length)
}
