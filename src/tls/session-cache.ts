import type { X509Certificate } from 'node:crypto'
import type { Bytes, DurationMs, WallMs } from '../base/index.ts'

// TLS sessions of servers, for a shorter handshake the next time. Only of servers whose certificate was without fault: what
// is resumed is not verified again, and within its time to live it stands for that verification.

export interface SessionLimits {
  /** sslproxy_session_cache_size; 0 = none is kept. */
  readonly bytesMax: Bytes
  /** sslproxy_session_ttl. */
  readonly ttl: DurationMs
}

/** What a later connection needs: Node does not tell whose certificate it was when a session is resumed. */
export interface Resumable {
  readonly session: Buffer
  readonly certificate: X509Certificate
}

interface Kept extends Resumable {
  readonly until: number
}

/** For connections that are made at once; a TLS 1.3 server sends two with each handshake. */
const perServerMax = 16

export class SessionCache {
  limits: SessionLimits
  readonly #now: () => WallMs
  /** Stored last at the end, in both. */
  readonly #sessions = new Map<string, Kept[]>()
  #bytes = 0
  #size = 0

  constructor(limits: SessionLimits, now: () => WallMs) {
    this.limits = limits
    this.#now = now
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** A session is used once: TLS 1.3 servers send new ones, and who watches cannot tell two connections are one client's. */
  take(key: string): Resumable | undefined {
    const all = this.#sessions.get(key)
    const kept = all?.pop()
    if (all === undefined || kept === undefined) return undefined
    this.#bytes -= sizeOf(key, kept)
    this.#size--
    if (all.length === 0) this.#sessions.delete(key)
    if (this.#now() < kept.until) return kept
    this.#forget(key, all) // the others are older
    return undefined
  }

  store(key: string, { session, certificate }: Resumable): void {
    const { bytesMax, ttl } = this.limits
    const kept = { session, certificate, until: Math.min(this.#now() + ttl, Date.parse(certificate.validTo)) }
    if (sizeOf(key, kept) > bytesMax) return
    const all = this.#sessions.get(key) ?? []
    this.#sessions.delete(key)
    this.#sessions.set(key, all)
    all.push(kept)
    this.#size++
    this.#bytes += sizeOf(key, kept)
    if (all.length > perServerMax) this.#dropOldest(key, all)
    for (const [oldest, others] of this.#sessions) {
      if (this.#bytes <= bytesMax) return
      while (this.#bytes > bytesMax && others.length > 0) this.#dropOldest(oldest, others)
    }
  }

  #dropOldest(key: string, all: Kept[]): void {
    const [first] = all.splice(0, 1)
    if (first === undefined) return
    this.#size--
    this.#bytes -= sizeOf(key, first)
    if (all.length === 0) this.#sessions.delete(key)
  }

  #forget(key: string, all: Kept[]): void {
    while (all.length > 0) this.#dropOldest(key, all)
  }
}

/** A map entry, objects, and what OpenSSL makes of a certificate, which is some four times its bytes. */
const entryBytes = 500
const sizeOf = (key: string, { session, certificate }: Kept): number =>
  entryBytes + 2 * key.length + session.length + 4 * certificate.raw.length
