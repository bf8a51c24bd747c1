import type { FieldView } from '../../base/index.ts'
import { completed } from '../admit.ts'
import type { Keyed } from '../by-key.ts'
import type { CacheKey } from '../key.ts'
import { flag, type StoredResponse } from '../stored-response.ts'
import { Content } from './content.ts'
import { bytesWithoutContent } from './size.ts'
import type { StoreRefusal, Writer } from './store.ts'

/** What a writer needs of its store. */
export interface Room {
  /** Whether so many bytes more may be charged: the writers have not all they may. */
  mayCharge(more: number): boolean
  /** Takes so many bytes more from the limit. */
  charge(more: number): void
  /** The writer is over: gives back what it was charged, and stores `whole`. */
  finish(writer: MemoryWriter, whole: StoredResponse | null): boolean
}

export class MemoryWriter implements Writer, Keyed<MemoryWriter> {
  readonly response: StoredResponse
  readonly request: FieldView
  nextByKey: MemoryWriter | null = null
  formerByKey: MemoryWriter | null = null
  /** Bytes of the limit it holds. */
  charged: number
  refusal: StoreRefusal | null = null
  readonly pressed = false
  onRelieved: (() => void) | null = null
  readonly source = null
  readonly readable = 0
  readonly #content: Content
  readonly #contentBytesMax: number
  readonly #room: Room
  #over = false

  constructor(response: StoredResponse, request: FieldView, contentBytesMax: number, room: Room) {
    this.response = response
    this.request = request
    this.#contentBytesMax = contentBytesMax
    this.#room = room
    this.charged = bytesWithoutContent(response)
    this.#content = new Content(response.contentLength)
  }

  get key(): CacheKey {
    return this.response.key
  }

  get bytes(): number {
    return this.#content.length
  }

  append(chunk: Uint8Array, kept?: Buffer[]): boolean {
    if (this.#over) return false
    const refusal = this.refusalOf(chunk.length)
    if (refusal !== null) return this.#end(refusal)
    const more = this.#content.needs(chunk.length)
    if (more > 0) {
      this.#room.charge(more)
      this.charged += more
    }
    this.#content.append(chunk, kept)
    return true
  }

  /** Why so many bytes more would end it; null: they would not. */
  refusalOf(more: number): StoreRefusal | null {
    const length = this.#content.length + more
    const expected = this.response.contentLength
    if (expected >= 0 && length > expected) return 'incomplete'
    if (length > this.#contentBytesMax) return 'too-large'
    const needed = this.#content.needs(more)
    return needed > 0 && !this.#room.mayCharge(needed) ? 'busy' : null
  }

  /** What has come so far, for a store that has room for the rest. */
  pieces(): readonly Buffer[] {
    return this.#content.pieces()
  }

  complete(): StoredResponse | null {
    return this.completeAs(this.response)
  }

  completeAs(response: StoredResponse): StoredResponse | null {
    if (this.#over) return null
    const length = this.#content.length
    const expected = response.has(flag.headOnly) ? 0 : response.contentLength
    if (expected >= 0 && expected !== length) {
      this.#end('incomplete')
      return null
    }
    this.#over = true
    const stored = completed(response, this.#content.finish(), length)
    if (this.#room.finish(this, stored)) return stored
    this.refusal = 'too-large'
    return null
  }

  abandon(): void {
    if (!this.#over) this.#end('abandoned')
  }

  /** What is being written may be older than a change its store has just been told of. */
  invalidate(): void {
    if (!this.#over) this.#end('invalidated')
  }

  #end(why: StoreRefusal): false {
    this.#over = true
    this.refusal = why
    this.#room.finish(this, null)
    return false
  }
}
