import fs from 'node:fs'
import type { ContentReader, FileStretch } from '../../content-source.ts'

/**
 * Reads what is in the system's own cache, at once: bytes read, negative = not without waiting. Most of what a cache on
 * disk is asked for lies there, and a thread that is sent for it costs more than the reading.
 */
export type ReadCached = (fd: number, into: Uint8Array, at: number) => number

/** After so much in a row others are let in, by way of a thread. */
const cachedBytesMax = 1024 * 1024

/** One descriptor, and who uses it. */
interface OpenFile {
  readonly fd: number
  readers: number
  /** It is not kept for others any more: who uses it last closes it. */
  dropped: boolean
}

/** Files that were read lately stay open for the next reader: opening one costs more than reading from it. */
export class OpenFiles {
  /** Those used longest ago first. */
  readonly #files = new Map<number, OpenFile>()
  readonly #max: number
  readonly #readCached: ReadCached | null

  constructor(max: number, readCached: ReadCached | null = null) {
    this.#max = max
    this.#readCached = readCached
  }

  open(file: number, path: string, length: number): Promise<ContentReader | Error> {
    const known = this.#files.get(file)
    if (known !== undefined) {
      this.#files.delete(file)
      this.#files.set(file, known)
      return Promise.resolve(this.#readerOf(known))
    }
    return new Promise(resolve => {
      fs.open(path, 'r', (error, fd) => {
        if (error === null) this.#check(fd, file, path, length, resolve)
        else {
          if (error.code === 'EMFILE' || error.code === 'ENFILE') this.close() // others need them more
          resolve(error)
        }
      })
    })
  }

  /** The file is not to be found any more. Who reads it reads on. */
  drop(file: number): void {
    const known = this.#files.get(file)
    if (known === undefined) return
    this.#files.delete(file)
    known.dropped = true
    if (known.readers === 0) close(known.fd)
  }

  /** Another process has removed them: as long as they are open here, they take room. */
  dropUnlinked(): void {
    for (const [file, { fd, readers }] of this.#files) {
      if (readers > 0) continue
      fs.fstat(fd, (error, stat) => {
        if (error === null && stat.nlink === 0 && this.#files.get(file)?.fd === fd) this.drop(file)
      })
    }
  }

  close(): void {
    for (const file of [...this.#files.keys()]) this.drop(file)
  }

  #check(fd: number, file: number, path: string, length: number, resolve: (answer: ContentReader | Error) => void): void {
    fs.fstat(fd, (error, stat) => {
      if (error !== null || stat.size !== length) {
        close(fd)
        resolve(error ?? new Error(`${path} has ${stat.size} bytes instead of ${length}`))
        return
      }
      const opened: OpenFile = { fd, readers: 0, dropped: false }
      const reader = this.#readerOf(opened)
      // two may have opened it at the same time
      if (this.#files.has(file)) opened.dropped = true
      else {
        this.#files.set(file, opened)
        for (const oldest of this.#files.keys()) {
          if (this.#files.size <= this.#max) break
          this.drop(oldest)
        }
      }
      resolve(reader)
    })
  }

  #readerOf(opened: OpenFile): ContentReader {
    opened.readers++
    const done = () => {
      if (--opened.readers === 0 && opened.dropped) close(opened.fd)
    }
    return new FileReader(opened.fd, done, true, this.#readCached)
  }
}

/** Reads from a descriptor that others may read from, too. */
export class FileReader implements ContentReader {
  readonly #fd: number
  readonly #done: () => void
  readonly #finished: boolean
  readonly #readCached: ReadCached | null
  /** Bytes that were read at once, one after the other. */
  #cachedBytes = 0
  #reading = false
  #closed = false

  /** `finished`: all of the content is in the file. */
  constructor(fd: number, done: () => void, finished: boolean, readCached: ReadCached | null = null) {
    this.#fd = fd
    this.#done = done
    this.#finished = finished
    this.#readCached = readCached
  }

  /** To its end, wherever that is: whoever asked for the reader knows. */
  inFile(at: number): FileStretch | null {
    return this.#closed || !this.#finished ? null : { descriptor: this.#fd, at, bytes: Number.MAX_SAFE_INTEGER }
  }

  read(at: number, into: Buffer): Promise<number> {
    if (this.#closed) return Promise.resolve(-1)
    if (this.#readCached !== null && this.#cachedBytes + into.length <= cachedBytesMax) {
      const bytes = this.#readCached(this.#fd, into, at)
      if (bytes === into.length) {
        this.#cachedBytes += bytes
        return Promise.resolve(bytes)
      }
    }
    this.#cachedBytes = 0
    this.#reading = true
    return new Promise(resolve => {
      fs.read(this.#fd, into, 0, into.length, at, (error, bytes) => {
        this.#reading = false
        if (this.#closed) this.#done()
        resolve(error === null && !this.#closed ? bytes : -1)
      })
    })
  }

  /** A descriptor is not closed under a read that is under way: its number could be somebody else's by then. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (!this.#reading) this.#done()
  }
}

/** Nothing can be done about it, and the descriptor is gone either way. */
export const close = (fd: number): void => fs.close(fd, () => {})
