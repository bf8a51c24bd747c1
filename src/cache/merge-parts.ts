import type { FieldView } from '../base/index.ts'
import type { ContentReader } from './content-source.ts'
import { asPart, PartialResponse, rangeOfPart, sameRepresentation, segmentsOf, wholeOf } from './parts.ts'
import { cut, SplicedContent } from './spliced-content.ts'
import type { Store, Variants, Writer } from './store/store.ts'
import { StoredResponse } from './stored-response.ts'

// What has just been stored as a part may touch others (RFC 9111 3.4). Small ones in memory become one as they come, so
// that a reader who comes page by page does not leave a thousand. Those in files are copied together when there are some
// of like size: a file that comes in a thousand pieces is never more than a dozen parts, and each byte of it is written
// four or five times in all (tried: eight, or what is no larger than all that stands beside it). When no byte lacks any
// more, the whole takes their place. Where that cannot be done now, the parts go on to serve as they are.

/** Larger ones are not copied for the sake of their number. */
const mergedBytesMax = 256 * 1024
const pieceBytes = 256 * 1024
/** So many parts in files, at least, become one. */
const partsToJoin = 8
/** Copies from file to file at a time. */
const copiesMax = 4
let copies = 0

export const mergeParts = (store: Store, stored: StoredResponse, request: FieldView): void => {
  const variants = store.peek(stored.key)
  if (variants instanceof Promise) void variants.then(found => merge(store, found, stored, request))
  else merge(store, variants, stored, request)
}

const merge = (store: Store, variants: Variants | null, stored: StoredResponse, request: FieldView): void => {
  const partial = variants === null ? null : PartialResponse.of(variants, request)
  const range = rangeOfPart(stored)
  if (partial === null || range === null || !sameRepresentation(partial.newest, stored)) return
  const { newest, length } = partial
  const { first, last, parts } = partial.runAround(range.first)
  const isWhole = first === 0 && last === length - 1
  if (parts.length < 2 && !isWhole) return
  const inMemory = parts.every(part => part.stored.content === null)
  if (inMemory && isWhole) store.put(wholeOf(newest, length, null, bodyOf(parts)), request)
  else if (inMemory && last - first < mergedBytesMax) {
    store.put(new StoredResponse(asPart(newest, { first, last, length }), bodyOf(parts)), request)
  } else if (isWhole) void copyTogether(store, partial, wholeOf(newest, length, null), 0, request)
  else {
    const at = parts.findIndex(part => part.first === range.first)
    const [from, to] = at < 0 ? [0, 0] : ofLikeSize(parts, at)
    if (to - from < partsToJoin) return
    const [start, end] = [parts[from]?.first ?? 0, parts[to - 1]?.last ?? 0]
    void copyTogether(store, partial, asPart(newest, { first: start, last: end, length }), start, request)
  }
}

/** Parts [from, to) around the one at `at`, each no larger than all before it together. */
const ofLikeSize = (parts: PartialResponse['parts'], at: number): readonly [number, number] => {
  const sizeAt = (i: number): number => {
    const part = parts[i]
    return part === undefined ? Number.POSITIVE_INFINITY : part.last - part.first + 1
  }
  let [from, to] = [at, at + 1]
  for (let size = sizeAt(at); ; ) {
    const left = sizeAt(from - 1)
    const right = sizeAt(to)
    if (Math.min(left, right) > size) return [from, to]
    if (left <= right) from--
    else to++
    size += Math.min(left, right)
  }
}

const bodyOf = (parts: PartialResponse['parts']): readonly Buffer[] => {
  const pieces = segmentsOf(parts).flatMap(({ body, from, length }) => cut(body, from, from + length))
  let bytes = 0
  for (const piece of pieces) bytes += piece.length
  if (bytes > mergedBytesMax) return pieces
  // not Buffer.concat: that may take from Node's pool, and keep all of it
  const joined = Buffer.allocUnsafeSlow(bytes)
  let at = 0
  for (const piece of pieces) at += piece.copy(joined, at)
  return [joined]
}

/** `response`: what they become, whose content begins at byte `start` of the whole. */
const copyTogether = async (
  store: Store,
  partial: PartialResponse,
  response: StoredResponse,
  start: number,
  request: FieldView,
): Promise<void> => {
  if (copies >= copiesMax) return
  const opened = store.open(response, request)
  if (!opened.ok) return
  copies++
  const { contentLength } = response
  const reader = await new SplicedContent(partial.content.within(start, start + contentLength - 1, 0)).open()
  if (reader !== null) await copy(reader, opened.writer, contentLength)
  reader?.close()
  copies--
  opened.writer.abandon() // nothing, if it is complete
}

const copy = async (reader: ContentReader, writer: Writer, length: number): Promise<void> => {
  for (let at = 0; at < length; ) {
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, length - at))
    const count = await reader.read(at, piece)
    if (count <= 0 || !writer.append(piece.subarray(0, count))) return
    at += count
    if (writer.pressed) await new Promise<void>(resolve => (writer.onRelieved = resolve))
  }
  writer.complete()
}
