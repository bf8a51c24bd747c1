import type { Bytes, DurationMs, WallMs } from '../base/index.ts'

// TLS sessions of servers, for a shorter handshake the next time. Only of servers whose certificate was without fault: what
// is resumed is not verified again, and within its time to live it stands for that verification.

export interface SessionLimits {
  /** sslproxy_session_cache_size; 0 = none is kept. */
  readonly bytesMax: Bytes
  /** sslproxy_session_ttl. */
  readonly ttl: DurationMs
}

interface Kept {
  readonly session: Buffer
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
  take(key: string): Buffer | undefined {
    const kept = this.#sessions.get(key)
    if (kept === undefined) return undefined
    this.#forget(key, kept)
    return this.#now() < kept.until ? kept.session : undefined
  }

  store(key: string, session: Buffer): void {
    const { bytesMax, ttl } = this.limits
    const before = this.#sessions.get(key)
    if (before !== undefined) this.#forget(key, before)
    const kept = { session, until: this.#now() + ttl }
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

/** A map entry, an object and a Buffer around the bytes. */
const entryBytes = 300
const sizeOf = (key: string, { session }: Kept): number => entryBytes + 2 * key.length + session.length
