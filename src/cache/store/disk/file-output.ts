import fs from 'node:fs'
import { dirname } from 'node:path'
import type { ContentReader, ContentSource } from '../../content-source.ts'
import { close, FileReader, OpenFiles } from './open-files.ts'

/** Bytes that wait for the disk; beyond, whoever gives is asked to stop. */
const waitingBytesMax = 1024 * 1024
/** Fewer are not worth a call of their own. */
const batchBytesMin = 256 * 1024
/** Buffers of one writev. */
const batchMax = 64

export interface OutputOwner {
  /** The buffer is in the file, and not needed here any more. */
  written(buffer: Buffer): void
  /** No more waits than should. */
  relieved(): void
  /** Everything given before `finish` is in the file. */
  finished(): void
  /** It cannot be written to the end, and has been given up. */
  failed(error: Error): void
}

/**
 * One that is being written. What has been written can be read at the same time.
 *
 *   add ─► waiting ─► writev … ─► readable          one write at a time, in order
 */
export class FileOutput implements ContentSource {
  readonly path: string
  readonly #owner: OutputOwner
  #fd = -1
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #written = 0
  #busy = true
  #opening = true
  #onOpened: (() => void) | null = null
  #finishing = false
  #whole = false
  #over = false
  /** Whoever holds the descriptor: we while writing, and each reader. */
  #holders = 1

  constructor(path: string, owner: OutputOwner) {
    this.path = path
    this.#owner = owner
    this.#open(true)
  }

  /** Bytes from the beginning that can be read. */
  get readable(): number {
    return this.#written
  }

  get pressed(): boolean {
    return !this.#over && this.#waitingBytes > waitingBytesMax
  }

  /** The buffer is not copied and must not change. */
  add(piece: Buffer): void {
    if (this.#over || piece.length === 0) return
    this.#waiting.push(piece)
    this.#waitingBytes += piece.length
    this.#write()
  }

  /** No more is added. */
  finish(): void {
    this.#finishing = true
    this.#write()
  }

  /** It is given up; readers read on. `then`: nothing makes the file any more, it can be taken away. */
  drop(then: () => void): void {
    if (!this.#over) this.#end()
    if (this.#opening) this.#onOpened = then
    else then()
  }

  open(): Promise<ContentReader | null> {
    if (this.#holders === 0) {
      return this.#whole ? this.#openAgain() : Promise.resolve(null)
    }
    if (this.#fd < 0) return Promise.resolve(null)
    this.#holders++
    return Promise.resolve(new FileReader(this.#fd, () => this.#letGo(), false))
  }

  /** It is complete, and nobody has held it open since. */
  async #openAgain(): Promise<ContentReader | null> {
    const reader = await new OpenFiles(0).open(0, this.path, this.#written)
    return reader instanceof Error ? null : reader
  }

  #open(mayMakeFolder: boolean): void {
    fs.open(this.path, 'w+', (error, fd) => {
      if (error === null) this.#opened(fd)
      else if (error.code === 'ENOENT' && mayMakeFolder) {
        fs.mkdir(dirname(this.path), { recursive: true }, failure => {
          if (failure === null) this.#open(false)
          else this.#failed(failure)
        })
      } else this.#failed(error)
    })
  }

  #opened(fd: number): void {
    this.#busy = false
    this.#opening = false
    this.#fd = fd
    if (this.#over) this.#letGo() // dropped meanwhile
    else this.#write()
    this.#onOpened?.()
  }

  #write(): void {
    if (this.#busy || this.#over) return
    if (this.#waitingBytes < batchBytesMin && !this.#finishing) return
    if (this.#waiting.length === 0) {
      this.#whole = true
      this.#end()
      this.#owner.finished()
      return
    }
    this.#busy = true
    const batch = this.#waiting.length > batchMax ? this.#waiting.splice(0, batchMax) : this.#waiting
    if (batch === this.#waiting) this.#waiting = []
    fs.writev(this.#fd, batch, this.#written, (error, bytes) => this.#wrote(error, bytes, batch))
  }

  #wrote(error: NodeJS.ErrnoException | null, bytes: number, batch: Buffer[]): void {
    this.#busy = false
    if (this.#over) {
      this.#letGo()
      return
    }
    if (error !== null) {
      this.#failed(error)
      return
    }
    const before = this.#waitingBytes
    this.#written += bytes
    this.#waitingBytes -= bytes
    const rest = behind(batch, bytes)
    if (rest.length > 0) this.#waiting.unshift(...rest) // a short write; the next one says why
    else for (const buffer of batch) this.#owner.written(buffer)
    if (before > waitingBytesMax && this.#waitingBytes <= waitingBytesMax) this.#owner.relieved()
    this.#write()
  }

  #failed(error: Error): void {
    this.#opening = false
    this.#onOpened?.()
    if (this.#over) return
    this.#busy = false
    this.#end()
    this.#owner.failed(error)
  }

  #end(): void {
    this.#over = true
    this.#waiting = []
    this.#waitingBytes = 0
    if (!this.#busy) this.#letGo()
  }

  #letGo(): void {
    if (--this.#holders === 0 && this.#fd >= 0) close(this.#fd)
  }
}

/** What is left of the buffers behind so many bytes. */
const behind = (buffers: readonly Buffer[], bytes: number): Buffer[] => {
  let skip = bytes
  for (const [i, buffer] of buffers.entries()) {
    if (skip < buffer.length) return [buffer.subarray(skip), ...buffers.slice(i + 1)]
    skip -= buffer.length
  }
  return []
}
