import type { Endpoint, ProxyError } from '../../../base/index.ts'
import type { OriginFetch, OriginHandler } from '../../../chainer/chainer.ts'
import type { Fields } from '../../../http/index.ts'
import type { Route } from '../../../router/router.ts'
import type { Transaction } from '../transaction.ts'
import { leftOf, poolFor, type Taken, takeFrom } from './pools.ts'

// delay_pools: between the origin and whoever reads from it. Of a piece as much goes on as the poorest bucket has; the
// rest, one piece at most, waits here for the next filling, and the origin with it.
//
//   origin ──onData──► Slowed ──► handler        no tokens: held, and the origin is paused
//                        ▲  └─ held piece
//        buckets filled ─┘

/** `send` asks the origin and is handed who hears of the answer. */
export const slowed = (t: Transaction, handler: OriginHandler, send: (to: OriginHandler) => OriginFetch): OriginFetch => {
  const slow = new Slowed(t, handler)
  slow.start(send)
  return slow
}

class Slowed implements OriginHandler, OriginFetch {
  readonly #t: Transaction
  readonly #handler: OriginHandler
  #fetch: OriginFetch | null = null
  #taken: Taken | null = null
  /** Bytes that pass without being counted. */
  #free = 0
  #held: Buffer | null = null
  /** The handler has said stop. */
  #full = false
  /** What is to be told when nothing is held any more. */
  #last: (() => void) | null = null
  #stopWaiting: (() => void) | null = null
  #over = false

  constructor(t: Transaction, handler: OriginHandler) {
    this.#t = t
    this.#handler = handler
  }

  start(send: (to: OriginHandler) => OriginFetch): void {
    this.#fetch = send(this)
  }

  // ---- for the owner

  get attempts(): number {
    return this.#fetch?.attempts ?? 1
  }

  resume(): void {
    if (this.#over) return
    this.#full = false
    if (this.#held === null) this.#fetch?.resume()
    else this.#goOn()
  }

  abort(): void {
    if (this.#over) return
    this.#end()
    this.#fetch?.abort()
  }

  // ---- from the origin

  onConnected(server: Endpoint, local: Endpoint | null, route: Route, reused: boolean): void {
    this.#handler.onConnected(server, local, route, reused)
  }

  onInterim(status: number, pairs: readonly string[]): void {
    this.#handler.onInterim(status, pairs)
  }

  onHead(status: number, reason: string, fields: Fields): void {
    const { client } = this.#t
    const { buckets } = client.deps
    const pools = this.#t.policy.delay?.server ?? []
    // without its client nobody can say whose it is; then it is only the store's
    // no-delay: what comes from that cache_peer costs nothing
    if (!this.#t.over && !client.gone && this.#t.peer?.line.noDelay !== true) this.#taken = poolFor(pools, this.#t.facts)?.take(takerOf(this.#t), buckets) ?? null
    if (this.#taken !== null) this.#free = this.#t.policy.delay?.free.find(({ when }) => when.holds(this.#t.facts))?.bytes ?? 0
    this.#handler.onHead(status, reason, fields)
  }

  onData(chunk: Buffer): boolean {
    if (this.#taken === null || (this.#free >= chunk.length && this.#held === null)) {
      this.#free -= chunk.length
      this.#full = !this.#handler.onData(chunk)
      return !this.#full
    }
    if (this.#held !== null) {
      this.#held = Buffer.concat([this.#held, chunk]) // what was on its way when it was told to stop
      return false
    }
    const { limits } = this.#taken
    const free = this.#free
    this.#free = 0
    const left = free + leftOf(limits)
    if (left >= chunk.length) {
      takeFrom(limits, chunk.length - free)
      this.#full = !this.#handler.onData(chunk)
      return !this.#full
    }
    if (left > 0) {
      takeFrom(limits, left - free)
      this.#full = !this.#handler.onData(chunk.subarray(0, left))
      if (this.#over) return false
    }
    this.#held = Buffer.from(chunk.subarray(left))
    this.#wait()
    return false
  }

  onDoubt(): void {
    if (!this.#over) this.#handler.onDoubt?.()
  }

  onEnd(trailers: readonly string[]): void {
    this.#finish(() => this.#handler.onEnd(trailers))
  }

  onError(error: ProxyError): void {
    this.#finish(() => this.#handler.onError(error))
  }

  #finish(tell: () => void): void {
    this.#last = tell
    if (this.#held === null) this.#tellLast()
  }

  #tellLast(): void {
    const tell = this.#last
    if (tell === null || this.#over) return
    this.#end()
    tell()
  }

  // ---- the buckets

  #wait(): void {
    this.#stopWaiting ??= this.#t.client.deps.buckets.onFilled(() => this.#goOn())
  }

  #rest(): void {
    this.#stopWaiting?.()
    this.#stopWaiting = null
  }

  #goOn(): void {
    const held = this.#held
    const taken = this.#taken
    if (held === null || taken === null || this.#full || this.#over) return
    const bytes = Math.min(leftOf(taken.limits), held.length)
    if (bytes === 0) return this.#wait()
    // who has had some goes behind those who have not
    this.#rest()
    this.#held = bytes === held.length ? null : held.subarray(bytes)
    takeFrom(taken.limits, bytes)
    this.#full = !this.#handler.onData(held.subarray(0, bytes))
    if (this.#over) return
    if (this.#held !== null) this.#wait()
    else if (this.#last !== null) this.#tellLast()
    else if (!this.#full) this.#fetch?.resume()
  }

  #end(): void {
    this.#over = true
    this.#held = null
    this.#rest()
    this.#taken?.giveBack()
  }
}

/** Whose buckets a transaction takes from. */
export const takerOf = (t: Transaction) => ({ address: t.addressBy(t.policy.indirectClient.delay), user: t.facts.user || t.facts.helperUser, tag: t.facts.tag })

/** What a relay to this client's server is limited by. no-delay: what comes from that cache_peer costs nothing. */
export const slowedTunnel = (t: Transaction): Taken | null =>
  t.peer?.line.noDelay === true ? null : (poolFor(t.policy.delay?.server ?? [], t.facts)?.take(takerOf(t), t.client.deps.buckets) ?? null)

/** delay_client_request_access: the first that allows. Of a relay to this client's server, what the client sends. */
export const slowedUploads = (t: Transaction): Taken | null =>
  poolFor(t.policy.delay?.requests ?? [], t.facts)?.take(takerOf(t), t.client.deps.buckets) ?? null

/** The same of a request's content. */
export const meterContent = (t: Transaction): void => {
  const taken = t.content === null ? null : slowedUploads(t)
  if (taken !== null) t.content?.slow(taken, t.client.deps.buckets)
}

/** response_delay_pool, then delay_client_reply_access: the first that allows. */
export const meterResponse = (t: Transaction): void => {
  const { delay } = t.policy
  if (delay === null || delay.response.length + delay.replies.length === 0) return
  const pool = delay.response.find(({ access }) => access.checkFast(t.facts).allowed)
  const { buckets } = t.client.deps
  t.client.meter(pool === undefined ? (poolFor(delay.replies, t.facts)?.take(takerOf(t), buckets) ?? null) : pool.take(buckets))
}
