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

export class SessionCache {
  limits: SessionLimits
  readonly #now: () => WallMs
  /** Stored last at the end. */
  readonly #sessions = new Map<string, Kept>()
  #bytes = 0

  constructor(limits: SessionLimits, now: () => WallMs) {
    this.limits = limits
    this.#now = now
  }

  get size(): number {
    return this.#sessions.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** A session is used once: TLS 1.3 servers send new ones, and who watches cannot tell two connections are one client's. */
  take(key: string): Resumable | undefined {
    const kept = this.#sessions.get(key)
    if (kept === undefined) return undefined
    this.#forget(key, kept)
    return this.#now() < kept.until ? kept : undefined
  }

  store(key: string, { session, certificate }: Resumable): void {
    const { bytesMax, ttl } = this.limits
    const before = this.#sessions.get(key)
    if (before !== undefined) this.#forget(key, before)
    const kept = { session, certificate, until: Math.min(this.#now() + ttl, Date.parse(certificate.validTo)) }
    if (sizeOf(key, kept) > bytesMax) return
    this.#sessions.set(key, kept)
    this.#bytes += sizeOf(key, kept)
    for (const [oldest, first] of this.#sessions) {
      if (this.#bytes <= bytesMax) return
      this.#forget(oldest, first)
    }
  }

  #forget(key: string, kept: Kept): void {
    this.#sessions.delete(key)
    this.#bytes -= sizeOf(key, kept)
  }
}

/** A map entry, objects, and what OpenSSL makes of a certificate, which is some four times its bytes. */
const entryBytes = 500
const sizeOf = (key: string, { session, certificate }: Kept): number =>
  entryBytes + 2 * key.length + session.length + 4 * certificate.raw.length
