import type { OriginConnection } from './connection.ts'
import type { Peer } from '../../peer/peer.ts'
import type { Tie } from '../../router/router.ts'
import type { Exchange } from './exchange.ts'

// Everything that shares one key. It lives as long as it has a connection, a dial or somebody who waits.

export class Origin {
  readonly key: string
  /** Its connections belong to a client connection. */
  readonly tie: Tie | null
  /** Dialling, carrying and idle. */
  connections = 0
  /** Of them: dialled for nobody yet. */
  preparing = 0
  /** Used last, taken first: the ones at the bottom grow old and expire. */
  readonly idle: OriginConnection[] = []
  readonly waiting = new WaitingLine()
  /** Whose room is measured by what is open and not idle. */
  readonly #peer: Peer | undefined

  constructor(key: string, tie: Tie | null = null, peer: Peer | undefined = undefined) {
    this.key = key
    this.tie = tie
    this.#peer = peer
  }

  get empty(): boolean {
    return this.connections === 0 && this.waiting.first === null
  }

  rests(connection: OriginConnection): void {
    this.idle.push(connection)
    this.#peer?.rests(1)
  }

  takeIdle(): OriginConnection | undefined {
    const connection = this.idle.pop()
    if (connection !== undefined) this.#peer?.rests(-1)
    return connection
  }

  closeIdle(): void {
    for (const connection of [...this.idle]) connection.close()
  }

  /** A key has few idle connections: connectionsPerKeyMax at most. */
  removeIdle(connection: OriginConnection): boolean {
    const at = this.idle.lastIndexOf(connection)
    if (at < 0) return false
    this.idle.splice(at, 1)
    this.#peer?.rests(-1)
    return true
  }
}

/** First come, first served; leaving from the middle costs nothing more. */
export class WaitingLine {
  first: Exchange | null = null
  #last: Exchange | null = null

  add(exchange: Exchange): void {
    exchange.waitsBehind = this.#last
    exchange.waitsBefore = null
    if (this.#last === null) this.first = exchange
    else this.#last.waitsBefore = exchange
    this.#last = exchange
  }

  remove(exchange: Exchange): void {
    const { waitsBehind: ahead, waitsBefore: after } = exchange
    if (ahead === null) this.first = after
    else ahead.waitsBefore = after
    if (after === null) this.#last = ahead
    else after.waitsBehind = ahead
    exchange.waitsBehind = null
    exchange.waitsBefore = null
  }
}

/** Idle connections of all keys, the longest idle first. */
export class IdleList {
  longest: OriginConnection | null = null
  size = 0
  #latest: OriginConnection | null = null

  add(connection: OriginConnection): void {
    connection.idleBefore = this.#latest
    connection.idleBehind = null
    if (this.#latest === null) this.longest = connection
    else this.#latest.idleBehind = connection
    this.#latest = connection
    this.size++
  }

  remove(connection: OriginConnection): void {
    const { idleBefore: before, idleBehind: behind } = connection
    if (before === null) this.longest = behind
    else before.idleBehind = behind
    if (behind === null) this.#latest = before
    else behind.idleBefore = before
    connection.idleBefore = null
    connection.idleBehind = null
    this.size--
  }
}
