// Field names come in a few dozen spellings. A name that is read off the wire is looked up here by a hash made while
// its bytes are checked, so that neither the name nor its lower-case form costs a new string.

/** What the parser itself must know about a head; one bit each, so that absence costs one comparison. */
export const role = {
  host: 1,
  contentLength: 2,
  transferEncoding: 4,
  connection: 8,
  proxyConnection: 16,
  expect: 32,
  upgrade: 64,
} as const

/** A name as it is usually spelled on the wire. */
export interface KnownName {
  readonly name: string
  readonly lower: string
  readonly roles: number
}

const roles: Readonly<Record<string, number>> = {
  'host': role.host,
  'content-length': role.contentLength,
  'transfer-encoding': role.transferEncoding,
  'connection': role.connection,
  'proxy-connection': role.proxyConnection,
  'expect': role.expect,
  'upgrade': role.upgrade,
}

// Spelled as most senders spell them; the all-lower-case form is added below.
const usual = `
Accept Accept-CH Accept-Charset Accept-Encoding Accept-Language Accept-Patch Accept-Post Accept-Ranges
Access-Control-Allow-Credentials Access-Control-Allow-Headers Access-Control-Allow-Methods
Access-Control-Allow-Origin Access-Control-Expose-Headers Access-Control-Max-Age Access-Control-Request-Headers
Access-Control-Request-Method Age Allow Alt-Svc Alt-Used Authorization Cache-Control Cache-Status CDN-Cache-Control
CDN-Loop Clear-Site-Data Connection Content-Disposition Content-Encoding Content-Language Content-Length
Content-Location Content-MD5 Content-Range Content-Security-Policy Content-Security-Policy-Report-Only Content-Type
Cookie Cross-Origin-Embedder-Policy Cross-Origin-Opener-Policy Cross-Origin-Resource-Policy DNT Date ETag Expect
Expires Forwarded From Host HTTP2-Settings If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since
Keep-Alive Last-Modified Link Location Max-Forwards NEL Origin Permissions-Policy Pragma Priority
Proxy-Authenticate Proxy-Authentication-Info Proxy-Authorization Proxy-Connection Range Referer Referrer-Policy
Report-To Reporting-Endpoints Retry-After Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest
Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-GPC Sec-WebSocket-Accept Sec-WebSocket-Extensions
Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-WebSocket-Version Server Server-Timing Set-Cookie SOAPAction
Strict-Transport-Security Surrogate-Control TE Timing-Allow-Origin Trailer Transfer-Encoding Upgrade
Upgrade-Insecure-Requests User-Agent Vary Via Warning WWW-Authenticate X-Cache X-Cache-Lookup
X-Content-Type-Options X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Proto X-Frame-Options
X-Powered-By X-Real-IP X-Request-ID X-Requested-With X-XSS-Protection`
  .trim()
  .split(/\s+/)

const spellings = [
  ...usual,
  ...usual.map(name => name.toLowerCase()),
  ...['CONNECTION', 'HOST', 'Etag', 'Sec-Websocket-Key', 'Sec-Websocket-Version', 'Www-Authenticate', 'X-Request-Id'],
  ...['sec-ch-ua', 'Content-length', 'Content-type', 'Cache-control', 'Last-modified', 'User-agent', 'Dnt'],
]

export const knownNames: readonly KnownName[] = [...new Set(spellings)].map(name => {
  const lower = name.toLowerCase()
  return { name, lower, roles: roles[lower] ?? 0 }
})

// Open addressing. The table is written once, at load, so a peer cannot fill it or make its chains long.
const slotCount = 2048
const slots = new Array<KnownName | null>(slotCount).fill(null)

/** One step of the hash: start with 0, once for each byte as received. */
export const hashStep = (hash: number, byte: number): number => (Math.imul(hash, 31) + byte) | 0

const hashOf = (name: string): number => {
  let hash = 0
  for (let i = 0; i < name.length; i++) hash = hashStep(hash, name.charCodeAt(i))
  return hash
}

const slotOf = (hash: number): number => (hash ^ (hash >>> 15)) & (slotCount - 1)

const bySpelling = new Map<string, KnownName>()

for (const known of knownNames) {
  let slot = slotOf(hashOf(known.name))
  while (slots[slot] !== null) slot = (slot + 1) & (slotCount - 1)
  slots[slot] = known
  bySpelling.set(known.name, known)
}

/** The known name spelled exactly as slab[start, end), whose hash is `hash`; null if there is none. */
export const knownNameAt = (slab: Uint8Array, start: number, end: number, hash: number): KnownName | null => {
  let slot = slotOf(hash)
  for (;;) {
    const known = slots[slot] ?? null
    if (known === null || spelled(known.name, slab, start, end)) return known
    slot = (slot + 1) & (slotCount - 1)
  }
}

const spelled = (name: string, slab: Uint8Array, start: number, end: number): boolean => {
  if (name.length !== end - start) return false
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) !== slab[start + i]) return false
  return true
}

/** The lower-case form of a name, the shared string where the name is a known one. */
export const lowerName = (name: string): string => bySpelling.get(name)?.lower ?? name.toLowerCase()

/** What is known of a name by its lower-case form, for spellings nobody listed: HOst, content-LENGTH. */
export const knownLower = (lower: string): KnownName | undefined => bySpelling.get(lower)
