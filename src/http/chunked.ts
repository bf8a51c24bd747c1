import { hexDigit, tokenByte, valueByte } from './characters.ts'
import { role } from './field-names.ts'
import { Fields } from './fields.ts'
import { type Bad, badRequest, fault, type HeadLimits } from './head.ts'
import { scanHead } from './head-scan.ts'
import { latin1 } from './latin1.ts'
import { fieldsRead, readFields } from './read-fields.ts'
import { fieldLines } from './write-head.ts'

// The chunked transfer coding (RFC 9112 7.1), byte for byte:
//
//   size ──► (";" name ["=" value])* ──► CRLF ──► data ──► CRLF ──► size ...
//   "0"  ──► (";" name ["=" value])* ──► CRLF ──► trailer fields ──► CRLF
//
// Nothing is forgiven: no space around the size, no white space in extensions, no LF without CR. Extensions mean
// nothing to us and are not passed on.

/** Where content goes: slab[start, end) is valid during the call only. */
export interface ContentSink {
  onContent(slab: Buffer, start: number, end: number): void
}

export interface ChunkedLimits {
  /** Bytes of extensions of all chunks together. */
  readonly extensionBytesMax: number
  /** Bytes of the trailer section. */
  readonly trailerBytesMax: number
  readonly trailersMax: number
}

export const usualChunkedLimits: ChunkedLimits = {
  extensionBytesMax: 16 * 1024,
  trailerBytesMax: 16 * 1024,
  trailersMax: 64,
}

/** 13 digits are 52 bits: as many as a number counts exactly, and 4 PiB. */
const sizeDigitsMax = 13

/** Dropping these would do, if everybody did: llhttp refuses the lengths and obeys Connection, others may merge all. */
const framingRoles =
  role.contentLength | role.transferEncoding | role.connection | role.proxyConnection | role.upgrade

const CR = 13
const LF = 10
const SEMICOLON = 59
const EQUALS = 61
const QUOTE = 34
const BACKSLASH = 92

const state = {
  sizeStart: 0,
  size: 1,
  extensionName: 2,
  extensionValue: 3,
  quoted: 4,
  quotedPair: 5,
  quotedEnd: 6,
  sizeLf: 7,
  data: 8,
  dataCr: 9,
  dataLf: 10,
  trailers: 11,
  done: 12,
  failed: 13,
} as const

export class ChunkedDecoder {
  /** Content bytes so far. */
  bytes = 0
  /** The trailer fields that may be passed on; null while unknown, and when there were none. */
  trailers: Fields | null = null
  /** Why decoding stopped; null while all is well. */
  failed: Bad | null = null
  readonly #limits: ChunkedLimits
  #state: number = state.sizeStart
  /** Of the present chunk: bytes still to come. */
  #left = 0
  #digits = 0
  /** Bytes of the present extension name or value: they may not be empty. */
  #part = 0
  #extensionBytes = 0
  #held: Buffer | null = null
  #heldBytes = 0

  constructor(limits: ChunkedLimits = usualChunkedLimits) {
    this.#limits = limits
  }

  get done(): boolean {
    return this.#state === state.done
  }

  /**
   * Decodes slab[start, end). Answers up to where it was used: `end`, or where the body ended, or where it broke
   * (then `failed` says why). Not to be called again after either.
   */
  feed(slab: Buffer, start: number, end: number, sink: ContentSink): number {
    let i = start
    while (i < end) {
      if (this.#state === state.data) {
        const stop = Math.min(end, i + this.#left)
        this.bytes += stop - i
        this.#left -= stop - i
        if (this.#left === 0) this.#state = state.dataCr
        sink.onContent(slab, i, stop)
        i = stop
      } else if (this.#state === state.trailers) return this.#feedTrailers(slab, i, end)
      else if (this.#state >= state.done) return i
      else {
        if (!this.#step(slab[i] as number)) return i
        i++
      }
    }
    return i
  }

  /** One byte that is not content. False = it is wrong there. */
  #step(c: number): boolean {
    switch (this.#state) {
      case state.sizeStart:
        this.#left = 0
        this.#digits = 0
        if (hexDigit[c] === 0) return this.#fail('chunk-size')
        this.#state = state.size
        return this.#sizeDigit(c)
      case state.size:
        if (hexDigit[c] !== 0) return this.#sizeDigit(c)
        return this.#afterPart(c, 'chunk-size')
      case state.extensionName:
        if (c === EQUALS && this.#part > 0) return this.#enter(state.extensionValue, true)
        if (tokenByte[c] === 1) return this.#partByte()
        return this.#part > 0 ? this.#afterPart(c, 'chunk-extension') : this.#fail('chunk-extension')
      case state.extensionValue:
        if (c === QUOTE && this.#part === 0) return this.#enter(state.quoted, true)
        if (tokenByte[c] === 1) return this.#partByte()
        return this.#part > 0 ? this.#afterPart(c, 'chunk-extension') : this.#fail('chunk-extension')
      case state.quoted:
        if (c === QUOTE) return this.#enter(state.quotedEnd, true)
        if (c === BACKSLASH) return this.#enter(state.quotedPair, true)
        return valueByte[c] === 1 ? this.#partByte() : this.#fail('chunk-extension')
      case state.quotedPair:
        return valueByte[c] === 1 ? this.#enter(state.quoted, true) : this.#fail('chunk-extension')
      case state.quotedEnd:
        return this.#afterPart(c, 'chunk-extension')
      case state.sizeLf:
        if (c !== LF) return this.#fail('bare-cr')
        return this.#enter(this.#left === 0 ? state.trailers : state.data, false)
      case state.dataCr:
        return c === CR ? this.#enter(state.dataLf, false) : this.#fail('chunk-end')
      default: // dataLf
        return c === LF ? this.#enter(state.sizeStart, false) : this.#fail('chunk-end')
    }
  }

  #sizeDigit(c: number): boolean {
    if (++this.#digits > sizeDigitsMax) return this.#fail('chunk-size-overflow')
    this.#left = this.#left * 16 + (hexDigit[c] as number) - 1
    return true
  }

  /** Behind the size or an extension: another extension, or the end of the line. */
  #afterPart(c: number, why: 'chunk-size' | 'chunk-extension'): boolean {
    if (c === CR) return this.#enter(state.sizeLf, false)
    if (c === SEMICOLON) return this.#enter(state.extensionName, true)
    return this.#fail(c === LF ? 'bare-lf' : why)
  }

  #enter(next: number, inExtension: boolean): boolean {
    this.#state = next
    if (!inExtension) return true
    const counted = this.#partByte()
    this.#part = 0
    return counted
  }

  #partByte(): boolean {
    this.#part++
    return ++this.#extensionBytes <= this.#limits.extensionBytesMax || this.#fail('chunk-extensions-too-long')
  }

  #fail(why: Bad['why']): false {
    this.#state = state.failed
    this.failed = badRequest(fault(why))
    return false
  }

  /** The trailer section is short and rare: it is copied, behind a CRLF of our own, as if behind a start line. */
  #feedTrailers(slab: Buffer, start: number, end: number): number {
    if (this.#held === null && end - start >= 2 && slab[start] === CR && slab[start + 1] === LF) {
      this.#state = state.done
      return start + 2
    }
    const bytesMax = this.#limits.trailerBytesMax + 2
    this.#held ??= Buffer.alloc(bytesMax, '\r\n')
    if (this.#heldBytes === 0) this.#heldBytes = 2
    const held = this.#held
    const before = this.#heldBytes
    const copied = Math.min(end - start, bytesMax - before)
    slab.copy(held, before, start, start + copied)
    this.#heldBytes = before + copied
    const limits: HeadLimits = { lineBytesMax: bytesMax, headBytesMax: bytesMax, fieldsMax: 0, hostRequired: false }
    const found = scanHead(held, 0, Math.max(2, before - 1), this.#heldBytes, limits)
    if (found < 0) {
      this.#fail(found === fault('head-too-long') ? 'trailers-too-long' : reasonOf(found))
      return start
    }
    if (found === 0) return end
    return this.#readTrailers(held, found) ? start + (found - before) : start
  }

  #readTrailers(held: Buffer, stop: number): boolean {
    const pairs: string[] = []
    const lowers: string[] = []
    const end = readFields(held, latin1(held, 0, stop), 0, 2, stop, this.#limits.trailersMax, pairs, lowers)
    if (end < 0) return this.#fail(end === fault('fields-too-many') ? 'trailers-too-long' : reasonOf(end))
    if ((fieldsRead.roles & framingRoles) !== 0) return this.#fail('trailer-framing')
    const trailers = new Fields(pairs, lowers)
    for (const lower of new Set(lowers)) if (!mayBeTrailer(lower)) trailers.delete(lower)
    if (trailers.size > 0) this.trailers = trailers
    this.#held = null
    this.#state = state.done
    return true
  }
}

const reasonOf = (faultNumber: number): Bad['why'] => badRequest(faultNumber).why

// RFC 9110 6.5.1: a sender must not put into trailers what decides about framing, routing, modifying, authenticating or
// how content is to be taken. A recipient that merged them would let the content's end rewrite its beginning.
const neverTrailers = new Set(
  `age authorization cache-control connection content-encoding content-length content-location content-range
  content-type cookie date expect expires forwarded host http2-settings if-match if-modified-since if-none-match
  if-range if-unmodified-since keep-alive location max-forwards pragma proxy-authenticate proxy-authorization
  proxy-connection range retry-after set-cookie te trailer transfer-encoding upgrade vary via warning www-authenticate
  x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip`.split(/\s+/),
)

/** Whether a field of that lower-case name may be passed on when it comes as a trailer. */
export const mayBeTrailer = (lower: string): boolean => !neverTrailers.has(lower)

/** In front of a chunk's bytes; `chunkEnd` goes behind them. A size of 0 would end the body. */
export const chunkHead = (size: number): string => `${size.toString(16)}\r\n`

export const chunkEnd = '\r\n'

/** Ends the body. */
export const lastChunk = (trailers: Fields | null = null): string =>
  trailers === null ? '0\r\n\r\n' : `0\r\n${fieldLines(trailers.pairs)}\r\n`
