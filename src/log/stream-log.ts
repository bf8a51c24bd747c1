import net from 'node:net'
import { errnoOf, ms, type Timer } from '../base/index.ts'
import { FailureNotes, type LineSink, Losses, type SinkOptions, waitingBytesMax } from './sink.ts'

// tcp://HOST:PORT: lines gather and go over one connection, one piece at a time. A connection that ends is opened again
// each second; the piece that was under way goes again then, so that a collector may see lines twice but misses none
// that still had room here.

export interface StreamLogOptions extends SinkOptions {
  readonly host: string
  readonly port: number
  /** Sent when so much has gathered ... */
  readonly chunkBytes: number
  /** ... or after so long. */
  readonly delayMs: number
}

const reopenMs = ms(1000)
/** The last piece has so long to be taken when the log is closed. */
const closeMs = ms(1000)

export class StreamLog implements LineSink {
  readonly #options: StreamLogOptions
  readonly #losses: Losses
  readonly #notes: FailureNotes
  #text = ''
  /** Lines in `text`; what is lost at the end is counted in lines. */
  #lines = 0
  /** Under way, or to go first on the next connection. */
  #piece: Buffer | null = null
  #pieceLines = 0
  #socket: net.Socket | null = null
  #connected = false
  #timer: Timer | null = null
  #retry: Timer | null = null
  #closed = false
  #waiters: (() => void)[] = []

  constructor(options: StreamLogOptions) {
    const place = `tcp://${options.host}:${options.port}`
    this.#options = options
    this.#losses = new Losses(place, options)
    this.#notes = new FailureNotes(place, options)
    this.#connect()
  }

  get dropped(): number {
    return this.#losses.total
  }

  write(line: string): void {
    const waiting = this.#text.length + (this.#piece?.length ?? 0)
    if (this.#closed || waiting + line.length > waitingBytesMax) return this.#losses.lose()
    this.#text += line
    this.#lines++
    if (this.#text.length >= this.#options.chunkBytes) this.#send()
    else this.#timer ??= this.#options.clock.after(ms(this.#options.delayMs), () => this.#send(), { unref: true })
  }

  /** The other end may have rotated: nothing to do here. */
  rotate(): void {}

  reopen(): void {}

  flush(): Promise<void> {
    this.#send()
    if (this.#dry) return Promise.resolve()
    return new Promise(resolve => this.#waiters.push(resolve))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    const patience = this.#options.clock.after(closeMs, () => this.#letGo(), { unref: true })
    await this.flush()
    patience.cancel()
    this.#closed = true
    this.#timer?.cancel()
    this.#retry?.cancel()
    this.#losses.lose(this.#lines + this.#pieceLines)
    const socket = this.#socket
    this.#socket = null
    if (this.#piece === null) socket?.end()
    else socket?.destroy()
  }

  /** Nothing is left, or nothing of it can go now. */
  get #dry(): boolean {
    return (this.#text === '' && this.#piece === null) || (this.#retry !== null && !this.#connected)
  }

  #connect(): void {
    const { host, port } = this.#options
    const socket = net.connect({ host, port, noDelay: true })
    this.#socket = socket
    let reason = 'the other end has closed'
    socket.unref()
    socket.on('connect', () => {
      this.#connected = true
      this.#notes.works()
      if (this.#piece === null) this.#send()
      else this.#sendPiece()
    })
    socket.on('error', error => {
      reason = errnoOf(error) || error.message
    })
    socket.on('data', () => {}) // what a collector says is nothing to us; read, so that its end is heard
    socket.on('close', () => this.#ended(socket, reason))
  }

  #send(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#text === '' || this.#piece !== null || !this.#connected) return
    this.#piece = Buffer.from(this.#text, 'latin1')
    this.#pieceLines = this.#lines
    this.#text = ''
    this.#lines = 0
    this.#sendPiece()
  }

  #sendPiece(): void {
    const socket = this.#socket
    if (socket === null || this.#piece === null) return
    socket.write(this.#piece, error => {
      if (error || socket !== this.#socket) return // it goes again on the next connection
      this.#piece = null
      this.#pieceLines = 0
      this.#losses.tell()
      this.#send()
      this.#release()
    })
  }

  #ended(socket: net.Socket, reason: string): void {
    if (this.#closed || socket !== this.#socket) return
    this.#connected = false
    this.#socket = null
    this.#notes.failed(reason)
    this.#retry = this.#options.clock.after(
      reopenMs,
      () => {
        this.#retry = null
        this.#connect()
      },
      { unref: true },
    )
    this.#release()
  }

  #release(): void {
    if (this.#dry) this.#letGo()
  }

  #letGo(): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }
}
