import { type DurationMs, errnoOf, ms, type Timer } from '../base/index.ts'
import { type LogFileSystem, ownDescriptor } from './file-system.ts'
import { FailureNotes, type LineSink, Losses, type SinkOptions, waitingBytesMax } from './sink.ts'

// One file of lines. Lines gather in memory and go out in large writes, never more than one at a time, never awaited:
// whatever the disk does, a line costs a string concatenation.
//
//   write ──► text ──► (64 KB, or a second; more while a write is in flight) ──► channel.queue ──► write(2)
//
// A rotation opens a new channel and lets the old one run dry on the renamed file, so no line is lost. When writing
// fails the queue stays and is tried again each second; what does not fit the queue meanwhile is dropped and counted.

export interface LogFileOptions extends SinkOptions {
  readonly files: LogFileSystem
  readonly encoding: 'latin1' | 'utf8'
  /** Written when so much has gathered ... */
  readonly chunkBytes: number
  /** ... or after so long. 0 = at once. */
  readonly delayMs: number
  /** Old files kept by a rotation: NAME.0 … ; 0 = a rotation only opens the file again. */
  readonly keep: number
}

const retryMs = ms(1000)
/** How long a closed log goes on trying. */
const closedMs = ms(60_000)
/** A pipe whose reader is slow: no failure. */
const fullPipeMs = ms(20)

export class LogFile implements LineSink {
  readonly path: string
  readonly #options: LogFileOptions
  #text = ''
  #timer: Timer | null = null
  #channel: Channel
  /** Those of former rotations that are not dry yet. */
  readonly #old = new Set<Channel>()
  readonly #losses: Losses
  #full = false
  #closed = false

  constructor(path: string, options: LogFileOptions) {
    this.path = path
    this.#options = options
    this.#losses = new Losses(path, options)
    this.#channel = this.#openChannel()
  }

  /** What is written waits in memory at best. */
  get failing(): boolean {
    return this.#channel.failing
  }

  /** Why it did so last: an errno. */
  get reason(): string {
    return this.#channel.reason
  }

  /** Lines lost since the start. */
  get dropped(): number {
    return this.#losses.total
  }

  /** `line` ends in a line feed. */
  write(line: string): void {
    if (this.#full || this.#closed || this.#waiting() > waitingBytesMax) {
      if (!this.#makesRoom()) return this.#drop()
    }
    this.#text += line
    if (this.#text.length >= this.#options.chunkBytes && this.#channel.idle) this.#cut()
    else if (this.#timer === null) this.#startTimer()
  }

  /** Everything written so far has gone to the system, or cannot. */
  async flush(): Promise<void> {
    this.#cut()
    await Promise.all([this.#channel, ...this.#old].map(channel => channel.dry()))
  }

  /** Where several processes write one file each is told to: the first renames it, the others find it renamed. */
  rotate(): void {
    this.#cut()
    if (this.#options.keep > 0 && ownDescriptor(this.path) < 0 && this.#channel.isInPlace) this.#shiftNames()
    this.#renew()
  }

  /** Somebody else has renamed the file (logrotate). */
  reopen(): void {
    this.#cut()
    this.#renew()
  }

  /**
   * Writes what there is and closes the file. What the disk does not take now is tried again for a minute: a conf that is
   * read again and again over a disk that takes nothing must not leave a queue behind each time.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#cut()
    this.#closed = true
    const channels = [this.#channel, ...this.#old]
    this.#channel.finish(() => {})
    for (const channel of channels) channel.giveUpAfter(closedMs, lines => this.#losses.lose(lines))
    await Promise.all(channels.map(channel => channel.dry()))
  }

  /** Lets go of the file, and of what it has not taken: somebody else has that. */
  abandon(): void {
    this.#timer?.cancel()
    this.#text = ''
    this.#closed = true
    this.#channel.finish(() => {})
    for (const channel of [this.#channel, ...this.#old]) channel.giveUpAfter(ms(0), () => {})
  }

  /** Once full, half of what waits has to go before lines are taken again. */
  #makesRoom(): boolean {
    if (this.#closed || this.#waiting() > waitingBytesMax / 2) return false
    this.#full = false
    this.#losses.tell()
    return true
  }

  #drop(): void {
    this.#full = true
    this.#losses.lose()
  }

  #waiting(): number {
    let bytes = this.#text.length + this.#channel.bytes
    if (this.#old.size > 0) for (const channel of this.#old) bytes += channel.bytes
    return bytes
  }

  #startTimer(): void {
    this.#timer = this.#options.clock.after(ms(this.#options.delayMs), () => this.#cut(), { unref: true })
  }

  #cut(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#text === '') return
    this.#channel.add(Buffer.from(this.#text, this.#options.encoding))
    this.#text = ''
  }

  #renew(): void {
    const old = this.#channel
    this.#channel = this.#openChannel()
    this.#old.add(old)
    old.finish(() => this.#old.delete(old))
  }

  #openChannel(): Channel {
    return new Channel(this.path, this.#options, () => {
      if (this.#text.length >= this.#options.chunkBytes) this.#cut()
    })
  }

  /** NAME.0 is the youngest; the oldest goes. */
  #shiftNames(): void {
    const { files, keep, trouble } = this.#options
    if (!files.isRegular(this.path)) return
    for (let i = keep - 1; i >= 0; i--) {
      const from = i === 0 ? this.path : `${this.path}.${i - 1}`
      try {
        files.rename(from, `${this.path}.${i}`)
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') trouble(`log ${from} cannot be renamed: ${reasonOf(error)}`)
      }
    }
  }
}

/** An open file and what still has to be written to it. */
class Channel {
  readonly #path: string
  readonly #options: LogFileOptions
  /** Called when the queue has become empty. */
  readonly #emptied: () => void
  /** -1 = could not be opened yet. */
  #fd = -1
  readonly #queue: Buffer[] = []
  bytes = 0
  #writing = false
  readonly #notes: FailureNotes
  /** Set when nothing comes any more: called after the file was closed. */
  #ended: (() => void) | null = null
  #retry: Timer | null = null
  #givingUp: Timer | null = null
  #waiters: (() => void)[] = []

  constructor(path: string, options: LogFileOptions, emptied: () => void) {
    this.#path = path
    this.#options = options
    this.#emptied = emptied
    this.#notes = new FailureNotes(path, options)
    this.#open()
  }

  get failing(): boolean {
    return this.#notes.failing
  }

  get reason(): string {
    return this.#notes.reason
  }

  get idle(): boolean {
    return this.#queue.length === 0
  }

  /** False: somebody else has renamed it. What could not be opened has not been. */
  get isInPlace(): boolean {
    return this.#fd < 0 || this.#options.files.isAt(this.#path, this.#fd)
  }

  add(bytes: Buffer): void {
    this.#queue.push(bytes)
    this.bytes += bytes.length
    this.#pump()
  }

  /** Resolved when the queue is empty, or at once when it cannot be emptied now. */
  dry(): Promise<void> {
    if (this.#queue.length === 0 || (this.#notes.failing && !this.#writing)) return Promise.resolve()
    return new Promise(resolve => this.#waiters.push(resolve))
  }

  /** Nothing comes any more: closed when dry. */
  finish(ended: () => void): void {
    this.#ended = ended
    if (this.#queue.length === 0) this.#end()
  }

  /** Nothing comes any more, and what has not been written by then is lost: so many lines. */
  giveUpAfter(delay: DurationMs, lost: (lines: number) => void): void {
    if (this.#fd < 0 && this.#queue.length === 0) return
    this.#givingUp = this.#options.clock.after(
      delay,
      () => {
        this.#givingUp = null
        if (this.#writing) return this.giveUpAfter(retryMs, lost) // the disk has not answered yet
        lost(this.#queue.reduce((sum, piece) => sum + linesIn(piece), 0))
        this.#queue.length = 0
        this.bytes = 0
        this.#end()
      },
      { unref: true },
    )
  }

  #open(): boolean {
    const own = ownDescriptor(this.#path)
    try {
      this.#fd = own >= 0 ? own : this.#options.files.open(this.#path)
      return true
    } catch (error) {
      this.#failed(error)
      return false
    }
  }

  #pump(): void {
    const [bytes] = this.#queue
    if (bytes === undefined || this.#writing || this.#retry !== null) return
    if (this.#fd < 0 && !this.#open()) return
    this.#writing = true
    this.#options.files.write(this.#fd, bytes, (error, written) => this.#wrote(bytes, error, written))
  }

  #wrote(bytes: Buffer, error: Error | null, written: number): void {
    this.#writing = false
    if (error !== null) return errnoOf(error) === 'EAGAIN' ? this.#waitForReader() : this.#failed(error)
    if (written > 0) this.#notes.works()
    this.bytes -= written
    if (written === bytes.length) this.#queue.shift()
    else this.#queue[0] = bytes.subarray(written) // a line cut in two is completed first, whatever happens between
    if (this.#queue.length > 0) return this.#pump()
    if (this.#ended === null) this.#emptied() // may have more at once
    if (this.#queue.length > 0) return
    this.#release()
    if (this.#ended !== null) this.#end()
  }

  #failed(error: unknown): void {
    this.#notes.failed(reasonOf(error))
    this.#release()
    this.#again(retryMs)
  }

  /** At the end nobody waits for a reader who may never read. */
  #waitForReader(): void {
    if (this.#ended !== null) this.#release()
    this.#again(fullPipeMs)
  }

  #again(delay: typeof retryMs): void {
    this.#retry = this.#options.clock.after(
      delay,
      () => {
        this.#retry = null
        this.#pump()
      },
      { unref: true },
    )
  }

  #release(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) waiter()
  }

  #end(): void {
    this.#retry?.cancel()
    this.#givingUp?.cancel()
    if (this.#fd >= 0 && ownDescriptor(this.#path) < 0) this.#options.files.close(this.#fd)
    this.#fd = -1
    this.#ended?.()
  }
}

const reasonOf = (error: unknown): string => errnoOf(error) || String(error)

const linesIn = (piece: Buffer): number => {
  let lines = 0
  for (let at = piece.indexOf(lineFeed); at >= 0; at = piece.indexOf(lineFeed, at + 1)) lines++
  return lines
}

const lineFeed = 10
