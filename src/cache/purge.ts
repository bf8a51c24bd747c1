import type { Clock } from '../base/index.ts'
import type { Collapse } from './collapse.ts'
import type { CacheKey } from './key.ts'
import type { Selection } from './selection.ts'
import type { Store } from './store/store.ts'

// Purging: what is stored goes, and what is on its way is not stored. For one key that is done at once. For many the
// store is walked through in slices, others having their turn between them:
//
//   1  at once: all that is being fetched or written and is meant (tags of what has no head yet are compared when it has)
//   2  slice by slice: what is stored and is meant
//
// A response asked for after the beginning may be stored and, if the walk comes by it, purged once more; one asked for
// before it never stays.

export interface PurgeParts {
  readonly store: Store
  readonly collapse: Collapse
  readonly clock: Clock
}

/** All variants of a key. Answers how many there were. */
export const purgeKey = ({ store, collapse }: PurgeParts, key: CacheKey): number => {
  collapse.invalidate(key)
  return store.invalidate(key)
}

/** Of one slice, whichever is reached first. Removing one key from the disk takes the time of looking at a hundred. */
const lookedAtMax = 512
const purgedMax = 16
const sliceMsMax = 2

/** Answers how many stored responses went. Never rejects; ends early where `goesOn` says no. */
export const purgeSelected = async (parts: PurgeParts, selection: Selection, goesOn: () => boolean): Promise<number> => {
  const { store, collapse, clock } = parts
  let purged = stopUnfinished(parts, selection)
  const walk = store.walk(selection)
  let waiting: readonly CacheKey[] = none
  let at = 0
  for (;;) {
    const until = clock.mono() + sliceMsMax
    let lookedAt = 0
    let gone = 0
    while (lookedAt < lookedAtMax && gone < purgedMax && clock.mono() < until) {
      if (at === waiting.length) {
        const next = walk.next(walkStep)
        if (next === null) return purged
        waiting = next
        at = 0
        lookedAt += walkStep
        continue
      }
      const key = waiting[at++] as CacheKey // at < length
      collapse.invalidate(key)
      purged += store.invalidate(key)
      gone++
    }
    await new Promise(setImmediate)
    if (!goesOn()) {
      walk.end()
      return purged
    }
  }
}

/** Entries looked at between two looks at the clock. */
const walkStep = 64

/** Answers how many were only waiting for the disk. */
const stopUnfinished = ({ store, collapse }: PurgeParts, selection: Selection): number => {
  let complete = 0
  for (const { key, tags } of store.unfinished()) {
    if (!selection.selects(key, tags)) continue
    collapse.invalidate(key)
    complete += store.stopWriting(key)
  }
  if (selection.tag === null) {
    for (const key of collapse.keys()) if (selection.selects(key, none)) collapse.invalidate(key)
  } else collapse.purgedTag(selection.tag)
  return complete
}

const none: readonly never[] = []
