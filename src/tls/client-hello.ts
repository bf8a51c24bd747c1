// A TLS client hello as far as its server name (RFC 8446 4.1.2, RFC 6066 3). It may come in any number of segments, and
// in any number of records (RFC 8446 5.1).
//
//   record   22 | 3 x | length | handshake ...        handshake   1 | length | 3 x | random | session id | ciphers |
//   record   22 | 3 x | length | ... goes on                      compression | extensions

export type ClientHello =
  | {
      readonly kind: 'hello'
      /** Lower case; null = it names none. */
      readonly serverName: string | null
      /** As the wire has them, 0x0303 is TLS 1.2: its own, which TLS 1.3 clients pretend, and the highest it offers. */
      readonly version: number
      readonly offered: number
    }
  /** So far it is one. */
  | { readonly kind: 'partial' }
  | { readonly kind: 'none' }

const partial: ClientHello = { kind: 'partial' }
const none: ClientHello = { kind: 'none' }

/** RFC 8446 5.1: 2^14, and earlier versions allowed 1 KB above. */
const recordBytesMax = 2 ** 14 + 1024

export const readClientHello = (bytes: Buffer): ClientHello => {
  const handshake = handshakeOf(bytes)
  if (handshake === null) return none
  // each byte that has come must fit, so that what is none is told at once
  if (handshake.length > 0 && handshake[0] !== 1) return none
  if (handshake.length > 4 && handshake[4] !== 3) return none
  if (handshake.length > 5 && (handshake[5] ?? 0) > 4) return none
  if (handshake.length < 4) return partial
  const length = handshake.readUIntBE(1, 3)
  if (length < 41) return none // version, random, and the least of the three lists
  if (handshake.length < 4 + length) return partial
  return readBody(new Cursor(handshake.subarray(4, 4 + length)))
}

/** What the records carry so far; null = they are no handshake. */
const handshakeOf = (bytes: Buffer): Buffer | null => {
  const parts: Buffer[] = []
  let have = 0
  /** Bytes of the message, -1 = not said yet. */
  let need = -1
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] !== 22) return null
    if (at + 1 < bytes.length && bytes[at + 1] !== 3) return null
    if (at + 2 < bytes.length && (bytes[at + 2] ?? 0) > 4) return null
    if (at + 5 > bytes.length) break
    const length = bytes.readUInt16BE(at + 3)
    if (length === 0 || length > recordBytesMax) return null
    const part = bytes.subarray(at + 5, Math.min(at + 5 + length, bytes.length))
    parts.push(part)
    at += 5 + length
    have += part.length
    if (need < 0 && have >= 4) need = 4 + Buffer.concat(parts).readUIntBE(1, 3)
    if (need >= 0 && have >= need) break // what follows is another message
  }
  return Buffer.concat(parts)
}

const readBody = (body: Cursor): ClientHello => {
  const version = body.number(2)
  body.skip(32)
  body.skip(body.number(1))
  body.skip(body.number(2))
  body.skip(body.number(1))
  if (body.broken) return none
  if (body.left === 0) return { kind: 'hello', serverName: null, version, offered: version } // before extensions were invented
  const extensions = body.part(body.number(2))
  let serverName: string | null | undefined = null
  let offered = version
  while (extensions.left > 0 && !extensions.broken && serverName !== undefined) {
    const type = extensions.number(2)
    const content = extensions.part(extensions.number(2))
    if (extensions.broken) break
    if (type === 0) serverName = readServerName(content)
    else if (type === 43) offered = Math.max(offered, highestVersion(content))
  }
  return body.broken || extensions.broken || serverName === undefined ? none : { kind: 'hello', serverName, version, offered }
}

/** RFC 8446 4.2.1. Values like 0x2a2a are no versions: clients put them there so that servers learn to pass them over. */
const highestVersion = (content: Cursor): number => {
  const list = content.part(content.number(1))
  let highest = 0
  while (list.left > 1 && !list.broken) {
    const version = list.number(2)
    if (version >> 8 === 3) highest = Math.max(highest, version)
  }
  return highest
}

/** Undefined: it is broken. */
const readServerName = (content: Cursor): string | null | undefined => {
  const list = content.part(content.number(2))
  while (list.left > 0 && !list.broken) {
    const type = list.number(1)
    const name = list.part(list.number(2))
    if (type !== 0 || list.broken) continue
    const text = name.text().toLowerCase().replace(/\.$/, '')
    return /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(text) ? text : null
  }
  return list.broken || content.broken ? undefined : null
}

/** `TLS/1.3`, as Squid writes it. */
export const versionText = (version: number): string =>
  version === 0x0300 ? 'SSL/3.0' : version >> 8 === 3 ? `TLS/1.${(version & 0xff) - 1}` : ''

/** Reads in order; past the end everything is 0 and `broken` is true. */
class Cursor {
  broken = false
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  number(size: 1 | 2): number {
    if (this.left < size) this.broken = true
    if (this.broken) return 0
    const value = this.#bytes.readUIntBE(this.#at, size)
    this.#at += size
    return value
  }

  skip(size: number): void {
    if (this.left < size) this.broken = true
    else this.#at += size
  }

  part(size: number): Cursor {
    const start = this.#at
    this.skip(size)
    return new Cursor(this.#bytes.subarray(start, this.broken ? start : start + size))
  }

  text(): string {
    return this.#bytes.toString('latin1', this.#at)
  }
}
