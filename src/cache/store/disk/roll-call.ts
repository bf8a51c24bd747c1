import { ownerLives } from './folder.ts'
import { fileState, type Ledger } from './ledger.ts'

// Who shares the ledger, and what those have left who are not there any more: the place of the killed among its users, and
// files nobody will finish.

export class RollCall {
  readonly #owner: string
  #others: readonly number[] = []

  constructor(owner: string) {
    this.#owner = owner
  }

  /** Whether somebody else was there at the last roll call. */
  get knowsOthers(): boolean {
    return this.#others.length > 0
  }

  /** Users of the ledger that are dead; null: nobody has left since the last time. Throws what SQLite says. */
  call(ledger: Ledger, ourselves: number): readonly number[] | null {
    ledger.look()
    const others = ledger.usersNow().filter(user => user.id !== ourselves)
    const dead = others.filter(user => !ownerLives(user.owner)).map(user => user.id)
    const left = this.#others.some(id => others.every(user => user.id !== id))
    this.#others = others.map(user => user.id)
    return dead.length > 0 || left ? dead : null
  }

  /** Whoever took a dead one off the list may have died before its files had gone: all whose owner is no more. */
  orphans(ledger: Ledger): readonly number[] {
    const lives = new Map<string, boolean>([[this.#owner, true]])
    return ledger.files().flatMap(({ id, state, owner }) => {
      if (state === fileState.unsynced) return []
      const known = lives.get(owner) ?? ownerLives(owner)
      lives.set(owner, known)
      return known ? [] : [id]
    })
  }
}
