import { hashStep } from './field-names.ts'
import { detached } from './latin1.ts'
import type { HostPort } from './target-uri.ts'

// Clients say the same fields again and again: all images of a page are asked for with one and the same block of field
// lines. A block that was read before, byte for byte, need not be read once more; what it came to is copied.
//
//   block ──mark──► slot ──┬─ the same text: a copy of what it came to
//                          ├─ the mark of the block before it: it is read and kept
//                          └─ else: it is read, its mark stays
//
// A mark is a few of its bytes, so that equal ones prove nothing: the text decides. Keeping costs as much as reading, so a
// slot whose texts were kept for nothing waits longer and longer until it keeps the next: who never says the same twice,
// but has the same marks, makes heads cost hardly more than without all this. Only blocks that are faultless are kept, and
// reading them depends on nothing but their bytes (and fieldsMax, which the caller looks at).

/** A block of field lines with the empty line behind it, and what it was read as. */
export interface SeenFields {
  readonly text: string
  readonly pairs: readonly string[]
  readonly lowers: readonly string[]
  readonly roles: number
  /** The value of Host, read; null if there is none, or it cannot be read. */
  readonly hostPort: HostPort | null
}

/** Longer ones are read each time: all slots together take a megabyte at most. */
const blockBytesMax = 2048
const slotCount = 256
/** Of the last block that was not found. */
const marks = new Int32Array(slotCount)
/** How often the mark must come once more before its block is kept. */
const waits = new Int32Array(slotCount).fill(1)
/** What `waits` begins with; doubled when a block is kept, 1 when one is found. */
const patience = new Int32Array(slotCount).fill(1)
const patienceMax = 1024
const slots = new Array<SeenFields | null>(slotCount).fill(null)

/** Of slab[from, stop), by its length and at most seventeen of its bytes; 0 = it is not looked up. */
export const markOf = (slab: Uint8Array, from: number, stop: number): number => {
  const bytes = stop - from
  if (bytes > blockBytesMax) return 0
  const step = (bytes >> 4) + 1
  let hash = bytes
  for (let i = from; i < stop; i += step) hash = hashStep(hash, slab[i] as number) // within by the loop
  return hash | 1
}

const slotOf = (mark: number): number => (mark ^ (mark >>> 15)) & (slotCount - 1)

/** What was kept of the block with this mark and this text; null = nothing. */
export const seenFields = (mark: number, text: string): SeenFields | null => {
  const slot = slotOf(mark)
  const seen = slots[slot] ?? null
  if (seen === null || seen.text !== text) return null
  patience[slot] = 1
  return seen
}

/** For a block that was not found: it is worth keeping (`keepSeen`). */
export const isWorthKeeping = (mark: number): boolean => {
  const slot = slotOf(mark)
  const longest = patience[slot] as number // within, as all slots
  if (marks[slot] !== mark) {
    marks[slot] = mark
    waits[slot] = longest
    return false
  }
  const wait = (waits[slot] as number) - 1
  waits[slot] = wait
  if (wait > 0) return false
  patience[slot] = waits[slot] = Math.min(2 * longest, patienceMax)
  return true
}

/** `read` is handed a text that keeps nothing else in memory. */
export const keepSeen = (mark: number, text: string, read: (text: string) => Omit<SeenFields, 'text'>): void => {
  const own = detached(text)
  slots[slotOf(mark)] = { text: own, ...read(own) }
}

/** All that is kept; to be looked at by tests. */
export const keptTexts = (): readonly string[] => slots.flatMap(seen => (seen === null ? [] : [seen.text]))
