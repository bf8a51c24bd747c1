import type { StoredResponse } from './stored-response.ts'

// Content that is sent from memory again and again is moved to memory the kernel can send from without copying it
// (decision 0028). Not at once: that memory has to be made, which costs as much as several copies, and most of what is
// stored is asked for once more or never.

/** Shorter content is not worth it: kLentMin in native/engine.h. */
export const lendableBytesMin = 32 * 1024
/** Hits that are copied before. */
const hitsBefore = 2
/** Moved behind one hit: all others wait meanwhile. */
const bytesAtOnceMax = 2 * 1024 * 1024

/** After a hit of large content. `lend` answers null where there is no such memory now; it is not asked again for this one. */
export const moveToLent = (stored: StoredResponse, lend: (bytes: number) => Buffer | null): void => {
  if (stored.lentBlocks === stored.body.length) return
  if (stored.largeHits < hitsBefore) {
    stored.largeHits++
    return
  }
  const body = stored.body as Buffer[] // the same bytes at another place: whoever is sending the former block has it still
  for (let moved = 0; stored.lentBlocks < body.length && moved < bytesAtOnceMax; stored.lentBlocks++) {
    const block = body[stored.lentBlocks]
    if (block === undefined || block.length < lendableBytesMin) continue
    const memory = lend(block.length)
    if (memory === null) {
      stored.lentBlocks = body.length
      return
    }
    memory.set(block)
    body[stored.lentBlocks] = memory
    moved += block.length
  }
}

/** `by` has the same blocks as `stored`, in one and the same array: what was moved is not moved again. */
export const alsoLent = (stored: StoredResponse, by: StoredResponse): void => {
  by.largeHits = stored.largeHits
  by.lentBlocks = stored.lentBlocks
}
