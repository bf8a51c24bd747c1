import {
  assert, type Bytes, type Deadlines, type DurationMs, type FieldView, type MonoMs, type Watched,
} from '../base/index.ts'
import type { ContentReader, ContentSource } from './content-source.ts'
import type { Writer } from './store/store.ts'
import type { StoredResponse } from './stored-response.ts'
import { selects } from './vary.ts'

// One fetch that several requests live on.
//
//   origin ──► source ──► Growing ──► follower: its own position, its own pace
//                            │   └──► follower
//                            └──────► writer (store)
//
//   waiting ──respond──► flowing ──end──► over          dissolve, settle, fail: over from wherever it was
//
// While the writer takes the content, all of it is here, so everybody may be as slow as he likes and newcomers start from
// the first byte: in memory, where the writer keeps it there (the store's limit bounds it); else in the writer's file,
// and in memory only the last of it. Who lags behind that reads the file until he has caught up.
//
//   content  |···· readable at the writer ····|······|
//                                  |···· in memory ··|        dropped │ pieces
//
// When the content turns out too large to be stored, only the window between the slowest and the fastest follower is
// kept; a full window pauses the source. Somebody who makes all others wait is cut off after a while.
//
// Callbacks only; no promise, no timer of its own. A reader may call leave, pause and resume in any callback.

export const releaseReasons = {
  'not-shareable': { again: false, doc: 'the response may not be stored, so it is for the first client alone' },
  'other-variant': { again: true, doc: 'its Vary names a field in which this request differs' },
  'failed': { again: false, doc: 'the fetch failed before a response came' },
  'too-slow': { again: false, doc: 'no response within collapse wait' },
} as const

/** Why a waiting request must fetch for itself; `again`: it may join or begin another collapsed fetch first. */
export type ReleaseReason = keyof typeof releaseReasons

export const followFailures = {
  'source-failed': 'the content broke off at the origin',
  'too-slow': 'this client made all others wait for longer than allowed',
} as const

export type FollowFailure = keyof typeof followFailures

/** One request that lives on the fetch. Exactly one of the calls marked `last` is made, unless it leaves before. */
export interface FollowReader {
  readonly requestFields: FieldView
  /** The response may be used for it; content follows, of `response.contentLength` bytes unless that is -1. */
  onHead(response: StoredResponse): void
  /** Bytes to be kept or written, not changed. False = no more until `resume`. */
  onPiece(piece: Buffer): boolean
  /** Last: the content is complete. */
  onEnd(): void
  /** Last: this stored response, validated just now, is the answer. Instead of onHead. */
  onStored(stored: StoredResponse): void
  /** Last: fetch for yourself. Instead of onHead. */
  onRelease(reason: ReleaseReason): void
  /** Last: it broke off after onHead. */
  onFail(why: FollowFailure): void
}

/** The fetch itself, as its owner lets it be steered. */
export interface GrowingSource {
  pause(): void
  resume(): void
  /** Nobody lives on it any more: the owner decides whether to go on (quick_abort) or to give up. */
  deserted(): void
}

export interface GrowingLimits {
  /** Bytes kept between slowest and fastest follower once the content is not stored, or can be read elsewhere. */
  readonly windowBytesMax: Bytes
  /** How far the source may be ahead of the fastest follower, stored or not. Nobody there: as far as it likes. */
  readonly readAheadBytesMax: Bytes
  readonly followersMax: number
  /** How long a request waits for the head at most. */
  readonly waitMax: DurationMs
  /** How long one follower may make the others wait. */
  readonly holdMax: DurationMs
}

type State = 'waiting' | 'flowing' | 'over'

/** What is read at once for somebody who lags behind. */
const behindBytes = 64 * 1024

export class Growing implements Watched {
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly #source: GrowingSource
  readonly #limits: GrowingLimits
  readonly #deadlines: Deadlines
  readonly #onOver: (growing: Growing) => void
  readonly #followers = new Set<Follower>()
  #state: State = 'waiting'
  #response: StoredResponse | null = null
  #writer: Writer | null = null
  /** All content since the first byte is here or at the writer, and will stay until the end. */
  #whole = true
  /** Some content is gone. */
  #lost = false
  #open = true
  #ended = false
  readonly #pieces: Buffer[] = []
  /** How many pieces were dropped in front of pieces[0], and their bytes. */
  #dropped = 0
  #droppedBytes = 0
  #windowBytes = 0
  /** All content so far. */
  #bytes = 0
  #sourcePaused = false

  constructor(
    source: GrowingSource,
    limits: GrowingLimits,
    deadlines: Deadlines,
    onOver: (growing: Growing) => void = () => {},
  ) {
    this.#source = source
    this.#limits = limits
    this.#deadlines = deadlines
    this.#onOver = onOver
  }

  /** null while no head has come. */
  get response(): StoredResponse | null {
    return this.#response
  }

  get followers(): number {
    return this.#followers.size
  }

  get over(): boolean {
    return this.#state === 'over'
  }

  /** Content in memory. */
  get bytesInMemory(): number {
    return this.#windowBytes
  }

  // --- for requests ---

  /** The request may wait for the head, or begin reading now. */
  joinable(request: FieldView): boolean {
    if (!this.#open || this.#state === 'over' || this.#followers.size >= this.#limits.followersMax) return false
    return this.#response === null || (this.#whole && selects(this.#response.selecting, request))
  }

  /**
   * Starts paused: nothing is called before its first `resume`. For requests this is `joinable` to, and for the one
   * whose fetch it is, which may read along whatever the limits say, from the first byte.
   */
  follow(reader: FollowReader): Follower {
    assert(this.#state !== 'over' && !this.#lost, 'what is followed is here from its first byte on')
    const follower = new Follower(this, reader)
    this.#followers.add(follower)
    if (this.#dropped > 0) this.#fallBehind(follower, 0)
    if (this.#state === 'waiting') this.#deadlines.set(follower, this.#limits.waitMax)
    return follower
  }

  /** Newcomers stay out from now on: what is coming may be older than a change. */
  close(): void {
    this.#open = false
  }

  // --- for the owner of the fetch ---

  /** The head has come and may be shared. Without a writer the content is not stored. */
  respond(response: StoredResponse, writer: Writer | null): void {
    assert(this.#state === 'waiting', 'a growing response gets one head')
    this.#state = 'flowing'
    this.#response = response
    this.#writer = writer
    this.#whole = writer !== null
    if (writer !== null) writer.onRelieved = () => this.#steer()
    for (const follower of [...this.#followers]) {
      this.#deadlines.forget(follower)
      if (!selects(response.selecting, follower.reader.requestFields)) this.#release(follower, 'other-variant')
      else this.#deliver(follower)
    }
  }

  /** `chunk` is copied: it may be a part of a read buffer. */
  append(chunk: Uint8Array): void {
    if (this.#state !== 'flowing' || chunk.length === 0) return
    this.#bytes += chunk.length
    const kept: Buffer[] = []
    if (this.#writer !== null && !this.#writer.append(chunk, kept)) {
      this.#writer = null
      this.#whole = false
      this.#dropRead()
    }
    // the writer has kept nothing, or there is none
    if (this.#writer === null) {
      if (this.#followers.size > 0) kept.push(Buffer.from(chunk))
      else this.#lost = true
    }
    for (const piece of kept) {
      this.#pieces.push(piece)
      this.#windowBytes += piece.length
    }
    for (const follower of [...this.#followers]) this.#deliver(follower)
    this.#dropRead()
    this.#steer()
  }

  /** What has come is not to be stored after all; those who follow have it. */
  doubt(): void {
    if (this.#writer === null) return
    this.#writer.abandon()
    this.#writer = null
    this.#whole = false
  }

  /** The content is complete. Answers what was stored, null if nothing. */
  end(): StoredResponse | null {
    if (this.#state !== 'flowing' || this.#ended) return null
    const stored = this.#writer?.complete() ?? null
    if (this.#writer?.refusal === 'incomplete') {
      this.fail()
      return null
    }
    this.#ended = true
    this.#writer = null
    this.#open = false
    for (const follower of [...this.#followers]) this.#deliver(follower)
    if (this.#followers.size === 0) this.#finish()
    return stored
  }

  /** Before the head: all fetch for themselves. After it: what they have is broken. */
  fail(): void {
    this.#writer?.abandon()
    this.#finish()
    for (const follower of this.#takeAll()) giveUp(follower, 'source-failed')
  }

  /** The response is for the owner alone. */
  dissolve(reason: ReleaseReason): void {
    assert(this.#state !== 'flowing', 'what others are reading is not dissolved')
    this.#finish()
    for (const follower of this.#takeAll()) follower.reader.onRelease(reason)
  }

  /** A validation said: this stored response still holds. */
  settle(stored: StoredResponse): void {
    assert(this.#state !== 'flowing', 'what others are reading is not settled')
    this.#finish()
    for (const follower of this.#takeAll()) {
      if (selects(stored.selecting, follower.reader.requestFields)) follower.reader.onStored(stored)
      else follower.reader.onRelease('other-variant')
    }
  }

  // --- between the two ---

  /** Called by followers. */
  resumed(follower: Follower): void {
    if (!this.#followers.has(follower)) return
    this.#deliver(follower)
    this.#steer()
  }

  left(follower: Follower): void {
    if (!this.#followers.delete(follower)) return
    this.#deadlines.forget(follower)
    follower.closeReader()
    if (this.#followers.size === 0) {
      if (this.#ended) this.#finish()
      else if (this.#state !== 'over') this.#source.deserted()
    }
    this.#dropRead()
    this.#steer()
  }

  /** No head came in time. */
  waitedTooLong(follower: Follower): void {
    if (this.#state === 'waiting' && this.#followers.has(follower)) this.#release(follower, 'too-slow')
  }

  /** Somebody has held the others for too long. */
  deadlinePassed(): void {
    if (!this.#sourcePaused || this.#state === 'over' || this.#writer?.pressed === true) return
    const slowest = this.#slowestAt(false)
    for (const follower of [...this.#followers]) {
      if ((follower.behindAt < 0 ? follower.at : this.#dropped) !== slowest) continue
      this.#followers.delete(follower)
      follower.closeReader()
      giveUp(follower, 'too-slow')
    }
    this.#dropRead()
    this.#steer()
  }

  #deliver(follower: Follower): void {
    if (follower.paused || follower.delivering || this.#response === null) return
    follower.delivering = true
    if (!follower.hasHead) {
      follower.hasHead = true
      follower.reader.onHead(this.#response)
    }
    if (follower.behindAt === this.#droppedBytes) this.#caughtUp(follower)
    while (!follower.paused && follower.behindAt < 0 && this.#followers.has(follower) && this.#hasMore(follower)) {
      const piece = this.#pieces[follower.at - this.#dropped] as Buffer // within by the loop
      follower.at++
      follower.bytes += piece.length
      if (!follower.reader.onPiece(piece)) follower.paused = true
    }
    follower.delivering = false
    if (follower.behindAt >= 0) {
      if (!follower.reading && !follower.paused && this.#followers.has(follower)) this.#readBehind(follower)
      return
    }
    this.#dropRead()
    if (!this.#ended || !this.#followers.has(follower) || this.#hasMore(follower)) return
    // the last piece has been taken: nothing more will come, whether it wants more or not
    this.#followers.delete(follower)
    follower.reader.onEnd()
    if (this.#followers.size === 0) this.#finish()
  }

  #hasMore(follower: Follower): boolean {
    return follower.at < this.#dropped + this.#pieces.length
  }

  /** What it wants next has left memory, or will in a moment. */
  #fallBehind(follower: Follower, at: number): void {
    follower.behindAt = at
    follower.openReader(this.#writer?.source ?? null)
  }

  #caughtUp(follower: Follower): void {
    follower.behindAt = -1
    follower.at = this.#dropped
    follower.closeReader()
  }

  /** A piece from where it was written, for one who lags behind. */
  #readBehind(follower: Follower): void {
    const at = follower.behindAt
    const piece = Buffer.allocUnsafeSlow(Math.min(behindBytes, this.#droppedBytes - at))
    follower.reading = true
    void follower.read(at, piece).then(count => {
      follower.reading = false
      if (!this.#followers.has(follower)) return
      if (count <= 0) {
        this.#followers.delete(follower)
        follower.closeReader()
        giveUp(follower, 'source-failed')
        if (this.#followers.size === 0 && this.#ended) this.#finish()
        this.#dropRead()
        this.#steer()
        return
      }
      // paused meanwhile: read once more when it goes on
      if (!follower.paused) {
        follower.behindAt = at + count
        follower.bytes = at + count
        if (!follower.reader.onPiece(piece.subarray(0, count))) follower.paused = true
      }
      this.#deliver(follower)
      this.#steer()
    })
  }

  /**
   * Lets go of what everybody has read, unless newcomers may still want it; and of what is more than a window, where it
   * can be read at the writer.
   */
  #dropRead(): void {
    const readable = this.#writer?.source === null ? 0 : (this.#writer?.readable ?? 0)
    const elsewhere = readable > 0
    if (this.#whole && !this.#ended && !elsewhere) return
    const slowest = this.#slowestAt(elsewhere)
    let count = 0
    let bytes = 0
    while (count < this.#pieces.length) {
      const length = (this.#pieces[count] as Buffer).length // within by the loop
      const readByAll = this.#dropped + count < slowest
      if (elsewhere && this.#droppedBytes + bytes + length > readable) break
      if (!readByAll && (!elsewhere || this.#windowBytes - bytes <= this.#limits.windowBytesMax)) break
      bytes += length
      count++
    }
    if (count === 0) return
    if (elsewhere) this.#leaveBehind(this.#dropped + count)
    else this.#lost = true
    this.#pieces.splice(0, count)
    this.#dropped += count
    this.#droppedBytes += bytes
    this.#windowBytes -= bytes
  }

  /** Those who have not come as far as piece `to` read elsewhere from now on. */
  #leaveBehind(to: number): void {
    for (const follower of this.#followers) {
      if (follower.behindAt >= 0 || follower.at >= to) continue
      let at = this.#droppedBytes
      for (let i = 0; i < follower.at - this.#dropped; i++) at += (this.#pieces[i] as Buffer).length // before `to`
      this.#fallBehind(follower, at)
    }
  }

  /** `elsewhere`: those who lag behind read there, and hold nothing here. */
  #slowestAt(elsewhere: boolean): number {
    let slowest = this.#dropped + this.#pieces.length
    for (const follower of this.#followers) {
      if (follower.behindAt < 0) slowest = Math.min(slowest, follower.at)
      else if (!elsewhere) slowest = this.#dropped
    }
    return slowest
  }

  #steer(): void {
    if (this.#state !== 'flowing' || this.#ended) return
    const pressed = this.#writer?.pressed === true
    const full = !this.#whole && this.#windowBytes >= this.#limits.windowBytesMax
    const ahead = this.#isAhead()
    if ((full || pressed || ahead) && !this.#sourcePaused) {
      this.#sourcePaused = true
      this.#source.pause()
    } else if (
      this.#sourcePaused && !pressed && !ahead && (this.#whole || this.#windowBytes <= this.#limits.windowBytesMax / 2)
    ) {
      this.#sourcePaused = false
      this.#deadlines.forget(this)
      this.#source.resume()
    }
    if (this.#sourcePaused && !pressed && this.deadlineTurn === 0 && this.#somebodyWaits()) {
      this.#deadlines.set(this, this.#limits.holdMax)
    }
  }

  /** Even the fastest has so much before it that more can wait: only when all are paused or lag behind. */
  #isAhead(): boolean {
    if (this.#followers.size === 0) return false
    let fastest = 0
    for (const { bytes } of this.#followers) {
      if (bytes === this.#bytes) return false
      if (bytes > fastest) fastest = bytes
    }
    return this.#bytes - fastest > this.#limits.readAheadBytesMax
  }

  /** Has read everything and wants more, while another holds the source. */
  #somebodyWaits(): boolean {
    const end = this.#dropped + this.#pieces.length
    for (const { paused, behindAt, at } of this.#followers) if (!paused && behindAt < 0 && at === end) return true
    return false
  }

  #release(follower: Follower, reason: ReleaseReason): void {
    this.#followers.delete(follower)
    this.#deadlines.forget(follower)
    follower.reader.onRelease(reason)
    if (this.#followers.size === 0 && this.#state !== 'over') this.#source.deserted()
  }

  #takeAll(): Follower[] {
    const followers = [...this.#followers]
    this.#followers.clear()
    for (const follower of followers) {
      this.#deadlines.forget(follower)
      follower.closeReader()
    }
    return followers
  }

  #finish(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#open = false
    this.#writer = null
    this.#deadlines.forget(this)
    if (this.#followers.size === 0) this.#pieces.length = 0
    this.#onOver(this)
  }
}

const giveUp = (follower: Follower, why: FollowFailure): void => {
  if (follower.hasHead) follower.reader.onFail(why)
  else follower.reader.onRelease('failed')
}

/** One request's place in a growing response. */
export class Follower implements Watched {
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly reader: FollowReader
  /** Number of the next piece, counted from the first of the content. Kept by Growing, as are those below. */
  at = 0
  /** Content it has been given. */
  bytes = 0
  /** The next byte, where what it wants is not in memory any more; else -1, and `at` counts. */
  behindAt = -1
  reading = false
  paused = true
  hasHead = false
  delivering = false
  readonly #growing: Growing
  #opened: Promise<ContentReader | null> | null = null

  constructor(growing: Growing, reader: FollowReader) {
    this.#growing = growing
    this.reader = reader
  }

  /** Go on. What is there is given before this returns. */
  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.#growing.resumed(this)
  }

  pause(): void {
    this.paused = true
  }

  /** Its client went away, or it needs no more. No callback follows. */
  leave(): void {
    this.#growing.left(this)
  }

  deadlinePassed(): void {
    this.#growing.waitedTooLong(this)
  }

  // --- for Growing: content that is read where it was written

  openReader(source: ContentSource | null): void {
    this.#opened ??= source?.open() ?? null
  }

  async read(at: number, into: Buffer): Promise<number> {
    const reader = await this.#opened
    return reader === null ? -1 : reader.read(at, into)
  }

  closeReader(): void {
    const opened = this.#opened
    this.#opened = null
    void opened?.then(reader => reader?.close())
  }
}
