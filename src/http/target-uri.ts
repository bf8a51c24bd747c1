import { canonicalAddress, formatIPv6, parseIPv4, parseIPv6 } from '../base/index.ts'
import { targetByte } from './characters.ts'

// Hosts, authorities and absolute URIs as requests carry them. Narrower than RFC 3986 where resolvers and servers
// read the same text differently: no user information (see user-information.ts), no percent-encoded or listed hosts, no IPv4 address in any
// other spelling than four decimal numbers.

export interface HostPort {
  /** Lower case; IPv6 in canonical form, without brackets. */
  readonly host: string
  /** 0 = not said. */
  readonly port: number
}

export interface TargetUri {
  /** Lower case. */
  readonly scheme: string
  readonly host: string
  /** 0 = the scheme's own. */
  readonly port: number
  /** Path and query, at least `/`; percent-encoding as received. */
  readonly path: string
}

/** Longest name DNS can carry, and a trailing dot. */
const hostLengthMax = 254

// 0 = no part of a host name; 1 = letter, digit or mark; 2 = upper-case letter; 3 = dot
const hostByte = new Uint8Array(128)
for (const c of 'abcdefghijklmnopqrstuvwxyz0123456789-_~') hostByte[c.charCodeAt(0)] = 1
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') hostByte[c.charCodeAt(0)] = 2
hostByte[46] = 3

/** The value of Host, or an authority without user information: `name`, `name:port`, `192.0.2.1:80`, `[::1]`. */
export const parseHostField = (text: string): HostPort | null => {
  if (text.charCodeAt(0) === 91) return bracketed(text)
  let upper = false
  let dotAt = -1
  let i = 0
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i)
    const kind = c < 128 ? hostByte[c] : 0
    if (kind === 1) continue
    if (kind === 2) upper = true
    else if (kind === 3) {
      if (dotAt === i - 1) return null // empty label, or a dot in front (dotAt starts at -1)
      dotAt = i
    } else break
  }
  if (i === 0 || i > hostLengthMax) return null
  const port = i === text.length ? 0 : portOf(text, i)
  if (port < 0) return null
  const name = i === text.length ? text : text.slice(0, i)
  if (endsInNumber(name, dotAt) && parseIPv4(name) < 0) return null
  return { host: upper ? name.toLowerCase() : name, port }
}

/** `[` and the longest spelling of an IPv6 address: eight groups, the last two as IPv4. */
const addressLengthMax = 46

const bracketed = (text: string): HostPort | null => {
  const close = text.indexOf(']')
  if (close < 0 || close > addressLengthMax) return null
  const groups = parseIPv6(text.slice(1, close))
  if (groups === null) return null
  const port = close + 1 === text.length ? 0 : portOf(text, close + 1)
  // base's canonical text: a v4-mapped address is the IPv4 address
  return port < 0 ? null : { host: canonicalAddress(text.slice(0, close + 1)) ?? formatIPv6(groups), port }
}

/** `:` and 1 to 5 digits, 1…65535; `:` alone is allowed (RFC 3986 3.2.3) and says nothing. -1 = malformed. */
const portOf = (text: string, colon: number): number => {
  if (text.charCodeAt(colon) !== 58) return -1
  const digits = text.length - colon - 1
  if (digits === 0) return 0
  if (digits > 5) return -1
  let port = 0
  for (let i = colon + 1; i < text.length; i++) {
    const c = text.charCodeAt(i) - 48
    if (c < 0 || c > 9) return -1
    port = port * 10 + c
  }
  return port >= 1 && port <= 65535 ? port : -1
}

/**
 * The last label is a number, decimal or 0x…: resolvers take such names for IPv4 addresses in inet_aton's spellings
 * (`127.1`, `0x7f000001`), so only the one spelling we read ourselves may pass.
 */
const endsInNumber = (name: string, lastDot: number): boolean => {
  let from = lastDot + 1
  let to = name.length
  if (from === to) {
    to--
    from = name.lastIndexOf('.', to - 1) + 1
  }
  const first = name.charCodeAt(from)
  if (first < 48 || first > 57) return false
  if (first === 48 && (name.charCodeAt(from + 1) | 32) === 120) return true
  for (let i = from; i < to; i++) {
    const c = name.charCodeAt(i)
    if (c < 48 || c > 57) return false
  }
  return true
}

/** The target of CONNECT: host and port, both there (RFC 9110 9.3.6). */
export const parseAuthority = (text: string): HostPort | null => {
  const parsed = parseHostField(text)
  return parsed === null || parsed.port === 0 ? null : parsed
}

/** absolute-form: scheme, `//`, authority, path and query. Null if it is none or has user information. */
export const parseAbsolute = (target: string): TargetUri | null => {
  const colon = target.indexOf(':')
  if (colon < 1 || !target.startsWith('//', colon + 1)) return null
  const scheme = schemeOf(target, colon)
  if (scheme === null) return null
  const authorityStart = colon + 3
  let end = authorityStart
  for (; end < target.length; end++) {
    const c = target.charCodeAt(end)
    if (c === 47 || c === 63) break // '/' or '?'
  }
  const authority = parseHostField(target.slice(authorityStart, end))
  if (authority === null) return null
  const rest = target.slice(end)
  for (let i = 0; i < rest.length; i++) {
    const c = rest.charCodeAt(i)
    if (c > 127 || targetByte[c] === 0) return null
  }
  const path = rest === '' ? '/' : rest.charCodeAt(0) === 63 ? `/${rest}` : rest
  return { scheme, host: authority.host, port: authority.port, path }
}

/** Letters only. RFC 3986 3.1 has digits, '+', '-', '.' too, in schemes no HTTP proxy carries and llhttp refuses. */
const schemeOf = (target: string, colon: number): string | null => {
  if (target.startsWith('cache_object:')) return 'cache_object' // Squid's own, not even a scheme by its grammar
  for (let i = 0; i < colon; i++) {
    const c = target.charCodeAt(i) | 32
    if (c < 97 || c > 122) return null
  }
  return colon === 4 && target.startsWith('http') ? 'http' : target.slice(0, colon).toLowerCase()
}

export const defaultPort = (scheme: string): number =>
  scheme === 'http' ? 80 : scheme === 'https' ? 443 : scheme === 'ftp' ? 21 : 0

/** A host as it stands in a URI: IPv6 in brackets. */
export const hostText = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** `host`, or `host:port` where the port is not the scheme's own: the value of Host towards an origin. */
export const authorityText = (scheme: string, host: string, port: number): string =>
  port === 0 || port === defaultPort(scheme) ? hostText(host) : `${hostText(host)}:${port}`

/**
 * A URI as the cache compares them (RFC 9110 4.2.3): scheme and host in lower case, the scheme's own port left out, an
 * empty path as `/`. Percent-encoding and dot segments stay as received: origins do tell them apart.
 */
export const uriText = (scheme: string, host: string, port: number, path: string): string =>
  `${scheme}://${authorityText(scheme, host, port)}${path}`

/**
 * The normalised form of a URI reference as Location and Content-Location carry it, resolved against `base`; null if
 * it is none of ours. The fragment is dropped.
 */
export const resolveReference = (reference: string, base: TargetUri): TargetUri | null => {
  const hash = reference.indexOf('#')
  const text = hash < 0 ? reference : reference.slice(0, hash)
  if (text === '') return base
  if (text.startsWith('//')) return parseAbsolute(`${base.scheme}:${text}`)
  const absolute = parseAbsolute(text)
  if (absolute !== null) return absolute
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text)) return null
  const pathEnd = base.path.indexOf('?') < 0 ? base.path.length : base.path.indexOf('?')
  const basePath = base.path.slice(0, pathEnd)
  const path =
    text.charCodeAt(0) === 47
      ? withoutDots(text)
      : text.charCodeAt(0) === 63
        ? basePath + text
        : withoutDots(basePath.slice(0, basePath.lastIndexOf('/') + 1) + text)
  return parseAbsolute(`${base.scheme}://${authorityText(base.scheme, base.host, base.port)}${path}`)
}

/** RFC 3986 5.2.4, for the path in front of a query. */
const withoutDots = (text: string): string => {
  const query = text.indexOf('?')
  const path = query < 0 ? text : text.slice(0, query)
  const out: string[] = []
  const segments = path.split('/').slice(1)
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1
    if (segment === '..') {
      out.pop()
      if (last) out.push('')
    } else if (segment === '.') {
      if (last) out.push('')
    } else out.push(segment)
  })
  return `/${out.join('/')}${query < 0 ? '' : text.slice(query)}`
}
