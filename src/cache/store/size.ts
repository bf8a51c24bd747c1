import type { StoredResponse } from '../stored-response.ts'

// What a stored response takes in memory. The constants were measured, not added up: test/cache/memory-bytes.test.ts
// stores some thousand responses of several shapes and compares these sums with what the process grew by.

/** The object, its numbers, the store's own tables for it. */
export const responseOverhead = 900
/** Per buffer: Buffer, ArrayBuffer, backing store. */
export const bufferOverhead = 330
/** A string beside its characters. */
const stringOverhead = 24
/** Per selecting field: two array slots and, where normalising changed it, a second string. */
const selectingOverhead = 40

export const bytesOf = (stored: StoredResponse): number => {
  let bytes = responseOverhead + stringBytes(stored.key) + stringBytes(stored.head)
  if (stored.etag !== null) bytes += stringBytes(stored.etag)
  const { selecting, body } = stored
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
  for (const buffer of body) bytes += bufferOverhead + buffer.length
  return bytes
}

/** Keys and heads are latin1: one byte for each character. */
const stringBytes = (text: string): number => stringOverhead + text.length
