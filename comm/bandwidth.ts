import { assert, type Clock, ms, type Timer } from '../src/base/index.ts'
import { CommError } from './error.ts'

// Bandwidth limits: buckets of tokens, a byte each, one for each direction. Whoever moves bytes takes tokens; one timer
// for all buckets fills them, and then wakes those who had to stop. The tokens lie in one array, which the native engine
// reads too; nothing is done per session and tick but two additions.
//
//   every 50 ms:  tokens += rate × time passed, up to the burst ──► resume: native relays, copying relays

const tickMs = 50
/** Buckets at once: one megabyte of tokens. Three sessions in four thousand clients fit with ease. */
const bucketsMax = 65_536
/** What may pass at once after a pause: a quarter of a second's worth, and never less than two large segments. */
const burstSeconds = 0.25
const burstBytesMin = 3000

/** Directions of a relay: what a sends, what b sends. */
export type Way = 0 | 1

/** A limit as it is asked for. */
export interface BandwidthShape {
  /** 0: what is in the bucket at first is all there will ever be. */
  readonly bytesPerSecond: number
  /** Bytes that may pass at once after a pause. */
  readonly burst: number
  /** Bytes that may pass at once at first, up to the burst. */
  readonly initial: number
  /** Only what b sends is counted: the server's side of a relay. */
  readonly fromServerOnly: boolean
}

/** Tokens of a direction that is not limited: nine petabytes last as long as any session. */
const unlimited = Number.MAX_SAFE_INTEGER

export class Bandwidth {
  readonly bytesPerSecond: number
  readonly burst: number
  /** In the array. */
  readonly index: number
  /** What a sends is not counted. */
  readonly fromServerOnly: boolean
  readonly #owner: Bandwidths
  #closed = false

  constructor(owner: Bandwidths, index: number, { bytesPerSecond, burst, fromServerOnly }: BandwidthShape) {
    this.#owner = owner
    this.index = index
    this.bytesPerSecond = bytesPerSecond
    this.burst = burst
    this.fromServerOnly = fromServerOnly
  }

  /** Where in the array the tokens of that way are. */
  tokensAt(way: Way): number {
    return 2 * this.index + way
  }

  /** Whole bytes that may pass now. */
  left(way: Way): number {
    return Math.max(0, Math.floor(this.#owner.tokens[this.tokensAt(way)] ?? 0))
  }

  /** More than is left may be taken of a piece that cannot be cut; it is owed then. */
  take(way: Way, bytes: number): void {
    const at = this.tokensAt(way)
    this.#owner.tokens[at] = (this.#owner.tokens[at] ?? 0) - bytes
  }

  /** Nobody uses it any more. Harmless when done before. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#owner.closed(this)
  }
}

const burstOf = (bytesPerSecond: number): number => Math.max(burstBytesMin, bytesPerSecond * burstSeconds)

export class Bandwidths {
  readonly #clock: Clock
  /** Made with the first bucket. */
  tokens = new Float64Array(0)
  /** Without holes, each knowing its place by #place. */
  readonly #open: Bandwidth[] = []
  readonly #place = new Map<Bandwidth, number>()
  readonly #free: number[] = []
  #used = 0
  readonly #resume = new Set<() => void>()
  #timer: Timer | null = null
  #filledAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#open.length
  }

  /** Both ways, a quarter of a second's worth at once, full at first. Throws CommError ENOBUFS when there are too many. */
  open(bytesPerSecond: number): Bandwidth {
    assert(bytesPerSecond > 0, 'a rate is more than nothing')
    const burst = burstOf(bytesPerSecond)
    return this.openShaped({ bytesPerSecond, burst, initial: burst, fromServerOnly: false })
  }

  /** Throws CommError ENOBUFS when there are too many. */
  openShaped(shape: BandwidthShape): Bandwidth {
    const { bytesPerSecond, initial, fromServerOnly } = shape
    assert(bytesPerSecond >= 0 && Number.isFinite(bytesPerSecond), 'a rate is a number, and has an end')
    if (this.tokens.length === 0) this.tokens = new Float64Array(2 * bucketsMax)
    const index = this.#free.pop() ?? (this.#used < bucketsMax ? this.#used++ : -1)
    if (index < 0) throw new CommError('ENOBUFS', 'bandwidth', `there are ${bucketsMax} bandwidth limits already`)
    const bucket = new Bandwidth(this, index, shape)
    this.tokens[2 * index] = fromServerOnly ? unlimited : initial
    this.tokens[2 * index + 1] = initial
    this.#place.set(bucket, this.#open.push(bucket) - 1)
    if (this.#timer === null) {
      this.#filledAt = this.#clock.mono()
      this.#arm()
    }
    return bucket
  }

  closed(bucket: Bandwidth): void {
    const place = this.#place.get(bucket)
    const last = this.#open.pop()
    if (place === undefined || last === undefined) return
    this.#place.delete(bucket)
    if (last !== bucket) {
      this.#open[place] = last
      this.#place.set(last, place)
    }
    this.#free.push(bucket.index)
  }

  /** Calls `resume` after each filling, until the answer is called. Who asked first is called first. */
  onFilled(resume: () => void): () => void {
    this.#resume.add(resume)
    return () => this.#resume.delete(resume)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#resume.clear()
  }

  #arm(): void {
    this.#timer = this.#clock.after(ms(tickMs), () => this.#tick(), { unref: true })
  }

  #tick(): void {
    const now = this.#clock.mono()
    const seconds = (now - this.#filledAt) / 1000
    this.#filledAt = now
    for (const { index, bytesPerSecond, burst } of this.#open) this.#fill(2 * index, bytesPerSecond * seconds, burst)
    // first, whatever those who resume do: without it nothing would be filled any more
    this.#timer = null
    if (this.#open.length > 0) this.#arm()
    for (const resume of [...this.#resume]) resume()
  }

  #fill(at: number, more: number, burst: number): void {
    for (let i = at; i < at + 2; i++) {
      // a tick that comes late may bring more than the burst: what it brings may pass, or the rate would not be reached
      const tokens = this.tokens[i] ?? 0
      if (tokens < burst) this.tokens[i] = Math.min(tokens + more, Math.max(burst, more))
    }
  }
}
