import type { FieldView } from '../../base/index.ts'
import type { ContentSource } from '../content-source.ts'
import type { StoredResponse } from '../stored-response.ts'
import type { MemoryWriter } from './memory-writer.ts'
import type { StoreRefusal, Writer } from './store.ts'
import type { TieredStore } from './tiers.ts'

// Content on its way into both tiers. It is collected in memory, and goes to disk when it is complete; once it turns out
// to be too large for memory, it goes to disk as it comes.

export class TieredWriter implements Writer {
  readonly response: StoredResponse
  readonly #request: FieldView
  readonly #store: TieredStore
  /** One of the two, until both are null: then it is over. */
  #memory: MemoryWriter | null
  #disk: Writer | null
  #bytes = 0
  #refusal: StoreRefusal | null = null
  #onRelieved: (() => void) | null = null

  constructor(
    store: TieredStore,
    response: StoredResponse,
    request: FieldView,
    memory: MemoryWriter | null,
    disk: Writer | null,
  ) {
    this.#store = store
    this.response = response
    this.#request = request
    this.#memory = memory
    this.#disk = disk
  }

  get bytes(): number {
    return this.#bytes
  }

  get refusal(): StoreRefusal | null {
    return this.#refusal ?? this.#memory?.refusal ?? this.#disk?.refusal ?? null
  }

  get pressed(): boolean {
    return this.#disk !== null && this.#disk.pressed
  }

  get onRelieved(): (() => void) | null {
    return this.#onRelieved
  }

  set onRelieved(call: (() => void) | null) {
    this.#onRelieved = call
    if (this.#disk !== null) this.#disk.onRelieved = call
  }

  get source(): ContentSource | null {
    return this.#disk === null ? null : this.#disk.source
  }

  get readable(): number {
    return this.#disk === null ? 0 : this.#disk.readable
  }

  append(chunk: Uint8Array, kept?: Buffer[]): boolean {
    if (this.#memory !== null && !this.#staysInMemory(this.#memory, chunk.length)) return false
    const taken = this.#memory?.append(chunk, kept) ?? this.#disk?.append(chunk, kept) ?? false
    if (taken) this.#bytes += chunk.length
    return taken
  }

  complete(): StoredResponse | null {
    return this.completeAs(this.response)
  }

  completeAs(response: StoredResponse): StoredResponse | null {
    const { key } = this.response
    if (this.#memory !== null) {
      const before = this.#store.completeness(key)
      const stored = this.#memory.completeAs(response)
      if (stored !== null) this.#store.alsoOnDisk(stored, this.#request, before)
      return stored
    }
    const stored = this.#disk?.completeAs(response) ?? null
    if (stored !== null) this.#store.onlyOnDisk(key)
    return stored
  }

  abandon(): void {
    this.#memory?.abandon()
    this.#disk?.abandon()
  }

  /** False: it is over. Otherwise it goes on in memory, or has gone over to the disk. */
  #staysInMemory(memory: MemoryWriter, more: number): boolean {
    const refusal = memory.refusalOf(more)
    if (memory.refusal !== null || (refusal !== 'too-large' && refusal !== 'busy')) return true // it says the rest itself
    const opened = this.#store.disk.open(this.response, this.#request)
    const pieces = memory.pieces()
    memory.abandon()
    if (!opened.ok) {
      this.#refusal = opened.reason
      return false
    }
    this.#memory = null
    this.#disk = opened.writer
    this.#disk.onRelieved = this.#onRelieved
    for (const piece of pieces) if (!this.#disk.append(piece)) return false
    return true
  }
}
