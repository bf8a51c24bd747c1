import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'

// A server as certificates and ClientHellos know it: an address, or a name in its ASCII form, lower case, without the
// trailing dot (RFC 6066 3, RFC 5890).

export interface ServerName {
  readonly kind: 'dns' | 'ip'
  readonly text: string
}

/** Null: neither an address nor a name that could stand in a certificate. Brackets of an IPv6 address may be there. */
export const serverName = (host: string): ServerName | null => {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  // a zone (fe80::1%eth0) means something on one machine only
  if (isIP(bare) !== 0) return { kind: 'ip', text: bare.toLowerCase().replace(/%.*$/, '') }
  const trimmed = host.endsWith('.') ? host.slice(0, -1) : host
  const ascii = isPlain(trimmed) ? trimmed.toLowerCase() : domainToASCII(trimmed)
  return isName(ascii) ? { kind: 'dns', text: ascii } : null
}

/** Underscores are no letters of host names, and hosts are named with them all the same. */
const isPlain = (name: string): boolean => /^[A-Za-z0-9._-]+$/.test(name)

/** RFC 1035 2.3.4: 253 characters of text in all, 63 in a label. An address in disguise is none (domainToASCII makes them). */
const isName = (ascii: string): boolean =>
  ascii.length > 0 && ascii.length <= 253 && isIP(ascii) === 0 && ascii.split('.').every(isLabel)

const isLabel = (label: string): boolean => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label)

/** Bytes of an address as certificates hold it: 4 or 16. Null where it is none. */
export const addressBytes = (text: string): Buffer | null => {
  if (isIP(text) === 4) return Buffer.from(text.split('.').map(Number))
  if (isIP(text) !== 6) return null
  const [head = '', tail] = v4Tail(text).split('::')
  const left = groups(head)
  const right = groups(tail ?? '')
  const middle = Array.from({ length: tail === undefined ? 0 : 8 - left.length - right.length }, () => 0)
  const bytes = Buffer.alloc(16)
  for (const [index, group] of [...left, ...middle, ...right].entries()) bytes.writeUInt16BE(group, index * 2)
  return bytes
}

const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map(group => Number.parseInt(group, 16)))

/** `::ffff:1.2.3.4` with its last 32 bits as groups. */
const v4Tail = (text: string): string => {
  const at = text.lastIndexOf(':') + 1
  if (!text.includes('.', at)) return text
  const [a = 0, b = 0, c = 0, d = 0] = text.slice(at).split('.').map(Number)
  return `${text.slice(0, at)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}
