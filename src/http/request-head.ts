import { readRepaired } from './blanks-in-target.ts'
import { targetByte, tokenByte } from './characters.ts'
import { role } from './field-names.ts'
import { Fields } from './fields.ts'
import { chunkedContent, codingFault, contentLength, type Framing, lengthContent, noContent } from './framing.ts'
import { badRequest, fault, type HeadAnswer, type HeadLimits, more } from './head.ts'
import { findHead, looksWhole } from './head-scan.ts'
import { latin1 } from './latin1.ts'
import { listsFields } from './hop-by-hop.ts'
import { fieldLists } from './lists.ts'
import { fieldsRead, readFields } from './read-fields.ts'
import { isWorthKeeping, keepSeen, markOf, seenFields } from './seen-fields.ts'
import { type HostPort, parseAbsolute, parseAuthority, parseHostField, type TargetUri } from './target-uri.ts'
import { takeUser } from './user-information.ts'

export type TargetForm = 'origin' | 'absolute' | 'authority' | 'asterisk'

/** The head of a request, checked: what it says can be acted on without reading it again. */
export interface RequestHead {
  readonly method: string
  /** As received, but for user information, which has become Authorization. */
  readonly target: string
  readonly form: TargetForm
  /** absolute-form, read; null for the other forms. */
  readonly absolute: TargetUri | null
  /** authority-form, read: where CONNECT wants to go. */
  readonly connect: HostPort | null
  readonly versionMajor: number
  readonly versionMinor: number
  readonly fields: Fields
  /** Bytes of the head, with empty lines in front of it. */
  readonly headBytes: number
  readonly framing: Framing
  /** The client wants to go on using the connection. */
  readonly keepAlive: boolean
  /** Connection may name fields of this request, which then go no further (RFC 9110 7.6.1). */
  readonly listsFields: boolean
  /** It waits for 100 (Continue) before it sends its content. */
  readonly expectContinue: boolean
  /** The value of Upgrade, if Connection lists it and the version has it (RFC 9110 7.8). */
  readonly upgrade: string | null
  /** The value of Host as received; null if there is none or it is empty. */
  readonly host: string | null
  /** The same, read. */
  readonly hostPort: HostPort | null
}

/** RFC 9112 2.2: empty lines in front of a request line are skipped; some clients send one after a POST. */
const emptyLinesMax = 2

const CR = 13
const LF = 10
const SP = 32

/**
 * Reads the head of a request from slab[start, end). After `more`, ask again with the same start, more bytes, and the
 * former `end` as `scanFrom`: nothing is scanned twice. The answer does not depend on how the bytes were cut.
 */
export const parseRequestHead = (
  slab: Buffer,
  start: number,
  end: number,
  limits: HeadLimits,
  scanFrom: number = start,
): HeadAnswer<RequestHead> => {
  let at = start
  for (let lines = 0; lines < emptyLinesMax && at < end && slab[at] === CR; lines++) {
    if (at + 1 === end) return more
    if (slab[at + 1] !== LF) break
    at += 2
  }
  if (scanFrom <= at && looksWhole(slab, at, end)) {
    const answer = readHead(slab, start, at, end, limits)
    if (answer.kind === 'head') return answer
  }
  // the careful way, which also names what is wrong
  const headEnd = findHead(slab, at, end, limits, scanFrom, judgeLine)
  const answer = headEnd < 0 ? badRequest(headEnd) : headEnd === 0 ? more : readHead(slab, start, at, headEnd, limits)
  if (answer.kind !== 'bad' || answer.why !== 'request-line' || limits.blanksInTarget === undefined) return answer
  return readRepaired(slab, start, at, end, limits, answer, (bytes, strict) => parseRequestHead(bytes, 0, bytes.length, strict))
}

const judgeLine = (slab: Buffer, at: number, lineEnd: number): number =>
  readRequestLine(slab, latin1(slab, at, lineEnd), at)

/** What the request line says; valid until the next call. */
const line: {
  method: string
  target: string
  form: TargetForm
  versionMinor: number
  absolute: TargetUri | null
  connect: HostPort | null
  /** Made of the user information of the target; null: it has none. */
  authorization: string | null
} = { method: '', target: '', form: 'origin', versionMinor: 0, absolute: null, connect: null, authorization: null }

/** slab[at, stop) ends with an empty line, though the head may end before. */
const readHead = (
  slab: Buffer,
  start: number,
  at: number,
  stop: number,
  limits: HeadLimits,
): HeadAnswer<RequestHead> => {
  const text = latin1(slab, at, stop)
  const lineEnd = readRequestLine(slab, text, at)
  if (lineEnd < 0) return badRequest(lineEnd)
  if (lineEnd - at > limits.lineBytesMax) return badRequest(fault('line-too-long'))
  const mark = markOf(slab, lineEnd, stop)
  const block = mark === 0 ? '' : text.slice(lineEnd - at)
  const seen = mark === 0 ? null : seenFields(mark, block)
  if (seen !== null && seen.lowers.length <= limits.fieldsMax && stop - at <= limits.headBytesMax) {
    return judge(new Fields(seen.pairs.slice(), seen.lowers.slice()), seen.roles, seen.hostPort, start, stop, limits)
  }
  const pairs: string[] = []
  const lowers: string[] = []
  const end = readFields(slab, text, at, lineEnd, stop, limits.fieldsMax, pairs, lowers)
  if (end < 0) return badRequest(end)
  if (end - at > limits.headBytesMax) return badRequest(fault('head-too-long'))
  const { roles } = fieldsRead
  if (end === stop && mark !== 0 && isWorthKeeping(mark)) keep(mark, block, slab, lineEnd, stop)
  return judge(new Fields(pairs, lowers), roles, null, start, end, limits)
}

/** Of a block that was found faultless just now. */
const keep = (mark: number, block: string, slab: Buffer, from: number, stop: number): void =>
  keepSeen(mark, block, text => {
    const pairs: string[] = []
    const lowers: string[] = []
    readFields(slab, text, from, from, stop, Number.POSITIVE_INFINITY, pairs, lowers)
    const at = lowers.indexOf('host')
    return { pairs, lowers, roles: fieldsRead.roles, hostPort: at < 0 ? null : parseHostField(pairs[2 * at + 1] ?? '') }
  })

/** Fills `line`; answers where the line ends, or a fault. */
const readRequestLine = (slab: Buffer, text: string, base: number): number => {
  let i = base
  let c = slab[i] as number
  while (tokenByte[c] === 1) c = slab[++i] as number
  if (c !== SP) return tokenByte[c] === 0 && i > base && c > SP ? fault('method') : fault('request-line')
  if (i === base) return fault('request-line')
  const methodEnd = i
  const targetStart = ++i
  c = slab[i] as number
  while (targetByte[c] === 1) c = slab[++i] as number
  if (i === targetStart) return fault('request-line')
  const targetEnd = i
  line.method = isGet(slab, base, methodEnd) ? 'GET' : text.slice(0, methodEnd - base)
  if (c === CR) return slab[i + 1] === LF ? fault('http-0.9') : fault('bare-cr')
  if (c !== SP) return fault(c === 35 || c > 126 ? 'target' : 'request-line')
  line.target = text.slice(targetStart - base, targetEnd - base)
  const end = readVersion(slab, i + 1)
  return end < 0 ? end : targetFault(slab, targetStart) || end
}

const isGet = (slab: Buffer, at: number, end: number): boolean =>
  end - at === 3 && slab[at] === 71 && slab[at + 1] === 69 && slab[at + 2] === 84

/** `HTTP/1.0` or `HTTP/1.1` and CRLF. Higher minor versions do not exist; llhttp refuses them too. */
const readVersion = (slab: Buffer, at: number): number => {
  for (let i = 0; i < 5; i++) if (slab[at + i] !== 'HTTP/'.charCodeAt(i)) return fault('request-line')
  const major = (slab[at + 5] as number) - 48
  const minor = (slab[at + 7] as number) - 48
  if (major < 0 || major > 9 || slab[at + 6] !== 46 || minor < 0 || minor > 9) return fault('request-line')
  if (slab[at + 8] !== CR || slab[at + 9] !== LF) return fault('request-line')
  if (major === 2 && line.method === 'PRI') return fault('http-2')
  if (major !== 1 || minor > 1) return fault('version')
  line.versionMinor = minor
  return at + 10
}

/** RFC 9112 3.2: which form the target has, and whether the method has that form. 0 = fine. */
const targetFault = (slab: Buffer, targetStart: number): number => {
  line.connect = null
  line.absolute = null
  line.authorization = null
  if (line.method === 'CONNECT') {
    line.form = 'authority'
    line.connect = parseAuthority(line.target)
    return line.connect === null ? fault('target-form') : 0
  }
  if (slab[targetStart] === 47) {
    line.form = 'origin'
    return 0
  }
  if (line.target === '*') {
    line.form = 'asterisk'
    return line.method === 'OPTIONS' ? 0 : fault('target-form')
  }
  line.form = 'absolute'
  line.absolute = parseAbsolute(line.target)
  if (line.absolute !== null || absoluteOfUser()) return 0
  return line.target.includes('://') ? fault('target') : fault('target-form')
}

/** Whether it may have one is for who knows the limits: `judge`. */
const absoluteOfUser = (): boolean => {
  const taken = takeUser(line.target)
  if (taken === null) return false
  line.absolute = parseAbsolute(taken.target)
  if (line.absolute === null) return false
  line.target = taken.target
  line.authorization = taken.authorization
  return true
}

/** What the fields mean for the message as a whole. `knownHost`: what the value of Host was read as before. */
const judge = (
  fields: Fields,
  roles: number,
  knownHost: HostPort | null,
  start: number,
  end: number,
  limits: HeadLimits,
): HeadAnswer<RequestHead> => {
  let host: string | null = null
  let hostPort: HostPort | null = null
  if ((roles & role.host) !== 0) {
    const at = fields.indexOf('host')
    if (fields.indexOf('host', at + 1) >= 0) return badRequest(fault('host-repeated'))
    host = fields.valueAt(at)
    if (host === '') host = null
    else {
      hostPort = knownHost ?? parseHostField(host)
      if (hostPort === null) return badRequest(fault('host'))
    }
  }
  if (line.authorization !== null) {
    if (limits.takesUser !== true) return badRequest(fault('target'))
    // what the client says in a field of its own counts (Squid)
    if (line.authorization !== '' && !fields.has('authorization')) fields.append('Authorization', line.authorization)
  }
  const minor = line.versionMinor
  if (host === null && minor === 1 && limits.hostRequired) return badRequest(fault('host-missing'))

  let framing = noContent
  if ((roles & (role.contentLength | role.transferEncoding)) !== 0) {
    const found = framingFault(fields, roles, minor)
    if (found < 0) return badRequest(found)
    framing = (roles & role.transferEncoding) !== 0 ? chunkedContent : lengthContent(found)
  }

  let expectContinue = false
  if ((roles & role.expect) !== 0 && minor === 1) {
    if ((fields.joined('expect') ?? '').toLowerCase() !== '100-continue') return badRequest(fault('expectation'))
    expectContinue = framing.kind === 'chunked' || framing.length > 0
  }
  const upgrades = (roles & role.upgrade) !== 0 && minor === 1 && fieldLists(fields, 'connection', 'upgrade')
  const head: RequestHead = {
    method: line.method,
    target: line.target,
    form: line.form,
    absolute: line.absolute,
    connect: line.connect,
    versionMajor: 1,
    versionMinor: minor,
    fields,
    headBytes: end - start,
    framing,
    keepAlive: (roles & (role.connection | role.proxyConnection)) === 0 ? minor === 1 : persists(fields, minor),
    listsFields: (roles & role.connection) !== 0 && listsFields(fields),
    expectContinue,
    upgrade: upgrades ? (fields.joined('upgrade') ?? null) : null,
    host,
    hostPort,
  }
  return { kind: 'head', head, end }
}

/** RFC 9112 6.3, as strict as it gets: the content length (0 for chunked), or a fault. */
const framingFault = (fields: Fields, roles: number, minor: number): number => {
  if ((roles & role.transferEncoding) !== 0) {
    if (minor === 0) return fault('coding-1.0')
    if ((roles & role.contentLength) !== 0) return fault('length-with-coding')
    const found = codingFault(fields)
    return found < 0 ? found : line.method === 'CONNECT' ? fault('connect-content') : 0
  }
  const length = contentLength(fields)
  return length > 0 && line.method === 'CONNECT' ? fault('connect-content') : length
}

/** RFC 9112 9.3. Proxy-Connection is no standard; it counts where a client of a forward proxy sends nothing else. */
export const persists = (fields: Fields, versionMinor: number): boolean => {
  const name = fields.has('connection') ? 'connection' : 'proxy-connection'
  if (fieldLists(fields, name, 'close')) return false
  return versionMinor === 1 || fieldLists(fields, name, 'keep-alive')
}
