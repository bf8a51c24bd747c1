import type { StoredResponse } from '../stored-response.ts'

// What a stored response takes in memory. Measured, not added up: resident memory of a process that stored 180,000
// responses of 0, 1, 100, 1024 and 4000 bytes (Node 26, x64: 1170, 1449, 1660, 2557, 5428 bytes each with heads of 330
// bytes and URLs of 58), so what V8 and malloc lose around the objects is in. test/cache/memory-bytes.test.ts
// compares these sums with heap and buffers.

/** The object, its numbers, the store's own tables for it. */
export const responseOverhead = 700
/** Per buffer: Buffer, ArrayBuffer, backing store. */
export const bufferOverhead = 300
/** A string beside its characters. */
const stringOverhead = 24
/** From here on a buffer has whole pages to itself. */
const pagedBytesMin = 32 * 1024
const pageBytes = 4096
/** Its slot in the array. */
const tagOverhead = 8
/** Per selecting field: two array slots and, where normalising changed it, a second string. */
const selectingOverhead = 40

export const bytesOf = (stored: StoredResponse): number => {
  let bytes = bytesWithoutContent(stored)
  for (const buffer of stored.body) bytes += bufferOverhead + taken(buffer.length)
  return bytes
}

const taken = (bytes: number): number => (bytes < pagedBytesMin ? bytes : Math.ceil(bytes / pageBytes) * pageBytes)

/** Head, facts and key: what a writer takes before the first byte of content. */
export const bytesWithoutContent = (stored: StoredResponse): number => {
  let bytes = responseOverhead + stringBytes(stored.key) + stringBytes(stored.head)
  if (stored.etag !== null) bytes += stringBytes(stored.etag)
  for (const tag of stored.tags) bytes += tagOverhead + stringBytes(tag)
  const { selecting } = stored
  if (selecting !== null) {
    bytes += 96
    for (let i = 0; i < selecting.names.length; i++) {
      const received = selecting.received[i] ?? null
      const normalised = selecting.normalised[i] ?? null
      bytes += selectingOverhead
      if (received !== null) bytes += stringBytes(received)
      if (normalised !== null && normalised !== received) bytes += stringBytes(normalised)
    }
  }
  return bytes
}

/** Keys and heads are latin1: one byte for each character. */
const stringBytes = (text: string): number => stringOverhead + text.length
