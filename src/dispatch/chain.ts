import type { Connection } from '../../comm/connection.ts'

// Who is asked about a connection on one bind, and in which order.
//
//   RELATED -100      SECONDARY 0       LISTEN 100        one level per priority that is in use, ascending
//   newest ─► older   newest ─► older   listener          within a level the newest is asked first
//
// Adding and removing touch their neighbours only, however many entries there are; finding the level takes as many
// steps as there are priorities in use. An entry may be removed, or others added, while a connection is being offered.

/** An entry took the connection: it is its owner now. Or it did not, and the next is asked. */
export type Answer = 'taken' | 'declined'

export interface Entry {
  /** Quick and without waiting: others on the same bind wait meanwhile. A refusal is `taken`, and closes. */
  accept(connection: Connection): Answer
}

/** Zorp's priorities. Lower is asked first. */
export const priority = {
  /** What a running session waits for: a data connection of FTP. */
  related: -100,
  /** A running session that takes more of its kind. */
  secondary: 0,
  /** The listener, which starts sessions. */
  listen: 100,
} as const

/** A place in a chain. */
export interface Place {
  entry: Entry
  readonly level: Level
  before: Place | null
  behind: Place | null
  removed: boolean
}

interface Level {
  readonly priority: number
  first: Place | null
}

export class Chain {
  /** Levels and entries looked at so far. */
  steps = 0
  size = 0
  /** Exchanged, never changed: who offers a connection goes on with the levels there were. */
  #levels: readonly Level[] = []

  add(entry: Entry, at: number): Place {
    const level = this.#levelAt(at)
    const place: Place = { entry, level, before: null, behind: level.first, removed: false }
    if (level.first !== null) level.first.before = place
    level.first = place
    this.size++
    return place
  }

  /** Harmless when it was removed before. */
  remove(place: Place): void {
    if (place.removed) return
    this.steps++
    place.removed = true // keeps `behind`: who is being asked at this moment finds the way on
    if (place.before === null) place.level.first = place.behind
    else place.before.behind = place.behind
    if (place.behind !== null) place.behind.before = place.before
    this.size--
    if (place.level.first === null) this.#levels = this.#levels.filter(level => level !== place.level)
  }

  offer(connection: Connection): Answer {
    for (const level of this.#levels) {
      for (let place = level.first; place !== null; place = place.behind) {
        this.steps++
        if (!place.removed && place.entry.accept(connection) === 'taken') return 'taken'
      }
    }
    return 'declined'
  }

  #levelAt(wanted: number): Level {
    let at = 0
    for (; at < this.#levels.length; at++) {
      this.steps++
      const level = this.#levels[at]
      if (level === undefined || level.priority > wanted) break
      if (level.priority === wanted) return level
    }
    const level: Level = { priority: wanted, first: null }
    this.#levels = this.#levels.toSpliced(at, 0, level)
    return level
  }
}
