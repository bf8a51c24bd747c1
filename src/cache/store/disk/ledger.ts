import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { hash } from 'node:crypto'
import { agedRank, type RemovalPolicy } from '../removal-policy.ts'
import { keyOfRecord, recordFormat, tagsOfRecord } from './record.ts'

// The index of a disk store, and the content of small responses: one SQLite file, which several processes may share.
// It is the only truth there is; nothing of it is kept in memory beyond one call but the sums of the last write.
//
//   response   a row each: its place in the order of use, how often it was used, its rank (removal-policy.ts), a hash of
//              its key, its record, its content or the number of the file that holds it
//   file       files that are not simply in use: being written, not yet known to be on the platters, to be removed.
//              A row is written before a file is made and before one is removed, so none is ever forgotten
//   tag        which keys have responses of a tag, both as hashes, and how many
//   total      the sums, the next number nobody has used, and the rank of the last response that was removed
//   user       the stores that have it open; while there are several,
//   change     what each of them has done that the others have to know: see sharing.ts
//
// The lowest rank goes first. With lru that is the place in the order of uses. It stands in the row and not in its number:
// a use changes eight bytes and the index over them, and leaves 16 KB of content where they are.
//
// Every change is one transaction of some dozen microseconds: a process that is killed has made all of it or nothing.
// With the write-ahead log in mode NORMAL that holds for the machine, too; what was written in its last seconds is gone.

export interface Row {
  readonly id: number
  readonly file: number | null
  /** What it counts for in the sums. */
  readonly bytes: number
  /** As far as they have been written down. */
  readonly uses: number
  readonly rank: number
  readonly record: Buffer
}

export interface WholeRow extends Row {
  readonly body: Buffer | null
}

export const fileState = {
  writing: 0,
  /** In use, and perhaps only in the system's memory yet: not to be trusted after the machine broke down. */
  unsynced: 1,
  doomed: 2,
} as const

export interface FileRow {
  readonly id: number
  readonly state: number
  readonly owner: string
  readonly boot: string
}

/** What others may have to know of. */
export const changeKind = {
  /** Something else is stored under the key now. */
  changed: 0,
  /** Nothing is, and what is on its way is not to be stored. */
  invalidated: 1,
  /** The same of all keys. */
  cleared: 2,
} as const

export interface ChangeRow {
  readonly id: number
  readonly user: number
  readonly kind: number
  readonly key: string
}

export interface Totals {
  readonly count: number
  /** Records and content in the index. */
  readonly small: number
  /** Content in files. */
  readonly large: number
}

/** Of a change while somebody else has the ledger. */
export type Patience = 'waits' | 'leaves'

const patienceMs = 200
const pageBytes = 4096
/** What a store that looks less often has missed: it forgets all it has in memory then. */
export const changesMax = 16_384
const changesPerTrim = 1024
/** Numbers of files begin anew with each index, and never where a former one has been: its files may still be about. */
const filesPerSecond = 2 ** 20

/** Of one hash; more are variants beyond any limit, or made to collide. */
const rowsMax = 64

/**
 * SQLite writes a number in as few bytes as it takes, and a row anew, all 16 KB of it, when its length changes. From here
 * on ranks take four bytes for two thousand million uses; and numbers of uses are kept one higher, since 0 and 1 take none.
 */
const firstRank = 2 ** 23
const usesBias = 1

const schema = `
  CREATE TABLE response(
    id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, file INTEGER, bytes INTEGER NOT NULL, uses INTEGER NOT NULL,
    rank REAL NOT NULL, record BLOB NOT NULL, body BLOB);
  CREATE INDEX by_hash ON response(hash);
  CREATE INDEX by_rank ON response(rank);
  CREATE TABLE file(
    id INTEGER PRIMARY KEY AUTOINCREMENT, state INTEGER NOT NULL, owner TEXT NOT NULL, boot TEXT NOT NULL,
    since INTEGER NOT NULL, bytes INTEGER NOT NULL);
  CREATE TABLE user(id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL);
  CREATE TABLE change(id INTEGER PRIMARY KEY, user INTEGER NOT NULL, kind INTEGER NOT NULL, key TEXT NOT NULL);
  CREATE TABLE tag(
    tag INTEGER NOT NULL, hash INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(tag, hash)) WITHOUT ROWID;
  CREATE TABLE total(
    one INTEGER PRIMARY KEY CHECK(one = 1), next INTEGER NOT NULL, count INTEGER NOT NULL, small INTEGER NOT NULL,
    large INTEGER NOT NULL, age REAL NOT NULL, reserved INTEGER NOT NULL, users INTEGER NOT NULL,
    changes INTEGER NOT NULL, policy TEXT NOT NULL);
  INSERT INTO total VALUES(1, ${firstRank}, 0, 0, 0, 0, 0, 0, 0, 'lru');
  INSERT INTO sqlite_sequence VALUES('file', CAST(strftime('%s', 'now') AS INTEGER) * ${filesPerSecond});
  PRAGMA user_version = ${recordFormat};
`

type Sums = [next: number, count: number, small: number, large: number, age: number, reserved: number, users: number, changes: number]
type Cell = number | string | Uint8Array | null

/** Why a ledger cannot be used as it is. */
export class LedgerDamaged extends Error {}

/** 48 bits of SHA-1. Whoever finds two keys with one of them has two responses in one row's neighbourhood, no more. */
export const hashOf = (key: string): number => {
  const digest = hash('sha1', Buffer.from(key, 'latin1'), 'latin1')
  let high = 0
  let low = 0
  for (let i = 0; i < 3; i++) {
    high = high * 256 + digest.charCodeAt(i)
    low = low * 256 + digest.charCodeAt(i + 3)
  }
  return high * 0x1000000 + low
}

export class Ledger {
  readonly policy: RemovalPolicy
  readonly #db: DatabaseSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #rollback: StatementSync
  readonly #find: StatementSync
  readonly #findWhole: StatementSync
  readonly #insert: StatementSync
  readonly #update: StatementSync
  readonly #raise: StatementSync
  readonly #remove: StatementSync
  readonly #front: StatementSync
  readonly #after: StatementSync
  readonly #tag: StatementSync
  readonly #untag: StatementSync
  readonly #forgetTag: StatementSync
  readonly #tagged: StatementSync
  readonly #readTotal: StatementSync
  readonly #writeTotal: StatementSync
  readonly #newFile: StatementSync
  readonly #setFile: StatementSync
  readonly #forgetFile: StatementSync
  readonly #usedPages: StatementSync
  readonly #freePages: StatementSync
  #next = 1
  #count = 0
  #small = 0
  #large = 0
  #age = 0
  #reserved = 0
  #users = 0
  #changes = 0
  readonly #log: StatementSync
  readonly #trim: StatementSync
  readonly #changesAfter: StatementSync
  readonly #dataVersion: StatementSync
  readonly #reservedBy: StatementSync
  readonly #reserve: StatementSync

  /** Throws LedgerDamaged, or what SQLite says. */
  constructor(db: DatabaseSync, policy: RemovalPolicy) {
    this.policy = policy
    this.#db = db
    prepareFile(db)
    prepareOrder(db, policy)
    const rows = (sql: string): StatementSync => {
      const statement = db.prepare(sql)
      statement.setReturnArrays(true)
      return statement
    }
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#rollback = db.prepare('ROLLBACK')
    this.#find = rows(`SELECT id, file, bytes, uses, rank, record FROM response WHERE hash = ? LIMIT ${rowsMax}`)
    this.#findWhole = rows(`SELECT id, file, bytes, uses, rank, record, body FROM response WHERE hash = ? LIMIT ${rowsMax}`)
    this.#insert = db.prepare('INSERT INTO response VALUES(?, ?, ?, ?, ?, ?, ?, ?)')
    this.#update = db.prepare('UPDATE response SET record = ?, bytes = ? WHERE id = ?')
    this.#raise = db.prepare('UPDATE response SET uses = ?, rank = ? WHERE id = ?')
    this.#remove = db.prepare('DELETE FROM response WHERE id = ?')
    this.#front = rows(`SELECT id, file, bytes, uses, rank, record FROM response ORDER BY rank, id LIMIT ?`)
    this.#readTotal = rows('SELECT next, count, small, large, age, reserved, users, changes FROM total')
    this.#writeTotal = db.prepare(
      'UPDATE total SET next = ?, count = ?, small = ?, large = ?, age = ?, reserved = ?, users = ?, changes = ?',
    )
    this.#newFile = db.prepare('INSERT INTO file(state, owner, boot, since, bytes) VALUES(?, ?, ?, ?, ?)')
    this.#setFile = db.prepare('INSERT OR REPLACE INTO file VALUES(?, ?, ?, ?, ?, 0)')
    this.#reservedBy = rows('SELECT bytes FROM file WHERE id = ?')
    this.#reserve = db.prepare('UPDATE file SET bytes = bytes + ? WHERE id = ?')
    this.#log = db.prepare('INSERT INTO change VALUES(?, ?, ?, ?)')
    this.#trim = db.prepare('DELETE FROM change WHERE id <= ?')
    this.#changesAfter = rows(`SELECT id, user, kind, key FROM change WHERE id > ? ORDER BY id LIMIT ${changesMax}`)
    this.#dataVersion = rows('PRAGMA data_version')
    this.#after = rows('SELECT id, record FROM response WHERE id > ? ORDER BY id LIMIT ?')
    this.#tag = db.prepare('INSERT INTO tag VALUES(?, ?, 1) ON CONFLICT(tag, hash) DO UPDATE SET count = count + 1')
    this.#untag = db.prepare('UPDATE tag SET count = count - 1 WHERE tag = ? AND hash = ?')
    this.#forgetTag = db.prepare('DELETE FROM tag WHERE tag = ? AND hash = ? AND count <= 0')
    this.#tagged = rows('SELECT hash FROM tag WHERE tag = ? AND hash > ? ORDER BY hash LIMIT ?')
    this.#forgetFile = db.prepare('DELETE FROM file WHERE id = ?')
    this.#usedPages = rows('PRAGMA page_count')
    this.#freePages = rows('PRAGMA freelist_count')
    this.look()
    db.exec('PRAGMA busy_timeout = 0')
  }

  /** As of the last look or write of this process. */
  get totals(): Totals {
    return { count: this.#count, small: this.#small, large: this.#large }
  }

  get bytes(): number {
    return this.#small + this.#large
  }

  get large(): number {
    return this.#large
  }

  get count(): number {
    return this.#count
  }

  /** Beyond the newest place in the order of use. */
  get next(): number {
    return this.#next
  }

  /** What files that are being written have been promised, by whoever. */
  get reserved(): number {
    return this.#reserved
  }

  /** Stores that have it open, this one included. */
  get users(): number {
    return this.#users
  }

  /** The number of the last change written down. */
  get changes(): number {
    return this.#changes
  }

  look(): void {
    const row = this.#readTotal.get() as unknown as Sums // the columns of `total`
    ;[this.#next, this.#count, this.#small, this.#large, this.#age, this.#reserved, this.#users, this.#changes] = row
  }

  /**
   * All or nothing. What it throws has been undone. While somebody else writes it is waited for, up to 200 ms; or not
   * at all: it throws SQLITE_BUSY then, and nothing has been called.
   */
  write<T>(patience: Patience, work: () => T): T {
    if (patience === 'waits') this.#beginWaiting()
    else this.#begin.run()
    try {
      this.look()
      const before = this.#totals()
      const answer = work()
      const totals = this.#totals()
      if (totals.some((value, i) => value !== before[i])) this.#writeTotal.run(...totals)
      this.#commit.run()
      return answer
    } catch (error) {
      try {
        if (this.#db.isTransaction) this.#rollback.run()
        this.look()
      } catch {
        // the first error says more; who calls closes what is damaged
      }
      throw error
    }
  }

  #beginWaiting(): void {
    this.#db.exec(`PRAGMA busy_timeout = ${patienceMs}`)
    try {
      this.#begin.run()
    } finally {
      this.#db.exec('PRAGMA busy_timeout = 0')
    }
  }

  #totals(): Sums {
    return [this.#next, this.#count, this.#small, this.#large, this.#age, this.#reserved, this.#users, this.#changes]
  }

  // ---- responses

  find(hashed: number): Row[] {
    return this.#find.all(hashed).map(row => rowOf(row))
  }

  findWhole(hashed: number): WholeRow[] {
    return this.#findWhole.all(hashed).map(row => {
      const cells = row as unknown as Cell[] // setReturnArrays
      return { ...rowOf(row), body: cells[6] instanceof Uint8Array ? bufferOf(cells[6]) : null }
    })
  }

  /** Those whose turn to go is next. */
  front(count: number): Row[] {
    return this.#front.all(count).map(row => rowOf(row))
  }

  /** A number that was never used before. Inside `write`, as all that changes something. */
  take(): number {
    return this.#next++
  }

  /** `uses`: with this one. */
  insert(id: number, hashed: number, file: number | null, bytes: number, uses: number, record: Buffer, body: Buffer | null): void {
    this.#insert.run(id, hashed, file, bytes, uses + usesBias, this.#rankOf(uses, bytes), record, body)
    this.#addTags(record, hashed)
    this.#sum(1, file, bytes)
  }

  update(row: Row, record: Buffer, bytes: number): void {
    this.#update.run(record, bytes, row.id)
    const hashed = hashOf(keyOfRecord(record))
    this.#removeTags(row.record, hashed)
    this.#addTags(record, hashed)
    if (bytes !== row.bytes) this.#sum(0, row.file, bytes - row.bytes)
  }

  /** It has been used so often since it was last told. */
  use(row: Row, times: number): void {
    this.#raise.run(row.uses + times + usesBias, this.#rankOf(row.uses + times, row.bytes), row.id)
  }

  /** It leaves because there is no room: what comes from now on, or is used, starts from its rank. */
  makeRoom(row: Row): void {
    if (this.policy !== 'lru') this.#age = Math.max(this.#age, row.rank)
    this.remove(row)
  }

  remove(row: Row): void {
    this.#remove.run(row.id)
    this.#removeTags(row.record, null)
    this.#sum(-1, row.file, -row.bytes)
  }

  #rankOf(uses: number, bytes: number): number {
    return this.policy === 'lru' ? this.take() : agedRank(this.policy, this.#age, uses, bytes)
  }

  #addTags(record: Buffer, hashed: number): void {
    for (const tag of tagsOfRecord(record)) this.#tag.run(hashOf(tag), hashed)
  }

  /** `hashed`: of the key; null = not worked out yet, since most responses have no tag. */
  #removeTags(record: Buffer, hashed: number | null): void {
    const tags = tagsOfRecord(record)
    if (tags.length === 0) return
    const key = hashed ?? hashOf(keyOfRecord(record))
    for (const tag of tags) {
      const tagHash = hashOf(tag)
      this.#untag.run(tagHash, key)
      this.#forgetTag.run(tagHash, key)
    }
  }

  // ---- walks

  /** In the order of use. What is used meanwhile goes to its end, and is met there. */
  after(id: number, count: number): { readonly id: number; readonly record: Buffer }[] {
    return this.#after.all(id, count).map(row => {
      const [rowId, record] = row as unknown as [number, Uint8Array] // the columns asked for
      return { id: rowId, record: bufferOf(record) }
    })
  }

  /** Hashes of keys that may have the tag, in their order. */
  tagged(tag: string, afterHash: number, count: number): number[] {
    return this.#tagged.all(hashOf(tag), afterHash, count).map(row => (row as unknown as [number])[0]) // its one column
  }

  #sum(count: number, file: number | null, bytes: number): void {
    this.#count += count
    if (file === null) this.#small += bytes
    else this.#large += bytes
  }

  // ---- files

  /** `bytes`: what it will be, as far as that is known; it counts for all who share the room. */
  newFile(owner: string, boot: string, since: number, bytes: number): number {
    this.#reserved += bytes
    return Number(this.#newFile.run(fileState.writing, owner, boot, since, bytes).lastInsertRowid)
  }

  /** Of a file that has been forgotten, nothing. */
  reserve(id: number, more: number): void {
    if (this.#reserve.run(more, id).changes > 0) this.#reserved += more
  }

  setFile(id: number, state: number, owner: string, boot: string, since: number): void {
    this.#release(id)
    this.#setFile.run(id, state, owner, boot, since)
  }

  forgetFile(id: number): void {
    this.#release(id)
    this.#forgetFile.run(id)
  }

  #release(id: number): void {
    const row = this.#reservedBy.get(id) as unknown as [number] | undefined
    if (row !== undefined) this.#reserved -= row[0]
  }

  files(): FileRow[] {
    return this.#db.prepare('SELECT id, state, owner, boot FROM file').all() as unknown as FileRow[] // its columns
  }

  /** In use, written since the machine was started, and not yet known to be on the disk; the oldest first. */
  unsynced(boot: string, count: number): { readonly id: number; readonly since: number }[] {
    const sql = `SELECT id, since FROM file WHERE state = ${fileState.unsynced} AND boot = ? ORDER BY id LIMIT ?`
    return this.#db.prepare(sql).all(boot, count) as unknown as { id: number; since: number }[] // its columns
  }

  // ---- those who share it

  join(owner: string): number {
    this.#users++
    return Number(this.#db.prepare('INSERT INTO user(owner) VALUES(?)').run(owner).lastInsertRowid)
  }

  leave(user: number): void {
    this.#users -= Number(this.#db.prepare('DELETE FROM user WHERE id = ?').run(user).changes)
  }

  usersNow(): { readonly id: number; readonly owner: string }[] {
    return this.#db.prepare('SELECT id, owner FROM user').all() as unknown as { id: number; owner: string }[] // its columns
  }

  log(user: number, kind: number, key: string): void {
    this.#log.run(++this.#changes, user, kind, key)
    if (this.#changes % changesPerTrim === 0) this.#trim.run(this.#changes - changesMax)
  }

  /** In their order; null: some of them are not there any more. */
  changesAfter(id: number): ChangeRow[] | null {
    const rows = this.#changesAfter.all(id).map(row => {
      const [at, user, kind, key] = row as unknown as [number, number, number, string] // the columns asked for
      return { id: at, user, kind, key }
    })
    return rows.length > 0 && rows[0]?.id !== id + 1 ? null : rows
  }

  /** Another number each time somebody else has changed something. */
  dataVersion(): number {
    const [version] = this.#dataVersion.get() as unknown as [number]
    return version
  }

  // ---- the file of the index

  /** What the index takes on disk, and how much of that is free for reuse. */
  space(): { readonly bytes: number; readonly free: number } {
    const [pages] = this.#usedPages.get() as unknown as [number]
    const [free] = this.#freePages.get() as unknown as [number]
    return { bytes: pages * pageBytes, free: free * pageBytes }
  }

  /** Gives so many free pages back to the file system. */
  shrink(pages: number): void {
    this.#db.exec(`PRAGMA incremental_vacuum(${pages})`)
  }

  /** Whether from now on every thousandth page written moves the write-ahead log into the file, here and now. */
  checkpointItself(itself: boolean): void {
    this.#db.exec(`PRAGMA wal_autocheckpoint = ${itself ? 1000 : 0}`)
  }

  /** Everything but the numbers already used. Inside `write`. */
  empty(): void {
    this.#db.exec('DELETE FROM response; DELETE FROM tag; DELETE FROM file')
    this.#count = this.#small = this.#large = this.#reserved = 0
  }

  close(): void {
    this.#db.close()
  }
}

const prepareFile = (db: DatabaseSync): void => {
  db.exec(`PRAGMA busy_timeout = ${patienceMs}; PRAGMA page_size = ${pageBytes}; PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -32768;
    PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF`)
  const version = (): unknown => db.prepare('PRAGMA user_version').get()?.['user_version']
  if (version() === 0) {
    db.exec('BEGIN IMMEDIATE')
    // another process may have been quicker
    if (version() === 0) db.exec(schema)
    db.exec('COMMIT')
  }
  if (version() !== recordFormat) throw new LedgerDamaged(`it is of format ${String(version())}, not ${recordFormat}`)
}

/** Ranks of two policies cannot be compared: what is there goes before what comes, or is used again. */
const prepareOrder = (db: DatabaseSync, policy: RemovalPolicy): void => {
  if (db.prepare('SELECT policy FROM total').get()?.['policy'] === policy) return
  db.exec('BEGIN IMMEDIATE')
  const top = '(SELECT coalesce(max(rank), 0) FROM response)'
  db.exec(`UPDATE total SET age = max(age, ${top}), next = max(next, CAST(max(age, ${top}) AS INTEGER) + 1)`)
  db.prepare('UPDATE total SET policy = ?').run(policy)
  db.exec('COMMIT')
}

const rowOf = (row: unknown): Row => {
  // the columns asked for
  const [id, file, bytes, uses, rank, record] = row as [number, number | null, number, number, number, Uint8Array]
  return { id, file, bytes, uses: uses - usesBias, rank, record: bufferOf(record) }
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
