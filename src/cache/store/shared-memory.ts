import type { Bytes, FieldView } from '../../base/index.ts'
import type { CacheKey } from '../key.ts'
import type { Selection } from '../selection.ts'
import type { StoredResponse } from '../stored-response.ts'
import type { MemoryStore } from './memory.ts'
import type { SharedChanges } from './shared-changes.ts'
import type { Opened, Store, StoreLimits, Variants, Walk } from './store.ts'

// The memory of one of several workers that have no disk in common. Each has its own, as caches beside each other do; an
// invalidation holds for all of them before it is acknowledged.

export class SharedMemory implements Store {
  readonly memory: MemoryStore
  /** What is on its way for this key, for all keys if null, is older than an invalidation elsewhere. */
  outdated: (key: CacheKey | null) => void = () => {}
  readonly #changes: SharedChanges
  readonly #hear = (key: CacheKey | null): void => {
    if (key === null) this.memory.clear()
    else this.memory.invalidate(key)
    this.outdated(key)
  }

  constructor(memory: MemoryStore, changes: SharedChanges) {
    this.memory = memory
    this.#changes = changes
  }

  get name(): string {
    return this.memory.name
  }

  #catchUp(): void {
    if (this.#changes.isBehind) this.#changes.catchUp(this.#hear)
  }

  lookup(key: CacheKey): Variants | null {
    this.#catchUp()
    return this.memory.lookup(key)
  }

  peek(key: CacheKey): Variants | null {
    this.#catchUp()
    return this.memory.peek(key)
  }

  touch(key: CacheKey): void {
    this.memory.touch(key)
  }

  open(response: StoredResponse, request: FieldView): Opened {
    this.#catchUp()
    return this.memory.open(response, request)
  }

  put(response: StoredResponse, request: FieldView): boolean {
    this.#catchUp()
    return this.memory.put(response, request)
  }

  replace(old: StoredResponse, by: StoredResponse): boolean {
    this.#catchUp()
    return this.memory.replace(old, by)
  }

  remove(stored: StoredResponse): boolean {
    return this.memory.remove(stored)
  }

  invalidate(key: CacheKey): number {
    const count = this.memory.invalidate(key)
    this.#changes.tell(key)
    return count
  }

  stopWriting(key: CacheKey): number {
    return this.memory.stopWriting(key)
  }

  unfinished(): readonly StoredResponse[] {
    return this.memory.unfinished()
  }

  /** Of this memory; a purge by selection is asked of every worker. */
  walk(selection: Selection): Walk {
    return this.memory.walk(selection)
  }

  clear(): void {
    this.memory.clear()
    this.#changes.tell(null)
  }

  resize(limits: StoreLimits): void {
    this.memory.resize(limits)
  }

  get bytes(): Bytes {
    return this.memory.bytes
  }

  get bytesMax(): Bytes {
    return this.memory.bytesMax
  }

  get count(): number {
    return this.memory.count
  }

  get counters(): Readonly<Record<string, number>> {
    return this.memory.counters
  }
}
