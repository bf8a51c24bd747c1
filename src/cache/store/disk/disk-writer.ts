import { type Clock, type FieldView, ms, type Timer } from '../../../base/index.ts'
import { completed } from '../../admit.ts'
import type { Keyed } from '../../by-key.ts'
import type { ContentSource } from '../../content-source.ts'
import type { CacheKey } from '../../key.ts'
import { flag, type StoredResponse } from '../../stored-response.ts'
import { Content } from '../content.ts'
import type { StoreRefusal, Writer } from '../store.ts'
import type { FileOutput, OutputOwner } from './file-output.ts'

// Content on its way to the disk. Up to `inlineBytesMax` it is collected, and goes into the index in one transaction; as
// soon as it is more, into a file, block by block:
//
//   append ─► Content ─┬─ complete ────────────────────────────────────────────────────────────────► store ─► settle
//                      └─ more than inlineBytesMax ─► file: append ─► block ─► FileOutput … complete ─► store ─► settle
//
// `store` settles at once, or as soon as nobody keeps it from the index.

export interface NewOutput {
  readonly file: number
  readonly output: FileOutput
}

/** What a writer needs of its store. */
export interface DiskRoom {
  readonly clock: Clock
  readonly inlineBytesMax: number
  /** Smaller content is not stored. */
  readonly objectBytesMin: number
  /** Takes so many bytes more from the limit; false if there are none to be had, or the writer has just ended. */
  charge(writer: DiskWriter, more: number): boolean
  /** A new file, known to the ledger; or why there is none. */
  newOutput(writer: DiskWriter, bytes: number): NewOutput | StoreRefusal
  /** Where the content of a complete file is read. */
  contentOf(writer: DiskWriter, file: number, length: number): ContentSource
  /** The file will be larger than was said. The index is told with its next change. */
  promise(file: number, more: number): void
  /** Content is complete, and its last bytes, or the index, are still to be written. */
  finishing(writer: DiskWriter): void
  /** Puts `stored` into the index, now or as soon as possible, and settles the writer. */
  store(writer: DiskWriter): void
  /** The writer is over: gives back what it was charged. */
  ended(writer: DiskWriter): void
  /** A file that was begun and is not in use. */
  remove(file: number): void
  /** The same as soon as the call that is answered says so. */
  removeLater(file: number): () => void
  /** The disk failed under it. */
  failed(error: Error): void
}

const blockBytes = 64 * 1024
/**
 * Blocks that have been written and can be filled again, by whoever writes next. New ones cost more than their memory:
 * the collector looks through the whole heap after every few megabytes of them.
 */
const spares: Buffer[] = []
const sparesMax = 64
/** Of a content whose length is not known, so much is promised at a time. */
const reserveBytes = 4 * 1024 * 1024
/** A disk that has not taken a megabyte for so long holds up those who wait for the response. */
const pressMsMax = 5000

export class DiskWriter implements Writer, OutputOwner, Keyed<DiskWriter> {
  readonly response: StoredResponse
  readonly request: FieldView
  nextByKey: DiskWriter | null = null
  formerByKey: DiskWriter | null = null
  /** Bytes of the limit it holds. */
  charged = 0
  refusal: StoreRefusal | null = null
  onRelieved: (() => void) | null = null
  /** What will be found when it has been written; null before `complete`. */
  stored: StoredResponse | null = null
  /** Its place among all that was stored; 0 = it is not complete. Kept by the store. */
  completedAt = 0
  /** Its key was invalidated by another process. */
  outdated = false
  #bytes = 0
  #reserved = 0
  readonly #bytesMax: number
  readonly #room: DiskRoom
  readonly #content: Content
  #output: FileOutput | null = null
  #file = 0
  #block: Buffer | null = null
  #filled = 0
  /** Somebody reads along in the present block: it is not ours to fill again. */
  #shared = false
  /** Blocks on their way that nobody else reads. */
  readonly #ours = new Set<Buffer>()
  #patience: Timer | null = null
  /** No more is taken. */
  #closed = false
  /** Nothing more happens. */
  #over = false

  constructor(response: StoredResponse, request: FieldView, bytesMax: number, room: DiskRoom) {
    this.response = response
    this.request = request
    this.#bytesMax = bytesMax
    this.#room = room
    this.#content = new Content(response.contentLength)
  }

  get key(): CacheKey {
    return this.response.key
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Nothing more happens. */
  get isOver(): boolean {
    return this.#over
  }

  /** The number of its file; 0 = it has none. */
  get file(): number {
    return this.#file
  }

  get pressed(): boolean {
    // nothing is kept from coming when all has come; its end must not wait
    return this.#output?.pressed === true && this.#bytes !== this.response.contentLength
  }

  get source(): ContentSource | null {
    return this.#output
  }

  get readable(): number {
    return this.#output?.readable ?? 0
  }

  append(chunk: Uint8Array, kept?: Buffer[]): boolean {
    if (!this.#admit(chunk.length)) return false
    if (this.#output === null) {
      this.#content.append(chunk, kept)
      return true
    }
    this.#fill(this.#output, chunk, kept)
    this.#beginPatience()
    return true
  }

  /** The same for a buffer that will not change: it is not copied. */
  give(buffer: Buffer): boolean {
    if (!this.#admit(buffer.length)) return false
    if (this.#output === null) this.#content.give(buffer)
    else this.#output.add(buffer)
    return true
  }

  complete(): StoredResponse | null {
    return this.#complete(this.response, null)
  }

  completeAs(part: StoredResponse): StoredResponse | null {
    return this.#complete(part, null)
  }

  /** The response as others have it, with its content in memory. */
  completeWith(whole: StoredResponse): StoredResponse | null {
    return this.#complete(whole, whole)
  }

  #complete(response: StoredResponse, whole: StoredResponse | null): StoredResponse | null {
    if (this.#closed) return null
    const expected = response.has(flag.headOnly) ? 0 : response.contentLength
    if (expected >= 0 && expected !== this.#bytes) {
      this.#end('incomplete')
      return null
    }
    this.#closed = true
    return this.#output === null ? this.#completeSmall(response, whole) : this.#completeLarge(this.#output, response, whole)
  }

  abandon(): void {
    if (!this.#closed) this.#end('abandoned')
  }

  /** What is being written may be older than a change its store has just been told of. */
  invalidate(): void {
    if (!this.#over) this.#end('invalidated')
  }

  /** The disk has no room to spare for it. */
  giveUp(): void {
    this.#end('disk-failed')
  }

  // ---- from the file

  written(buffer: Buffer): void {
    if (this.#ours.delete(buffer) && buffer.length === blockBytes && spares.length < sparesMax) spares.push(buffer)
  }

  relieved(): void {
    this.#patience?.cancel()
    this.#patience = null
    this.onRelieved?.()
  }

  finished(): void {
    if (!this.#over && this.stored !== null) this.#room.store(this)
  }

  failed(error: Error): void {
    if (this.#over) return
    this.#room.failed(error)
    this.#end('disk-failed')
  }

  // ---- from the store

  /** It stands in the index; or not, and why. */
  settle(refusal: StoreRefusal | null): void {
    if (this.#over) return
    this.#over = true
    this.refusal = refusal
    this.#room.ended(this)
    if (refusal !== null && this.#file !== 0) this.#room.remove(this.#file)
  }

  // ----

  /**
   * Whether so many bytes more may come; makes the file when they need one. Whatever changes the ledger for that hears of
   * other processes' changes first, and one of those may end this writer before it is answered.
   */
  #admit(more: number): boolean {
    if (this.#closed) return false
    const length = this.#bytes + more
    const expected = this.response.contentLength
    if (expected >= 0 && length > expected) return this.#end('incomplete')
    if (length > this.#bytesMax) return this.#end('too-large')
    if (!this.#room.charge(this, more)) return this.#end('busy')
    this.charged += more
    this.#bytes = length
    if (this.#output === null) return Math.max(length, expected) <= this.#room.inlineBytesMax || this.#toFile()
    if (length > this.#reserved) {
      this.#room.promise(this.#file, reserveBytes)
      this.#reserved += reserveBytes
    }
    return !this.#over
  }

  #toFile(): boolean {
    this.#reserved = Math.max(this.response.contentLength, this.#bytes)
    const made = this.#room.newOutput(this, this.#reserved)
    if (typeof made === 'string') return this.#end(made)
    this.#output = made.output
    this.#file = made.file
    for (const buffer of this.#content.finish()) made.output.add(buffer)
    return true
  }

  #fill(output: FileOutput, chunk: Uint8Array, kept: Buffer[] | undefined): void {
    let at = 0
    while (at < chunk.length) {
      this.#block ??= spares.pop() ?? Buffer.allocUnsafeSlow(blockBytes)
      const block = this.#block
      if (kept !== undefined) this.#shared = true
      const size = Math.min(chunk.length - at, block.length - this.#filled)
      block.set(size === chunk.length ? chunk : chunk.subarray(at, at + size), this.#filled)
      kept?.push(block.subarray(this.#filled, this.#filled + size))
      this.#filled += size
      at += size
      if (this.#filled === block.length) this.#handOver(output, block)
    }
  }

  #handOver(output: FileOutput, block: Buffer): void {
    output.add(this.#filled === block.length ? block : block.subarray(0, this.#filled))
    if (!this.#shared) this.#ours.add(block)
    this.#block = null
    this.#filled = 0
    this.#shared = false
  }

  #beginPatience(): void {
    if (!this.pressed || this.#patience !== null) return
    this.#patience = this.#room.clock.after(ms(pressMsMax), () => this.#end('disk-slow'), { unref: true })
  }

  #completeSmall(response: StoredResponse, whole: StoredResponse | null): StoredResponse | null {
    if (this.#bytes < this.#room.objectBytesMin) {
      this.#end('too-small')
      return null
    }
    const stored = whole ?? completed(response, this.#content.finish(), this.#bytes)
    this.stored = stored
    this.#room.finishing(this)
    this.#room.store(this)
    return this.refusal === null ? stored : null
  }

  #completeLarge(output: FileOutput, response: StoredResponse, whole: StoredResponse | null): StoredResponse {
    if (this.#block !== null) this.#handOver(output, this.#block)
    this.stored = whole ?? completed(response, [], this.#bytes, this.#room.contentOf(this, this.#file, this.#bytes))
    this.#room.finishing(this)
    output.finish()
    return this.stored
  }

  #end(why: StoreRefusal): false {
    if (this.#over) return false
    this.#closed = true
    this.#over = true
    this.refusal = why
    this.#patience?.cancel()
    this.#patience = null
    if (this.#output !== null) this.#output.drop(this.#room.removeLater(this.#file))
    this.#room.ended(this)
    this.onRelieved?.()
    return false
  }
}
