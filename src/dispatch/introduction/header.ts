import { addressFromBytes, canonicalAddress, type Endpoint, endpoint } from '../../base/index.ts'

// The header of the PROXY protocol, both forms (HAProxy's proxy-protocol.txt): a balancer says with it whose connection it
// passes on. Pure. Strict where two readers could see different addresses.

export interface IntroductionHeader {
  /** Null: it speaks for itself (LOCAL), or of something that has no IP address (UNKNOWN, AF_UNSPEC, AF_UNIX). */
  readonly ends: { readonly source: Endpoint; readonly target: Endpoint } | null
  /** name, value, ... as Squid names them for logs: `:version`, `:src_addr` ..., TLVs by the number of their type. */
  readonly pairs: readonly string[]
}

export type HeaderAnswer =
  | { readonly kind: 'more' }
  | { readonly kind: 'bad'; readonly why: string }
  /** It ends in front of `end`. */
  | { readonly kind: 'header'; readonly header: IntroductionHeader; readonly end: number }

/** Section 2.1: the longest there is of the first form, with its CRLF. */
const textBytesMax = 107
/** Of the second form, its fixed part included. The format knows 64 KB; addresses and the TLVs in use need a few hundred. */
export const headerBytesMax = 16 * 1024

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const word = Buffer.from('PROXY ', 'latin1')

export const parseIntroduction = (bytes: Buffer): HeaderAnswer => {
  if (begins(bytes, signature)) return bytes.length < 16 ? more : binary(bytes)
  if (begins(bytes, word)) return bytes.length < word.length ? more : text(bytes)
  return bad('it begins with something else')
}

const more: HeaderAnswer = { kind: 'more' }
const bad = (why: string): HeaderAnswer => ({ kind: 'bad', why })

const begins = (bytes: Buffer, mark: Buffer): boolean => {
  const length = Math.min(bytes.length, mark.length)
  return bytes.compare(mark, 0, length, 0, length) === 0
}

// ---- version 1: PROXY TCP4|TCP6 SOURCE TARGET PORT PORT, or PROXY UNKNOWN and anything

const text = (bytes: Buffer): HeaderAnswer => {
  const feed = bytes.subarray(0, textBytesMax).indexOf(0x0a)
  if (feed < 0) return bytes.length < textBytesMax ? more : bad('version 1: the line has no end')
  if (bytes[feed - 1] !== 0x0d) return bad('version 1: the line ends without CR')
  const end = feed + 1
  const line = bytes.toString('latin1', word.length, feed - 1)
  const version = [':version', '1.0', ':command', '1']
  if (line === 'UNKNOWN' || line.startsWith('UNKNOWN ')) return { kind: 'header', header: { ends: null, pairs: version }, end }
  const words = line.split(' ')
  const [protocol, from = '', to = '', fromPort = '', toPort = ''] = words
  if (words.length !== 5 || (protocol !== 'TCP4' && protocol !== 'TCP6')) return bad('version 1: it is not TCP4 or TCP6, two addresses and two ports')
  const [source, target] = [textEnd(protocol, from, fromPort), textEnd(protocol, to, toPort)]
  if (source === null || target === null) return bad(`version 1: '${line.replace(/[^\x20-\x7e]/g, '?')}' has no two ends of ${protocol}`)
  return { kind: 'header', header: { ends: { source, target }, pairs: [...version, ...endPairs(source, target)] }, end }
}

const textEnd = (protocol: 'TCP4' | 'TCP6', address: string, port: string): Endpoint | null => {
  const canonical = address.includes(':') === (protocol === 'TCP6') ? canonicalAddress(address) : null
  if (canonical === null || address.startsWith('[') || !/^(?:0|[1-9]\d{0,4})$/.test(port) || Number(port) > 65535) return null
  return endpoint(canonical, Number(port))
}

// ---- version 2: signature, version and command, family and transport, length, addresses, TLVs

const binary = (bytes: Buffer): HeaderAnswer => {
  const command = (bytes[12] ?? 0) & 15
  const [family, transport] = [(bytes[13] ?? 0) >> 4, (bytes[13] ?? 0) & 15]
  if ((bytes[12] ?? 0) >> 4 !== 2) return bad('version 2: it is of another version')
  if (command > 1) return bad(`version 2: command ${command}`)
  if (family > 3 || transport > 2) return bad(`version 2: family ${family}, transport ${transport}`)
  const end = 16 + bytes.readUInt16BE(14)
  if (end > headerBytesMax) return bad(`version 2: ${end} bytes are too many`)
  if (bytes.length < end) return more
  const pairs = [':version', '2.0', ':command', String(command)]
  const size = family === 1 ? 4 : family === 2 ? 16 : 0
  const begin = 16 + (family === 3 ? 216 : size === 0 ? 0 : 2 * size + 4)
  if (begin > end) return bad('version 2: there is no room for its addresses')
  // without a family what follows has no known form, and is skipped (2.2)
  if (family === 0 || transport === 0) return { kind: 'header', header: { ends: null, pairs }, end }
  let ends: IntroductionHeader['ends'] = null
  if (size > 0) {
    const at = (address: number, port: number): Endpoint => endpoint(addressFromBytes(bytes, address, size === 4 ? 4 : 6), bytes.readUInt16BE(port))
    ends = { source: at(16, 16 + 2 * size), target: at(16 + size, 18 + 2 * size) }
    pairs.push(...endPairs(ends.source, ends.target))
  }
  // as Squid: of one that speaks for itself nothing further is read
  if (command === 0) return { kind: 'header', header: { ends: null, pairs }, end }
  for (let at = begin; at < end; ) {
    const next = at + 3 <= end ? at + 3 + bytes.readUInt16BE(at + 1) : end + 1
    if (next > end) return bad('version 2: a TLV is longer than the header')
    pairs.push(String(bytes[at]), bytes.toString('latin1', at + 3, next))
    at = next
  }
  return { kind: 'header', header: { ends, pairs }, end }
}

const endPairs = (source: Endpoint, target: Endpoint): string[] => [
  ':src_addr', source.address, ':dst_addr', target.address, ':src_port', String(source.port), ':dst_port', String(target.port),
]
