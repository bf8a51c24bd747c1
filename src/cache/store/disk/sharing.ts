import type { CacheKey } from '../../key.ts'
import { type Debt, Debts, everything, userInSlot } from './debts.ts'
import { type ChangeRow, changeKind, hashOf, type Ledger } from './ledger.ts'

// Several processes with one folder. What lies in the ledger is the same for all of them at any time; what each has in
// its memory, is fetching or is writing is not. So whoever changes something others may have writes it down in the same
// transaction, and raises a number they all see before it says that it is done:
//
//   A: BEGIN … remove K, log K … COMMIT ─► raise ─► answers its client
//   B: next look-up: the number is another ─► read the log ─► K leaves memory, what is being written for K is outdated
//
// So once A has acknowledged an invalidation, a purge or a newer response, no look-up anywhere answers with what was
// there before. What has been found before that is delivered to its end. A store that is alone writes nothing down.
//
// Nothing is put into the ledger that is older than an invalidation either: the log is read once more inside the
// transaction that stores, when nobody else can write.
//
// What the index cannot be told of is owed (debts.ts): as long as somebody owes a key, nobody finds it.

/** A number all processes see at once. */
export interface ChangeSignal {
  current(): number
  /** Tells the others. Answers by how much `current` has become larger by this. */
  raise(): number
  /** Zeros at first; null where there is no common memory. */
  readonly debts: BigInt64Array | null
}

/** How a folder's signal is had; null: there is no common memory here. */
export type OpenSignal = (path: string) => ChangeSignal | null

/** What another process has done. */
export interface Foreign {
  /** Something else is stored under the key. */
  changed(key: CacheKey): void
  /** Nothing is, and what is on its way is older. */
  invalidated(key: CacheKey): void
  /** The same of all keys. */
  cleared(): void
}

/** Without common memory SQLite is asked, which takes some microseconds. */
export const askLedger = (ledger: () => Ledger | null): ChangeSignal => ({
  current: () => ledger()?.dataVersion() ?? 0,
  raise: () => 0,
  debts: null,
})

export class Sharing {
  readonly #signal: ChangeSignal
  readonly #owner: string
  readonly #foreign: Foreign
  /** Its number among those who share the ledger; 0 = it could not be written there yet. */
  #user = 0
  /** The signal and the last change that have been looked at. */
  #seen: number
  #known = 0
  /** While it is not known to the others, all they do may concern it. */
  #version = 0
  #logged = false
  #pending: readonly ChangeRow[] | null = none
  readonly #debts: Debts | null
  /** What others owe, as of the last look; while there is something, each look-up looks. */
  #owed: readonly Debt[] = nothingOwed

  constructor(signal: ChangeSignal, owner: string, foreign: Foreign) {
    this.#signal = signal
    this.#owner = owner
    this.#foreign = foreign
    this.#debts = signal.debts === null ? null : new Debts(signal.debts)
    // somebody may owe something
    this.#seen = (signal.current() - 1) | 0
  }

  get user(): number {
    return this.#user
  }

  /** Another ledger than before: nothing is known of it. */
  begin(ledger: Ledger): void {
    this.#user = 0
    this.#known = ledger.changes
    this.#version = ledger.dataVersion()
  }

  /** Whether others have done something since the last look. */
  get isBehind(): boolean {
    return this.#user === 0 || this.#signal.current() !== this.#seen
  }

  /**
   * Hears of all that others have acknowledged so far; `key`: what is about to be looked for. Throws what SQLite says;
   * nothing in memory is sure then.
   */
  catchUp(ledger: Ledger, key: CacheKey | null): void {
    const signal = this.#signal.current()
    if (this.#user === 0) this.#lookFromOutside(ledger)
    else if (signal !== this.#seen) {
      ledger.look()
      this.#pending = this.#read(ledger)
      this.#deliver()
    }
    this.#look(signal)
    if (key !== null && this.owes(hashOf(key))) this.#foreign.invalidated(key)
  }

  #look(signal: number): void {
    this.#owed = this.#debts?.ofOthers() ?? nothingOwed
    this.#seen = this.#owed.length === 0 ? signal : (signal - 1) | 0
  }

  // ---- what could not be written down

  /** Whether anything is owed by another process, as of the last look. */
  get othersOwe(): boolean {
    return this.#owed.length > 0
  }

  /** Whether another process owes an invalidation of it, as of the last look. */
  owes(hash: number): boolean {
    return this.#owed.length > 0 && this.#owed.some(debt => debt.hash === hash || debt.hash === everything)
  }

  /** Tells the others that we do. False: there is no room for it among what is owed. */
  owe(hash: number): boolean {
    if (this.#debts === null) return true
    if (!this.#debts.owe(this.#user, hash)) return false
    this.#seen = (this.#seen + this.#signal.raise()) | 0
    return true
  }

  paid(hash: number): void {
    this.#debts?.paid(hash)
  }

  allPaid(): void {
    this.#debts?.allPaid()
  }

  /** What is owed by nobody of these. */
  orphans(users: readonly number[]): readonly Debt[] {
    const living = new Set(users.map(userInSlot))
    return (this.#debts?.ofOthers() ?? nothingOwed).filter(({ user }) => !living.has(user))
  }

  /** The index has them now. */
  orphansPaid(debts: readonly Debt[]): void {
    this.#debts?.clear(debts.map(({ slot }) => slot))
  }

  #lookFromOutside(ledger: Ledger): void {
    const version = ledger.dataVersion()
    if (version === this.#version) return
    this.#version = version
    ledger.look()
    this.#known = ledger.changes
    this.#foreign.cleared()
  }

  // ---- within a transaction

  /** It has begun. Answers what others have done, for what is about to be stored. */
  begun(ledger: Ledger): readonly ChangeRow[] | null {
    this.#logged = false
    if (this.#user === 0) {
      this.#user = ledger.join(this.#owner)
      this.#logged = true // so that those who believed to be alone look
    }
    this.#pending = ledger.changes === this.#known ? none : this.#read(ledger)
    const signal = this.#signal.current()
    if (signal !== this.#seen) this.#owed = this.#debts?.ofOthers() ?? nothingOwed // and the next look-up looks, too
    return this.#pending
  }

  log(ledger: Ledger, kind: number, key: string): void {
    if (ledger.users < 2) return
    ledger.log(this.#user, kind, key)
    this.#logged = true
  }

  committed(ledger: Ledger): void {
    this.#known = ledger.changes
    if (this.#logged) this.#seen = (this.#seen + this.#signal.raise()) | 0
    this.#deliver()
  }

  /** Nothing of it has happened. */
  undone(known: { readonly user: number; readonly change: number }): void {
    this.#user = known.user
    this.#known = known.change
    this.#pending = none
  }

  get state(): { readonly user: number; readonly change: number } {
    return { user: this.#user, change: this.#known }
  }

  /** Somebody has to look at more than the log: the index itself is another. */
  alarm(): void {
    this.#signal.raise()
  }

  /** Null: some are not there any more, or it is another ledger. */
  #read(ledger: Ledger): readonly ChangeRow[] | null {
    const rows = ledger.changes < this.#known ? null : ledger.changesAfter(this.#known)
    const last = rows?.at(-1)?.id ?? this.#known
    const missed = rows === null || last < ledger.changes
    this.#known = missed ? ledger.changes : last
    return missed ? null : rows.filter(row => row.user !== this.#user)
  }

  #deliver(): void {
    const rows = this.#pending
    this.#pending = none
    if (rows === null) this.#foreign.cleared()
    else
      for (const { kind, key } of rows) {
        if (kind === changeKind.cleared) this.#foreign.cleared()
        else if (kind === changeKind.invalidated) this.#foreign.invalidated(key as CacheKey) // it was written as one
        else this.#foreign.changed(key as CacheKey)
      }
  }
}

const none: readonly ChangeRow[] = []
const nothingOwed: readonly Debt[] = []
