import { EventEmitter } from 'node:events'
import type { CloseReason, Connection, ConnectionReader } from '../../../comm/index.ts'
import { assert } from '../../base/index.ts'
import { type HeadLimits, parseResponseHead, type ResponseHead } from '../../http/index.ts'
import { InterimFilter } from './interim-filter.ts'

// A comm connection in the shape of the stream undici wants: the few members its HTTP/1 client touches, nothing more.
//
//   undici ──► write(its head) ──► our head in its place ──► connection.write
//   undici ◄── readable, read() ◄── one chunk, copied from the slab, 100 Continue taken out ◄── onData
//
// Two things undici would not do are done here. It writes Host first and in lower case, Content-Length last, and
// refuses Expect and `*`: so what goes out is the head begin() was given, letter by letter. And it closes a connection
// on which a 100 arrives, which every origin may send (RFC 9110 15.2).
//
// And most answers it does not read at all. Its parser makes a Buffer of every name and value and copies all content; ours
// (the one for clients) has read a head in a fraction of that, and content of known length only needs counting:
//
//   head of an answer, whole, with a length ──► keeper.headRead ──► keeper.contentRead … ──► undici: "200, length 0"
//   anything else (pieces of a head, 1xx, chunks, what ends with the connection, faults) ──► undici, as it came
//
// So undici still decides what becomes of the connection, and judges everything that is not plain.
//
// Held by undici 8.12's client-h1.js: the first string it writes after onRequestStart is the whole head, its content
// follows in writes of its own, chunk heads begin with the CRLF that ends what was before. test/chainer checks it byte
// by byte; look there before moving to another version.

/** undici's parser is one for all connections and must not be entered from within itself. */
export const parserBusy = (): boolean => turns > 0
let turns = 0

/** Who owns the socket and hears what undici does not need to know. */
export interface SocketKeeper {
  /** The parser stands still until `resumed`. */
  readonly paused: boolean
  /** The parser has had its turn: what it found may be passed on, and new work given out. */
  parsed(): void
  /** From now on nothing can be sent. Told before undici is; may be told twice. */
  gone(): void
  timedOut(): void
  /** The head of the answer, when undici will not be shown it. */
  headRead(head: ResponseHead): void
  /** A piece of its content: a view of the read buffer. */
  contentRead(piece: Buffer): void
  /** 100 Continue. */
  continued(): void
  /** Output is waiting in our memory, or has gone. */
  blocked(waiting: boolean): void
}

/** How the head says where the content ends; decides what undici's own framing is replaced by. */
export type Framing = 'none' | 'length' | 'chunked'

/**
 * A connection that ended without undici having asked for it. It has no errno for a code: on ECONNRESET undici takes
 * what only the end of the connection delimits for whole, and a truncated response would be stored as a complete one.
 */
export class OriginGone extends Error {
  override name = 'OriginGone'
}

export class OriginSocket extends EventEmitter implements ConnectionReader {
  readonly connection: Connection
  // read by undici
  destroyed = false
  errored: Error | null = null
  writableNeedDrain = false
  readonly alpnProtocol = null

  /** How the other side left; null while it is there, or when it was us. */
  peerLeft: CloseReason | null = null
  /** Why comm closed the connection, when neither the peer nor undici did. */
  closedFor: CloseReason | null = null
  /** undici knows that nothing more will come. */
  endTold = false
  /** Bytes of the present answer, interim ones included. */
  answerBytes = 0
  /** Of its HTTP version, as its first bytes say. */
  answerMinor = 1

  readonly #keeper: SocketKeeper
  readonly #interim: InterimFilter
  readonly #limits: HeadLimits
  /** Who reads the answer: we wait for its head, we count its content, or it is all undici's. */
  #answer: 'head' | 'content' | 'undici' = 'undici'
  #method = ''
  /** Content still to come. */
  #left = 0
  /** What undici is told when it has come. */
  #stand: Buffer = keptStand
  #chunk: Buffer | null = null
  #later: Buffer[] | null = null
  #ended = false
  /** The connection is closed; said when everything that came before has been read. */
  #lastWord: OriginGone | null = null

  #head = ''
  #framing: Framing = 'none'
  #headState: 'theirs' | 'to-replace' | 'sent' | 'skip-crlf' = 'theirs'

  #corked = false
  #a: string | Buffer | null = null
  #b: string | Buffer | null = null
  #c: string | Buffer | null = null

  constructor(connection: Connection, keeper: SocketKeeper, headBytesMax: number) {
    super()
    this.connection = connection
    this.#keeper = keeper
    this.#interim = new InterimFilter(headBytesMax)
    this.#limits = { lineBytesMax: headBytesMax, headBytesMax, fieldsMax, hostRequired: false }
    connection.setReader(this)
  }

  /**
   * The next head undici writes is replaced by `head` (with its empty line). With `early` it leaves at once, not with
   * the first byte of content: an origin that is to say 100 must have seen it.
   */
  begin(head: string, framing: Framing, early: boolean, method: string): void {
    assert(this.#headState !== 'to-replace', 'the head before this one was written')
    this.answerBytes = 0
    this.#interim.begin()
    this.#method = method
    // undici keeps no connection on which a HEAD was answered
    this.#answer = method === 'HEAD' ? 'undici' : 'head'
    this.#head = head
    this.#framing = framing
    this.#headState = 'to-replace'
    if (early) {
      this.#headState = 'sent'
      this.#put(head)
    }
  }

  // --- from comm ---

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    if (this.destroyed) return
    this.answerBytes += end - start
    if (this.#answer !== 'undici') {
      start = this.#read(slab, start, end)
      if (start === end) return
    }
    const bytes = end - start
    const chunk = bytes <= pooledMax ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes)
    slab.copy(chunk, 0, start, end)
    this.#arrived(chunk)
  }

  onEnd(): void {
    if (this.destroyed) return
    this.peerLeft ??= 'peer-closed'
    this.#ended = true
    const held = this.#interim.release()
    if (held !== null) this.#append(held)
    this.#turn()
  }

  /** Behind a request that has been written. */
  addLine(): void {
    if (!this.destroyed) this.#put('\r\n')
  }

  /** As if the origin had ended here. */
  takeEnd(): void {
    if (this.destroyed || this.#ended) return
    this.#ended = true
    this.#turn()
  }

  onDrain(): void {
    if (!this.writableNeedDrain) return
    this.writableNeedDrain = false
    this.#keeper.blocked(false)
    this.emit('drain')
  }

  onTimeout(): void {
    this.#keeper.timedOut()
  }

  onClose(_connection: Connection, why: CloseReason): void {
    if (this.destroyed) return
    if (byPeer.has(why)) this.peerLeft ??= why
    else this.closedFor = why
    const gone = new OriginGone(`the connection ended: ${why}`)
    if (this.#chunk === null && !this.#keeper.paused) return this.#end(gone)
    // a paused parser has not seen it all: a whole response is not cut short because a reset came after it
    this.#lastWord = gone
    this.#keeper.gone()
  }

  // --- from undici ---

  read(): Buffer | null {
    const chunk = this.#chunk
    this.#chunk = this.#later?.shift() ?? null
    return chunk
  }

  /** The parser stopped in the middle of a chunk and gives the rest back. */
  unshift(rest: Buffer): void {
    if (rest.length === 0) return
    if (this.#chunk !== null) {
      this.#later ??= []
      this.#later.unshift(this.#chunk)
    }
    this.#chunk = rest
  }

  write(data: string | Uint8Array): boolean {
    if (this.#headState !== 'theirs') {
      data = this.#ours(data)
      if (data.length === 0) return !this.writableNeedDrain
    }
    const part = typeof data === 'string' ? data : asBuffer(data)
    if (!this.#corked) return this.#put(part)
    if (this.#a === null) this.#a = part
    else if (this.#b === null) this.#b = part
    else {
      assert(this.#c === null, 'undici corks three parts at most')
      this.#c = part
    }
    // what the connection would say is known at uncork; undici asks in the middle, so the last answer has to do
    return !this.writableNeedDrain
  }

  cork(): void {
    this.#corked = true
  }

  uncork(): void {
    this.#corked = false
    const { a, b, c } = { a: this.#a, b: this.#b, c: this.#c }
    if (a === null) return
    this.#a = null
    this.#b = null
    this.#c = null
    this.#put(a, b, c)
  }

  /** undici's way to say that it is done with the connection, for good or bad. */
  destroy(error?: Error | null): this {
    if (this.destroyed) return this
    this.#end(error ?? null)
    // it says so by UND_ERR_INFO when a response that ends the connection was read whole
    if (error === undefined || error === null || codeOf(error) === 'UND_ERR_INFO') this.connection.close('done')
    else this.connection.resetClose('aborted')
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  /** Never called: undici takes for a stream what has it. */
  pipe(): never {
    throw new TypeError('an OriginSocket is not piped')
  }

  /** The parser was paused and goes on: give it what is here. `go` is undici's resume. */
  resumed(go: () => void): void {
    if (this.#answer === 'content') {
      if (this.destroyed) return
      if (this.#left === 0) this.#allRead()
      else this.#turn()
      return
    }
    turns++
    try {
      go()
    } finally {
      turns--
    }
    this.#turn()
  }

  // --- between ---

  /** Answers from where on the bytes are undici's. */
  #read(slab: Buffer, start: number, end: number): number {
    turns++
    try {
      if (this.#answer === 'head') {
        const headEnd = this.#readHead(slab, start, end)
        if (headEnd < 0) return start
        start = headEnd
      }
      const stop = Math.min(end, start + this.#left)
      if (stop > start && !this.destroyed) {
        this.#left -= stop - start
        this.#keeper.contentRead(slab.subarray(start, stop))
      }
      start = stop
    } finally {
      turns--
    }
    if (this.destroyed) return end
    if (this.#left > 0 || this.#keeper.paused) this.#keeper.parsed()
    else this.#allRead()
    return start
  }

  /** Answers where the head ends; -1 = it is undici's. */
  #readHead(slab: Buffer, start: number, end: number): number {
    this.#answer = 'undici'
    if (end - start > minorAt) this.answerMinor = slab[start + minorAt] === 0x30 ? 0 : 1
    // 1xx, or not even so many bytes
    if (end - start < statusAt + 3 || slab[start + statusAt] === 0x31) return -1
    const answer = parseResponseHead(slab, start, end, this.#limits, this.#method)
    if (answer.kind !== 'head') return -1
    const { head } = answer
    const { framing } = head
    if (head.tunnel || (framing.kind !== 'length' && framing.kind !== 'none')) return -1
    this.#answer = 'content'
    this.#left = framing.kind === 'length' ? framing.length : 0
    this.#stand = standFor(head)
    this.#keeper.headRead(head)
    return answer.end
  }

  /** The answer is whole: undici gets one in its place, and knows that the connection is free. */
  #allRead(): void {
    this.#answer = 'undici'
    this.#interim.release()
    this.#append(this.#stand)
    this.#turn()
  }

  #arrived(chunk: Buffer): void {
    const passed = this.#interim.pass(chunk)
    if (this.#interim.takeContinued()) this.#keeper.continued()
    if (passed === null) return
    this.#append(passed)
    this.#turn()
  }

  #append(chunk: Buffer): void {
    if (this.#chunk === null) this.#chunk = chunk
    else {
      this.#later ??= []
      this.#later.push(chunk)
    }
  }

  #turn(): void {
    turns++
    try {
      if (this.#chunk !== null) this.emit('readable')
      // an end is told when everything before it was read, and a paused parser may owe the end of a message yet
      if (this.#chunk === null && !this.destroyed && !this.#keeper.paused) {
        if (this.#ended && !this.endTold) this.#tellEnd()
        else if (this.#lastWord !== null) this.#end(this.#lastWord)
      }
    } finally {
      turns--
    }
    this.#keeper.parsed()
  }

  #tellEnd(): void {
    this.endTold = true
    this.emit('end')
    // a response that only the end of the connection ends: undici leaves it to the stream to close itself
    if (!this.destroyed) this.destroy()
  }

  #end(error: Error | null): void {
    this.destroyed = true
    this.errored = error
    this.#keeper.gone()
    // as streams do it: not inside the call, which may be undici's parser
    queueMicrotask(() => this.#tellClose(error))
  }

  #tellClose(error: Error | null): void {
    turns++
    try {
      if (error !== null && this.listenerCount('error') > 0) this.emit('error', error)
      this.emit('close')
    } finally {
      turns--
    }
    this.#keeper.parsed()
  }

  #ours(data: string | Uint8Array): string | Uint8Array {
    switch (this.#headState) {
      case 'theirs':
        return data
      case 'to-replace':
        assert(typeof data === 'string' && this.#framing !== 'chunked', 'undici begins a request with its head')
        this.#headState = 'theirs'
        return this.#head
      case 'sent':
        assert(typeof data === 'string' && data.includes(' HTTP/1.1\r\n'), 'undici begins content with its head')
        this.#headState = this.#framing === 'chunked' && data.endsWith(chunkedLine) ? 'skip-crlf' : 'theirs'
        // undici found no content at all and says so by a length; ours was announced as chunked
        return this.#framing === 'chunked' && this.#headState === 'theirs' ? '0\r\n\r\n' : ''
      case 'skip-crlf':
        assert(typeof data === 'string' && data.startsWith('\r\n'), 'a chunk begins with the CRLF that ended the head')
        this.#headState = 'theirs'
        return data.slice(2)
    }
  }

  #put(a: string | Buffer, b: string | Buffer | null = null, c: string | Buffer | null = null): boolean {
    if (this.connection.write(a, b, c)) return true
    if (!this.destroyed && !this.writableNeedDrain) {
      this.writableNeedDrain = true
      this.#keeper.blocked(true)
    }
    return false
  }
}

const byPeer: ReadonlySet<CloseReason> = new Set(['peer-closed', 'peer-reset', 'read-error', 'write-error'])

/** `HTTP/1.1 ` comes before the status. */
const minorAt = 7
const statusAt = 9
/** More fields are undici's business. */
const fieldsMax = 1000

const stand = (line: string): Buffer => Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${line}\r\n`, 'latin1')
const keptStand = stand('')
const closedStand = stand('Connection: close\r\n')
/** Origins say the same Keep-Alive all the time. */
let told = { keepAlive: '', stand: keptStand }

/** What undici needs to know of an answer: whether the connection stays, and how long the origin keeps it. */
const standFor = ({ keepAlive, fields }: ResponseHead): Buffer => {
  if (!keepAlive) return closedStand
  const said = fields.get('keep-alive')
  if (said === undefined) return keptStand
  if (said !== told.keepAlive) told = { keepAlive: said, stand: stand(`Keep-Alive: ${said}\r\n`) }
  return told.stand
}

/** Small pieces share Node's pool: who writes or stores one copies it. A large one may be kept as it is, alone. */
const pooledMax = 8 * 1024

const chunkedLine = 'transfer-encoding: chunked\r\n'

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const codeOf = (error: Error): unknown => ('code' in error ? error.code : undefined)
