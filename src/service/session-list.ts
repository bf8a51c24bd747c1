import type { ClientSession } from './client-session.ts'

/**
 * The running sessions of a service in the order they began. The links are in the sessions: a Map would keep those that
 * are long gone alive through the young collections (see base/deadlines.ts).
 */
export class SessionList {
  size = 0
  #first: ClientSession | null = null
  #last: ClientSession | null = null

  add(session: ClientSession): void {
    session.listed = true
    session.before = this.#last
    if (this.#last === null) this.#first = session
    else this.#last.behind = session
    this.#last = session
    this.size++
  }

  /** False if it is not in the list. */
  remove(session: ClientSession): boolean {
    if (!session.listed) return false
    const { before, behind } = session
    if (before === null) this.#first = behind
    else before.behind = behind
    if (behind === null) this.#last = before
    else behind.before = before
    session.before = null
    session.behind = null
    session.listed = false
    this.size--
    return true
  }

  /** A copy: sessions may end while they are looked at. */
  list(): ClientSession[] {
    const sessions: ClientSession[] = []
    for (let session = this.#first; session !== null; session = session.behind) sessions.push(session)
    return sessions
  }
}
