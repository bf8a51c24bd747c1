import type { Clock } from '../../../base/index.ts'
import type { CacheKey } from '../../key.ts'
import { StoredResponse } from '../../stored-response.ts'
import type { StoreEvents } from '../store-events.ts'
import { Checkpoints } from './checkpoints.ts'
import { everything } from './debts.ts'
import type { DiskCounters, DiskOptions, OpenLedger } from './disk-options.ts'
import { dropContents, forgetOwner, indexPath, inodeOf, messageOf, ownerLives, setAside, signalPath } from './folder.ts'
import { ailmentOf, Health } from './health.ts'
import type { Incoming } from './incoming.ts'
import { changeKind, fileState, hashOf, type Ledger, type Patience, type Row } from './ledger.ts'
import type { OpenFiles } from './open-files.ts'
import type { OurFiles } from './our-files.ts'
import type { Owed } from './owed.ts'
import { type DiskRecord, decodeRecord, keyOfRecord } from './record.ts'
import { askLedger, type Foreign, Sharing } from './sharing.ts'
import type { Uses } from './uses.ts'
import { type Change, WaitingChanges } from './waiting-changes.ts'

// The index as it is open now, its changes, and what becomes of it when the disk fails.
//
//   change ─► BEGIN ─► what other processes have done is heard ─► what is still to be written down: files, what is owed, uses
//                  ─► changes that waited ─► its own work ─► COMMIT ─► others are told ─► files follow ─► who waited goes on
//
// All of it is one transaction of some dozen microseconds, or has not happened. While somebody else has the index, be it our
// own thread that moves its log (checkpoints.ts) or another process, a change either waits up to 200 ms or leaves; `later`
// is made as soon as it can be, in order.
//
//   an error ─► contended: nothing │ damaged: set aside, and begun anew │ full: room is made │ else: nothing new for a while

/** The rest of the store, as far as the index and its changes need it. */
export interface IndexOwner {
  readonly counters: DiskCounters
  readonly files: OurFiles
  readonly opened: OpenFiles
  readonly incoming: Incoming
  readonly uses: Uses
  readonly owed: Owed
  readonly bytesMax: number
  readonly events: StoreEvents | null
  readonly foreign: Foreign
  /** An index has been opened: nothing is known of what is in it. */
  begun(ledger: Ledger): void
  /** A change is on the disk. */
  changed(ledger: Ledger): void
  /** The disk has no room. */
  full(): void
}

/** Of the write-ahead log. */
const logBytesUsual = 4 * 1024 * 1024
const logBytesMax = 128 * 1024 * 1024
/** A folder of less than sixteen times that may take more than it was given, by as much. */
const logBytesLeast = 1024 * 1024
export const logShareMax = 1 / 16
/** From so many bytes on it is moved into the file, and begun anew. */
export const usualLogBytes = (bytesMax: number): number => Math.min(logBytesUsual, Math.max(logBytesUsual / 16, bytesMax / 64))
/** Whoever has waited for the index in vain has waited for all who come so soon after. */
const hopelessMs = 1000
/** Of the store; an index that was set aside is kept if it is not larger. */
const keptShareMax = 1 / 50

export class DiskIndex {
  readonly sharing: Sharing
  readonly health: Health
  readonly #folder: string
  readonly #clock: Clock
  readonly #notice: (text: string) => void
  readonly #openLedger: OpenLedger
  readonly #mark: string
  readonly #boot: string
  readonly #owner: IndexOwner
  readonly #waiting: WaitingChanges
  /** Null: it cannot be used, and a new one could not be made. */
  #ledger: Ledger | null
  #checkpoints: Checkpoints
  /** Of the file that is open. */
  #inode = 0
  /** Of the bytes that open writers hold, those the present transaction has put into the index. */
  #entering = 0
  /** Removed within the present transaction; only for `events`. */
  #released: DiskRecord[] = []
  /** What was owed, and the present transaction could not make good. */
  #unpaid: CacheKey[] = []
  #closing = false
  #hopelessUntil = 0

  /** `mark`, `boot`: who has it open, and in which run of the machine. Throws what keeps it from being opened. */
  constructor(options: DiskOptions, openLedger: OpenLedger, mark: string, boot: string, owner: IndexOwner) {
    this.#folder = options.folder
    this.#clock = options.clock
    this.#notice = options.notice
    this.#openLedger = openLedger
    this.#mark = mark
    this.#boot = boot
    this.#owner = owner
    this.health = new Health(options.clock)
    this.#waiting = new WaitingChanges(options.clock, () => {
      if (this.#ledger === null) this.#waiting.giveUp()
      else this.change(() => 0, 0, 'leaves')
    })
    this.#ledger = openLedger()
    this.sharing = new Sharing(options.openSignal?.(signalPath(options.folder)) ?? askLedger(() => this.#ledger), mark, {
      changed: key => owner.foreign.changed(key),
      invalidated: key => {
        owner.incoming.stop(key)
        owner.foreign.invalidated(key)
      },
      cleared: () => {
        owner.incoming.stopAll()
        owner.files.dropSpares()
        owner.foreign.cleared()
      },
    })
    this.#checkpoints = this.#newCheckpoints(this.#ledger)
  }

  #newCheckpoints(ledger: Ledger): Checkpoints {
    const { bytesMax } = this.#owner
    // a burst may pass; what comes faster than the disk for long is not written
    const most = Math.min(logBytesMax, Math.max(logBytesLeast, bytesMax * logShareMax))
    return new Checkpoints(indexPath(this.#folder), this.#clock, usualLogBytes(bytesMax), most, () => this.#waiting.proceed(), alone => ledger.checkpointItself(alone))
  }

  /** Once, when the rest of the store is there. Throws what SQLite says. */
  begin(): void {
    if (this.#ledger !== null) this.#begin(this.#ledger)
  }

  /** Takes up what a former process has left: files nobody will finish, and files it had not quite removed. */
  #begin(ledger: Ledger): void {
    this.#inode = inodeOf(indexPath(this.#folder))
    this.sharing.begin(ledger)
    const dead = ledger.usersNow().filter(user => !ownerLives(user.owner))
    this.change(() => {
      for (const { id } of dead) ledger.leave(id)
    }, undefined)
    const { files } = this.#owner
    for (const { id, state, owner, boot } of ledger.files()) {
      if (state === fileState.unsynced) {
        if (boot !== this.#boot) files.suspects.add(id)
      } else if (owner === this.#mark || !ownerLives(owner)) files.unlink(id)
    }
    this.payForDead(ledger)
    this.#owner.begun(ledger)
  }

  // ---- what it says

  get ledger(): Ledger | null {
    return this.#ledger
  }

  /** Whether other processes have it open, too. */
  get isShared(): boolean {
    return this.#ledger !== null && this.#ledger.users > 1
  }

  /** Bytes of its log. */
  get logBytes(): number {
    return this.#checkpoints.logBytes
  }

  /** The disk is slower than what comes, or its log cannot be begun anew. */
  get isBehind(): boolean {
    return this.#checkpoints.behind
  }

  /** So many changes wait that no more are taken in. */
  get isTooBusy(): boolean {
    return this.#waiting.areTooMany
  }

  get entering(): number {
    return this.#entering
  }

  /** Whether something is stored under the key. `otherwise`: the answer where the disk says no. */
  has(key: CacheKey, hashed: number, otherwise: boolean): boolean {
    try {
      return (this.#ledger?.find(hashed) ?? none).some(row => keyOfRecord(row.record) === key)
    } catch (error) {
      this.fail(error)
      return otherwise
    }
  }

  /** Null: it is not stored any more, or another has taken its place since. Throws what SQLite says. */
  rowOf(stored: StoredResponse, serial: number): { readonly row: Row; readonly record: DiskRecord } | null {
    for (const row of this.#ledger?.find(hashOf(stored.key)) ?? none) {
      const record = decodeRecord(row.record)
      if (record?.serial !== serial) continue
      const { head, responseTime } = record.facts
      return head === stored.head && responseTime === stored.responseTime ? { row, record } : null
    }
    return null
  }

  // ---- one transaction

  /**
   * `otherwise`: the answer where the disk says no, or somebody else has the index and `patience` leaves it to them. What
   * waits is made first.
   */
  change<T>(work: (ledger: Ledger) => T, otherwise: T, patience: Patience = 'waits'): T {
    const ledger = this.#ledger
    if (ledger === null || (patience === 'leaves' && this.#checkpoints.reserved)) return otherwise
    this.#released = []
    this.#unpaid = []
    this.#entering = 0
    const waiting = this.#waiting.next(patience === 'waits')
    const before = this.sharing.state
    let answer: T
    const hopeless = !this.#closing && this.#clock.mono() < this.#hopelessUntil
    try {
      answer = ledger.write(hopeless ? 'leaves' : patience, () => {
        this.#enter(ledger)
        for (const { make } of waiting) make(ledger)
        return work(ledger)
      })
    } catch (error) {
      this.sharing.undone(before)
      this.#owner.files.undone()
      this.#entering = 0
      if (ailmentOf(error) === 'contended') {
        if (patience === 'leaves') return otherwise
        this.#hopelessUntil = this.#clock.mono() + hopelessMs
      } else {
        this.#waiting.done(waiting.length)
        for (const { ended } of waiting) ended(false)
      }
      this.fail(error)
      return otherwise
    }
    this.#waiting.done(waiting.length)
    this.#hopelessUntil = 0
    this.#committed(ledger, waiting)
    return answer
  }

  /** What goes before the work itself. */
  #enter(ledger: Ledger): void {
    const { incoming, files, owed, uses } = this.#owner
    incoming.outdate(this.sharing.begun(ledger))
    if (this.sharing.othersOwe) incoming.outdateIf(hash => this.sharing.owes(hash))
    files.enter(ledger, !this.#closing)
    if (owed.isAny) this.#pay(ledger)
    if (uses.areAny) uses.note(ledger)
  }

  #pay(ledger: Ledger): void {
    const { owed } = this.#owner
    if (owed.isAll) this.empty(ledger)
    else if (owed.isTelling) this.sharing.log(ledger, changeKind.cleared, '')
    for (const key of owed.keys) {
      const hashed = hashOf(key)
      if (this.#isReadable(ledger, hashed)) this.removeAll(ledger, key, hashed)
      else this.#unpaid.push(key)
    }
  }

  /** Throws what makes the whole index useless. */
  #isReadable(ledger: Ledger, hashed: number): boolean {
    try {
      ledger.find(hashed)
      return true
    } catch (error) {
      if (ailmentOf(error) === 'damaged') throw error
      return false
    }
  }

  /** What could not be read is owed as before: no other process may find it meanwhile. */
  #paid(): void {
    const { owed } = this.#owner
    const unpaid = new Set(this.#unpaid)
    if (unpaid.size === 0) this.sharing.allPaid()
    else {
      for (const key of owed.keys) if (!unpaid.has(key)) this.sharing.paid(hashOf(key))
      this.sharing.paid(everything)
    }
    owed.clear()
    for (const key of unpaid) owed.add(key)
  }

  #committed(ledger: Ledger, waiting: readonly Change[]): void {
    const { files, owed } = this.#owner
    this.sharing.committed(ledger)
    const emptied = owed.isAll
    if (owed.isAny) this.#paid()
    files.committed()
    if (this.#released.length > 0) this.#tellReleased()
    for (const { ended } of waiting) ended(true)
    this.#entering = 0
    // from here on the disk may say no; it has happened all the same
    try {
      if (emptied) dropContents(this.#folder)
      if (!this.#closing) this.#checkpoints.changed()
      this.#owner.changed(ledger)
    } catch (error) {
      this.fail(error)
    }
  }

  #tellReleased(): void {
    for (const { facts, serial } of this.#released) this.#owner.events?.released(new StoredResponse(facts, []), serial)
    this.#released = []
  }

  /** Made at once, or when the index is to be had. */
  later(change: Change): void {
    this.#waiting.add(change)
  }

  // ---- within it

  /** So many bytes that a writer holds are counted by the index from now on. */
  enters(bytes: number): void {
    this.#entering += bytes
  }

  remove(ledger: Ledger, row: Row): void {
    ledger.remove(row)
    this.gone(ledger, row)
  }

  /** Its row is no more: its file follows, and who listens is told, as soon as that is certain. */
  gone(ledger: Ledger, row: Row): void {
    if (this.#owner.events !== null) {
      const record = decodeRecord(row.record)
      if (record !== null) this.#released.push(record)
    }
    if (row.file !== null) this.#owner.files.doom(ledger, row.file, row.bytes)
  }

  /** What is on its way for the key elsewhere is older than this. Answers how many there were; throws what SQLite says. */
  removeAll(ledger: Ledger, key: CacheKey, hashed: number): number {
    const rows = ledger.find(hashed).filter(row => keyOfRecord(row.record) === key)
    for (const row of rows) this.remove(ledger, row)
    this.sharing.log(ledger, changeKind.invalidated, key)
    return rows.length
  }

  /** The same of all keys. Contents are the caller's. */
  empty(ledger: Ledger): void {
    ledger.empty()
    this.sharing.log(ledger, changeKind.cleared, '')
  }

  // ---- other processes

  /** Hears what they have done; `key`: what is about to be looked for. */
  catchUp(key: CacheKey | null = null): void {
    if (this.#ledger === null || !this.sharing.isBehind) return
    try {
      this.sharing.catchUp(this.#ledger, key)
      if (inodeOf(indexPath(this.#folder)) !== this.#inode) this.#reopen()
    } catch (error) {
      this.fail(error)
      this.#owner.foreign.cleared()
    }
  }

  /**
   * What nobody will pay any more. Which keys it was about is known by a hash alone: all forget what they have in memory.
   * Throws what SQLite says.
   */
  payForDead(ledger: Ledger): void {
    const debts = this.sharing.orphans(ledger.usersNow().map(user => user.id))
    if (debts.length === 0) return
    if (debts.some(({ hash }) => hash === everything)) this.#owner.owed.addAll()
    const paid = this.change(() => {
      for (const { hash } of debts) for (const row of ledger.find(hash)) this.remove(ledger, row)
      this.sharing.log(ledger, changeKind.cleared, '')
      return true
    }, false)
    if (!paid) return
    this.sharing.orphansPaid(debts)
    this.#owner.foreign.cleared()
  }

  // ---- failures

  fail(error: unknown): void {
    this.#owner.counters.failed++
    const ailment = ailmentOf(error)
    if (ailment === 'contended') return
    if (ailment === 'damaged') {
      this.#startAnew(error)
      return
    }
    if (ailment === 'full') this.#owner.full()
    const pause = this.health.fail()
    if (pause > 0) {
      this.#notice(`cache_dir ${this.#folder}: ${messageOf(error)}; nothing is written to it for ${pause} seconds`)
    }
  }

  #startAnew(error: unknown): void {
    // another process may have been quicker
    const ours = inodeOf(indexPath(this.#folder)) === this.#inode
    if (ours) {
      this.#notice(`cache_dir ${this.#folder}: its index is damaged (${messageOf(error)}); it is set aside, and the store starts empty`)
    }
    this.#reopen(() => {
      if (!ours) return
      setAside(this.#folder, this.#owner.bytesMax * keptShareMax)
      this.sharing.alarm()
    })
  }

  #reopen(prepare: () => void = () => {}): void {
    const { incoming, foreign, opened, files } = this.#owner
    incoming.stopAll()
    foreign.cleared()
    const former = this.#ledger
    this.#ledger = null
    void this.#checkpoints.close()
    try {
      former?.close()
    } catch {
      // it is going anyway
    }
    try {
      this.#waiting.giveUp()
      opened.close()
      files.reset()
      prepare()
      this.#ledger = this.#openLedger()
      this.#checkpoints = this.#newCheckpoints(this.#ledger)
      this.#begin(this.#ledger)
    } catch (failure) {
      this.#notice(`cache_dir ${this.#folder}: ${messageOf(failure)}; it is not used any more`)
    }
  }

  /** Gives so many free pages back to the file system. Throws what SQLite says. */
  shrink(ledger: Ledger, pages: number): void {
    ledger.shrink(pages)
    this.#checkpoints.changed()
  }

  // ---- the end

  /** No files are begun any more, and its log stays as it is. */
  closing(): void {
    this.#closing = true
  }

  /** What waits now is made with the next change, or never. */
  stopWaiting(): void {
    this.#waiting.cancel()
  }

  async close(): Promise<void> {
    this.change(ledger => {
      this.#owner.files.forgetSpares(ledger)
      ledger.leave(this.sharing.user)
    }, undefined)
    await this.#checkpoints.close()
    forgetOwner(this.#mark)
    try {
      this.#ledger?.close()
    } catch {
      // it has been of no use for a while, then
    }
    this.#ledger = null
    this.#waiting.giveUp()
  }
}

const none: readonly never[] = []
