import { createHash, type KeyObject, X509Certificate } from 'node:crypto'
import tls from 'node:tls'
import type { WallMs } from '../base/index.ts'
import type { Authority, LeafKey, Signer } from './authority.ts'
import { commonNameOf } from './authority.ts'
import { keyUsageBits, keyUsageOf, partsOf } from './certificate-parts.ts'
import { altNameOf, type CertificatePlan, commonName, issue, keyIdOf, serverAuth, serverKeyUsage, type SignHash } from './certificate.ts'
import { pem } from './der.ts'
import { serverName } from './server-name.ts'

// Certificates for clients of bumped connections: what the real server showed, in our key and with our signature, or what a
// name alone can tell. The same wish gets the same certificate as long as it is kept.
//
//   wish ──► kept? ──► the leaf, at once
//              └─ no ─► plan (subject, names, dates) ──► signature (thread pool) ──► kept, within bytesMax

/** sslproxy_cert_sign. */
export const signAlgorithms = {
  signTrusted: 'by the CA of the port',
  signUntrusted: 'by a CA made for it that nobody trusts',
  signSelf: 'by itself',
} as const
export type SignAlgorithm = keyof typeof signAlgorithms

/** sslproxy_cert_adapt: what is not taken over from the real certificate. */
export interface Adaptation {
  /** notAfter of the CA instead. */
  readonly setValidAfter: boolean
  /** notBefore of the CA instead. */
  readonly setValidBefore: boolean
  /** This common name instead, and no other name; null = the real one's. */
  readonly setCommonName: string | null
}

export const noAdaptation: Adaptation = { setValidAfter: false, setValidBefore: false, setCommonName: null }

export interface LeafWish {
  /** Host name or address; what the certificate is for where there is none to mimic. */
  readonly name: string
  /** The server's own; null = unknown. */
  readonly like: X509Certificate | null
  readonly sign: SignAlgorithm
  readonly adapt: Adaptation
}

/** A certificate with its key, ready to be shown. */
export interface Leaf {
  readonly certificate: X509Certificate
  /** PEM: the leaf, then those that go with it. */
  readonly chain: string
  /** PEM. */
  readonly key: string
  readonly context: tls.SecureContext
}

export type LeafAnswer = { readonly ok: true; readonly leaf: Leaf } | { readonly ok: false; readonly reason: string }

export interface MintOptions {
  readonly authority: Authority
  /** dynamic_cert_mem_cache_size, in bytes; 0 = nothing is kept. */
  readonly bytesMax: number
  /** sslproxy_cert_sign_hash. */
  readonly hash: SignHash
  readonly now: () => WallMs
  /** Options of contexts: minVersion, ciphers, ... */
  readonly context?: tls.SecureContextOptions
}

export interface MintCounters {
  made: number
  kept: number
  refused: number
}

export class Mint {
  readonly counters: MintCounters = { made: 0, kept: 0, refused: 0 }
  readonly #options: MintOptions
  /** Used last at the end. */
  readonly #leaves = new Map<string, { readonly leaf: Leaf; readonly bytes: number; readonly until: number }>()
  readonly #making = new Map<string, Promise<LeafAnswer>>()
  #bytes = 0
  #bytesMax: number

  constructor(options: MintOptions) {
    this.#options = options
    this.#bytesMax = options.bytesMax
  }

  /** dynamic_cert_mem_cache_size. */
  set bytesMax(bytesMax: number) {
    this.#bytesMax = bytesMax
    this.#dropOldest()
  }

  /** Bytes the kept certificates take, about. */
  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#leaves.size
  }

  /** At once where it is kept. The same wish asked again meanwhile is answered by the same work. */
  leaf(wish: LeafWish): LeafAnswer | Promise<LeafAnswer> {
    const key = keyOf(wish)
    const kept = this.#leaves.get(key)
    if (kept !== undefined) {
      this.#leaves.delete(key)
      if (this.#options.now() < kept.until) {
        this.#leaves.set(key, kept)
        this.counters.kept++
        return { ok: true, leaf: kept.leaf }
      }
      this.#bytes -= kept.bytes
    }
    const making = this.#making.get(key)
    if (making !== undefined) return making
    const made = this.#make(wish, key).finally(() => this.#making.delete(key))
    this.#making.set(key, made)
    return made
  }

  async #make(wish: LeafWish, key: string): Promise<LeafAnswer> {
    const { authority, hash } = this.#options
    const leafKey = await authority.leafKey()
    const signer = wish.sign === 'signTrusted' ? authority.trusted : wish.sign === 'signUntrusted' ? await authority.untrusted(hash) : null
    const plan = planOf(wish, leafKey.publicKey, signer, authority.trusted, this.#options.now())
    if (typeof plan === 'string') {
      this.counters.refused++
      return { ok: false, reason: plan }
    }
    const der = await issue(plan, signer === null ? leafKey.privateKey : signer.key, hash)
    this.counters.made++
    const leaf = this.#leafOf(der, signer, leafKey)
    // a certificate by name says "valid from today": it is made again long before its end
    this.#keep(key, leaf, wish.like === null ? this.#options.now() + dayMs : Number.POSITIVE_INFINITY)
    return { ok: true, leaf }
  }

  #leafOf(der: Buffer, signer: Signer | null, { pem: key }: LeafKey): Leaf {
    const chain = pem(der, 'CERTIFICATE') + (signer?.chain ?? '')
    const context = tls.createSecureContext({ ...this.#options.context, cert: chain, key })
    return { certificate: new X509Certificate(der), chain, key, context }
  }

  #keep(key: string, leaf: Leaf, until: number): void {
    const bytes = contextBytes + 2 * leaf.chain.length
    if (bytes > this.#bytesMax) return
    this.#leaves.set(key, { leaf, bytes, until })
    this.#bytes += bytes
    this.#dropOldest()
  }

  #dropOldest(): void {
    for (const [oldest, { bytes: freed }] of this.#leaves) {
      if (this.#bytes <= this.#bytesMax) return
      this.#leaves.delete(oldest)
      this.#bytes -= freed
    }
  }
}

/** What OpenSSL's context takes with certificate and key, measured over 2000 of them (Node 26, x64): 35.6 KB each. */
const contextBytes = 36 * 1024

const dayMs = 86_400_000

const keyOf = ({ name, like, sign, adapt }: LeafWish): string => {
  const { setValidAfter, setValidBefore, setCommonName } = adapt
  const real = like === null ? name.toLowerCase() : createHash('sha256').update(like.raw).digest('base64')
  return `${sign} ${like === null ? 'name' : 'like'} ${real} ${setValidAfter} ${setValidBefore} ${setCommonName ?? '-'}`
}

// ---- what the certificate says

/** A reason where the name is none. */
const planOf = (wish: LeafWish, publicKey: KeyObject, signer: Signer | null, ca: Signer, now: WallMs): CertificatePlan | string => {
  const named = namesOf(wish)
  if (typeof named === 'string') return named
  const dates = datesOf(wish, ca, now)
  const usages = usagesOf(wish, publicKey)
  const own = keyIdOf(publicKey.export({ type: 'spki', format: 'der' }))
  return {
    issuer: signer === null ? named.subject : signer.parts.subject,
    issuerKeyId: signer === null ? own : signer.parts.subjectKeyId,
    publicKey,
    isCa: false,
    ...named,
    ...dates,
    ...usages,
  }
}

const namesOf = ({ name, like, adapt }: LeafWish): Pick<CertificatePlan, 'subject' | 'subjectAltName'> | string => {
  const only = adapt.setCommonName ?? (like === null ? name : null)
  if (only !== null) {
    const server = serverName(only)
    return server === null
      ? `'${only.slice(0, 100)}' is no name a certificate could have`
      : { subject: commonName(server.text), subjectAltName: altNameOf(server) }
  }
  const parts = like === null ? null : partsOf(like)
  if (parts === null) return "the server's certificate cannot be read"
  // clients of today look at alternative names only; old certificates have none
  const cn = parts.subjectAltName === null ? serverName(commonNameOf(parts.subject).replace(/^\*\./, '')) : null
  const wild = cn !== null && commonNameOf(parts.subject).startsWith('*.')
  const fromCn = cn === null ? null : altNameOf(wild ? { kind: 'dns', text: `*.${cn.text}` } : cn)
  return { subject: parts.subject, subjectAltName: parts.subjectAltName ?? fromCn }
}

/**
 * By name: from the week before (clocks of clients go wrong) for 397 days, which is what clients allow, as far as the CA's
 * dates go. Days begin at midnight, so that a name has the same certificate all day.
 */
const datesOf = ({ like, adapt }: LeafWish, ca: Signer, now: WallMs): Pick<CertificatePlan, 'notBefore' | 'notAfter'> => {
  const caFrom = new Date(ca.certificate.validFrom)
  const caUntil = new Date(ca.certificate.validTo)
  const today = Math.floor(now / dayMs) * dayMs
  const from = like === null ? new Date(Math.max(caFrom.getTime(), today - 7 * dayMs)) : new Date(like.validFrom)
  const until = like === null ? new Date(Math.min(caUntil.getTime(), today + 390 * dayMs)) : new Date(like.validTo)
  return { notBefore: adapt.setValidBefore ? caFrom : from, notAfter: adapt.setValidAfter ? caUntil : until }
}

/**
 * What the real key may be used for, as far as a key of another kind can do it: RSA may have to decipher, which no other key
 * does. A KeyUsage that would leave nothing for a TLS server is not taken over, and one that signs itself has none: without
 * keyCertSign it would be no signature for OpenSSL.
 */
const usagesOf = ({ like, sign }: LeafWish, publicKey: KeyObject): Pick<CertificatePlan, 'keyUsage' | 'extendedKeyUsage'> => {
  const parts = like === null ? null : partsOf(like)
  const usual = serverKeyUsage(publicKey)
  const real = parts === null || parts.keyUsage === null ? usual : keyUsageOf(parts.keyUsage)
  const both = keyUsageBits.keyEncipherment | keyUsageBits.keyAgreement
  const exchanges = real & both ? usual & keyUsageBits.keyEncipherment : 0
  const keyUsage = (real & keyUsageBits.digitalSignature) | exchanges
  return { keyUsage: sign === 'signSelf' ? 0 : keyUsage === 0 ? usual : keyUsage, extendedKeyUsage: parts === null ? serverAuth : parts.extendedKeyUsage }
}
