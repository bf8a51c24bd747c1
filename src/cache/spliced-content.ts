import type { ContentReader, ContentSource, FileStretch } from './content-source.ts'

/** Some bytes of a content, and where they are. */
export interface Segment {
  /** Place of its first byte in the content. */
  readonly at: number
  readonly length: number
  /** Place of its first byte in `body` or `content`. */
  readonly from: number
  readonly body: readonly Buffer[]
  /** Null: in `body`. */
  readonly content: ContentSource | null
}

/**
 * A content that lies in several places, in order. Bytes between its segments are not there. Whoever opens it has all of
 * it, whatever becomes of the places meanwhile.
 */
export class SplicedContent implements ContentSource {
  readonly segments: readonly Segment[]

  constructor(segments: readonly Segment[]) {
    this.segments = segments
  }

  /** What of the bytes [first, last] is here, as segments of another content, in which `first` is at `at`. */
  within(first: number, last: number, at: number): Segment[] {
    const found: Segment[] = []
    for (const segment of this.segments) {
      const start = Math.max(first, segment.at)
      const length = Math.min(last + 1, segment.at + segment.length) - start
      if (length > 0) found.push({ ...segment, at: at + start - first, length, from: segment.from + start - segment.at })
    }
    return found
  }

  async open(): Promise<ContentReader | null> {
    const sources = [...new Set(this.segments.map(segment => segment.content))].filter(source => source !== null)
    const opened = await Promise.all(sources.map(source => source.open()))
    const readers = new Map<ContentSource, ContentReader>()
    for (const [i, source] of sources.entries()) {
      const reader = opened[i] ?? null
      if (reader !== null) readers.set(source, reader)
    }
    if (readers.size === sources.length) return new SplicedReader(this.segments, readers)
    for (const reader of readers.values()) reader.close()
    return null
  }
}

class SplicedReader implements ContentReader {
  readonly #segments: readonly Segment[]
  readonly #readers: ReadonlyMap<ContentSource, ContentReader>
  #closed = false

  constructor(segments: readonly Segment[], readers: ReadonlyMap<ContentSource, ContentReader>) {
    this.#segments = segments
    this.#readers = readers
  }

  async read(at: number, into: Buffer): Promise<number> {
    let filled = 0
    while (filled < into.length && !this.#closed) {
      const segment = this.#at(at + filled)
      if (segment === null) break
      const offset = at + filled - segment.at
      const size = Math.min(into.length - filled, segment.length - offset)
      const count = await this.#readSegment(segment, segment.from + offset, into.subarray(filled, filled + size))
      if (count <= 0) return -1
      filled += count
    }
    if (this.#closed) return -1
    return filled > 0 || into.length === 0 || this.#isEnd(at) ? filled : -1
  }

  inFile(at: number): FileStretch | null {
    const segment = this.#at(at)
    if (segment === null || segment.content === null || this.#closed) return null
    const offset = at - segment.at
    const found = this.#readers.get(segment.content)?.inFile?.(segment.from + offset) ?? null
    return found === null ? null : { ...found, bytes: Math.min(found.bytes, segment.length - offset) }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const reader of this.#readers.values()) reader.close()
  }

  #readSegment({ body, content }: Segment, from: number, into: Buffer): Promise<number> | number {
    return content === null ? copied(body, from, into) : (this.#readers.get(content)?.read(from, into) ?? -1)
  }

  #at(at: number): Segment | null {
    for (const segment of this.#segments) if (at >= segment.at && at < segment.at + segment.length) return segment
    return null
  }

  #isEnd(at: number): boolean {
    const last = this.#segments.at(-1)
    return last === undefined || at >= last.at + last.length
  }
}

/** Bytes of `body` from `from` on, as many as fit; answers how many. */
const copied = (body: readonly Buffer[], from: number, into: Buffer): number => {
  let skipped = 0
  let filled = 0
  for (const buffer of body) {
    const start = Math.max(0, from - skipped)
    if (start < buffer.length && filled < into.length) filled += buffer.copy(into, filled, start)
    skipped += buffer.length
  }
  return filled
}

/** Bytes [from, to) of what lies in buffers, without copying. */
export const cut = (body: readonly Buffer[], from: number, to: number): Buffer[] => {
  const pieces: Buffer[] = []
  let at = 0
  for (const piece of body) {
    const start = Math.max(from - at, 0)
    const end = Math.min(to - at, piece.length)
    if (start < end) pieces.push(piece.subarray(start, end))
    at += piece.length
  }
  return pieces
}
