import { X509Certificate } from 'node:crypto'

// What a server's first flight tells to who only listens: the version, and up to TLS 1.2 its certificate (RFC 5246 7.4). With
// TLS 1.3 everything behind the ServerHello is encrypted (RFC 8446 4.4).
//
//   records ──► handshake messages: 2 ServerHello | 11 Certificate | 14 ServerHelloDone        another record: no more is to be had

export type ServerHello =
  | {
      readonly kind: 'hello'
      /** As the wire has it, 0x0303 is TLS 1.2. */
      readonly version: number
      /** Null: it is encrypted, or a session of before goes on. */
      readonly certificate: X509Certificate | null
    }
  /** So far it is one. */
  | { readonly kind: 'partial' }
  | { readonly kind: 'none' }

const partial: ServerHello = { kind: 'partial' }
const none: ServerHello = { kind: 'none' }

export const readServerHello = (bytes: Buffer): ServerHello => {
  const { handshake, encrypted, broken } = handshakeOf(bytes)
  if (broken) return none
  let version = 0
  for (let at = 0; at + 4 <= handshake.length; ) {
    const type = handshake[at] ?? 0
    const end = at + 4 + handshake.readUIntBE(at + 1, 3)
    if (version === 0 && type !== 2) return none
    if (end > handshake.length) return encrypted && version !== 0 ? { kind: 'hello', version, certificate: null } : partial
    const body = handshake.subarray(at + 4, end)
    if (type === 2) {
      version = versionOf(body)
      if (version === 0) return none
      if (version >= 0x0304) return { kind: 'hello', version, certificate: null }
    } else if (type === 11) return { kind: 'hello', version, certificate: firstCertificate(body) }
    else if (type === 14) return { kind: 'hello', version, certificate: null }
    at = end
  }
  return encrypted && version !== 0 ? { kind: 'hello', version, certificate: null } : partial
}

/** `encrypted`: what follows is no handshake in clear. */
const handshakeOf = (bytes: Buffer): { readonly handshake: Buffer; readonly encrypted: boolean; readonly broken: boolean } => {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const type = bytes[at]
    if (type !== 22) return { handshake: Buffer.concat(parts), encrypted: true, broken: parts.length === 0 }
    if ((at + 1 < bytes.length && bytes[at + 1] !== 3) || (at + 5 <= bytes.length && bytes.readUInt16BE(at + 3) === 0)) {
      return { handshake: Buffer.alloc(0), encrypted: false, broken: true }
    }
    if (at + 5 > bytes.length) break
    const end = at + 5 + bytes.readUInt16BE(at + 3)
    parts.push(bytes.subarray(at + 5, end))
    at = end
  }
  return { handshake: Buffer.concat(parts), encrypted: false, broken: false }
}

/** Its own, or that of supported_versions (RFC 8446 4.2.1); 0 = it cannot be read. */
const versionOf = (body: Buffer): number => {
  if (body.length < 38 || body[0] !== 3) return 0
  const version = body.readUInt16BE(0)
  let at = 35 + (body[34] ?? 0) + 3
  if (at + 2 > body.length) return version
  const end = Math.min(body.length, at + 2 + body.readUInt16BE(at))
  for (at += 2; at + 4 <= end; ) {
    const type = body.readUInt16BE(at)
    const length = body.readUInt16BE(at + 2)
    if (type === 43 && length === 2 && at + 6 <= end) return body.readUInt16BE(at + 4)
    at += 4 + length
  }
  return version
}

const firstCertificate = (body: Buffer): X509Certificate | null => {
  if (body.length < 6) return null
  const length = body.readUIntBE(3, 3)
  try {
    return new X509Certificate(body.subarray(6, 6 + length))
  } catch {
    return null // the client will judge it
  }
}
