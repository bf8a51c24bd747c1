import fs from 'node:fs'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Bytes, bytes, type Clock, declareCounters, type FieldView, ms } from '../../../base/index.ts'
import type { ContentSource } from '../../content-source.ts'
import type { CacheKey } from '../../key.ts'
import type { Selection } from '../../selection.ts'
import { flag, StoredResponse } from '../../stored-response.ts'
import { takesPlaceOf } from '../../parts.ts'
import type { StoreEvents } from '../store-events.ts'
import type { Opened, Store, StoreLimits, StoreRefusal, Variants, Walk } from '../store.ts'
import { ContentFile, contentFolder, contentPath } from './content-file.ts'
import { everything } from './debts.ts'
import { DiskIndex, type IndexOwner } from './disk-index.ts'
import { diskCounters, type DiskLimits, type DiskOptions, type OpenLedger } from './disk-options.ts'
import { DiskWalk } from './disk-walk.ts'
import { type DiskRoom, DiskWriter, type NewOutput } from './disk-writer.ts'
import { FileOutput } from './file-output.ts'
import { dropContents } from './folder.ts'
import { Incoming } from './incoming.ts'
import { changeKind, hashOf, type Ledger, type Row } from './ledger.ts'
import { Lookups } from './lookups.ts'
import { OpenFiles } from './open-files.ts'
import { OurFiles } from './our-files.ts'
import { Owed } from './owed.ts'
import { decodeRecord, encodeRecord, keyOfRecord } from './record.ts'
import { Removal } from './removal.ts'
import type { Foreign, Sharing } from './sharing.ts'
import { SpaceReserve } from './space-reserve.ts'
import { Upkeep } from './upkeep.ts'
import { stepsMax, Uses } from './uses.ts'

// Stored responses in a folder. What is small lies in the ledger with its record; what is large lies in a file of its
// own, and the ledger says which. A response is there from the moment the ledger says so, and gone from the moment it
// does not: files follow it, never the other way round.
//
//   lookup ─► Incoming: is it on its way? ─► Lookups ─► ledger ─► record, content │ ContentFile, read when it is delivered
//   open ─► DiskWriter ─► (FileOutput …) ─► Incoming: complete ─► DiskIndex: one change ─► ledger
//   invalidate ─► Incoming: what is on its way does not arrive ─► DiskIndex: one change; not possible ─► Owed
//
// This file says what happens, and in which order; how is said in
//
//   the index    ledger.ts, record.ts · disk-index.ts: opened, changed, failing · waiting-changes.ts, checkpoints.ts: while
//                somebody else has it · sharing.ts, debts.ts, roll-call.ts: other processes
//   contents     disk-writer.ts, file-output.ts: on their way · our-files.ts: from a number to the last link · open-files.ts,
//                content-file.ts: read
//   room         removal.ts: what is taken, what goes · uses.ts: and what is spared · space-reserve.ts: on a full disk
//   later        upkeep.ts
//
// The index is changed in transactions of some dozen microseconds. While somebody else has it, what can wait waits, in
// order; look-ups of what is stored so wait, too. Only what must be true before its client is answered, an invalidation
// above all, waits for the index itself.

/** Content of up to so many bytes lies in the ledger: from there it is read in a fraction of the time a file takes. */
const inlineBytesMax = 16 * 1024
/** What a row takes in its tables beside record and content. */
const rowOverhead = 120
const blockBytes = 4096
const openFilesMax = 64
/** For the last bytes of what is complete, and then for making sure of files. */
const closeMsMax = 3000
/** Not because of what it is, but of how the disk is. */
const failures: readonly StoreRefusal[] = ['disk-failed', 'disk-slow', 'busy']

export class DiskStore implements Store {
  readonly name = 'disk'
  readonly counters = declareCounters(diskCounters)
  /** Uses a tier above has seen, which do not come here; 0 = it does not have it. Else it is spared when its turn has come. */
  usesAbove: (key: CacheKey) => number = () => 0
  /** Told by a tier above: it has to hear what other processes do. */
  foreign: Foreign = nobodyCares
  events: StoreEvents | null = null
  readonly #folder: string
  readonly #clock: Clock
  #limits: DiskLimits
  readonly #incoming = new Incoming()
  readonly #owed = new Owed()
  readonly #opened: OpenFiles
  readonly #files: OurFiles
  readonly #uses: Uses
  readonly #index: DiskIndex
  /** That of the index: asked before each hit in a tier above. */
  readonly #sharing: Sharing
  readonly #lookups: Lookups
  /** What writers may do to the store. */
  readonly #room: DiskRoom
  readonly #removal: Removal
  readonly #reserve: SpaceReserve
  readonly #upkeep: Upkeep
  #closed = false

  /** `mark`, `boot`: who has the folder open, and in which run of the machine. Throws what keeps it from being used. */
  constructor(options: DiskOptions, openLedger: OpenLedger, mark: string, boot: string) {
    this.#folder = options.folder
    this.#limits = options.limits
    this.#clock = options.clock
    this.#opened = new OpenFiles(openFilesMax, options.readCached)
    this.#files = new OurFiles(options.folder, options.clock, mark, boot, this.#opened, () => this.#upkeep.plan())
    this.#uses = new Uses(key => this.usesAbove(key), () => this.#upkeep.plan())
    this.#index = new DiskIndex(options, openLedger, mark, boot, this.#asOwner())
    this.#sharing = this.#index.sharing
    const parts = {
      clock: options.clock, counters: this.counters, index: this.#index, files: this.#files, opened: this.#opened,
      incoming: this.#incoming, uses: this.#uses, owed: this.#owed,
    }
    this.#removal = new Removal(() => this.#limits, parts)
    this.#reserve = new SpaceReserve(options.folder, options.notice, { ...parts, removal: this.#removal })
    this.#upkeep = new Upkeep(options.folder, mark, boot, { ...parts, removal: this.#removal, reserve: this.#reserve })
    this.#lookups = new Lookups(options.folder, this.#index, this.#opened, this.#files.suspects, {
      used: (ledger, key, rank) => this.#uses.found(ledger, key, rank),
      damaged: rows => this.#removeDamaged(rows),
      lost: stored => {
        if (this.remove(stored)) this.counters.damaged++
      },
    })
    this.#room = this.#asRoom()
    this.#index.begin()
  }

  // ---- what is there

  get bytes(): Bytes {
    return bytes((this.#index.ledger?.bytes ?? 0) + this.#incoming.bytes)
  }

  get bytesMax(): Bytes {
    return this.#limits.bytesMax
  }

  get count(): number {
    return this.#index.ledger?.count ?? 0
  }

  get folder(): string {
    return this.#folder
  }

  /** The share of its room that is taken. */
  get load(): number {
    return this.#removal.taken / Math.max(1, this.#limits.bytesMax)
  }

  /**
   * Hears what other processes have done. A tier above calls it before it answers, with the key it is asked for; what is
   * found here is found in the ledger, as it is now.
   */
  catchUp(key: CacheKey | null = null): void {
    if (!this.#sharing.isBehind) return
    this.#index.catchUp(key)
    if (this.#index.isShared) this.#upkeep.plan() // somebody has to look after those who die
  }

  lookup(key: CacheKey): Variants | null | Promise<Variants | null> {
    return this.#incoming.isFinishing(key) ? this.#incoming.arrival(key).then(() => this.#find(key, true)) : this.#find(key, true)
  }

  peek(key: CacheKey): Variants | null | Promise<Variants | null> {
    return this.#incoming.isFinishing(key) ? this.#incoming.arrival(key).then(() => this.#find(key, false)) : this.#find(key, false)
  }

  #find(key: CacheKey, used: boolean): Variants | null {
    if (this.#owed.has(key) || (this.#sharing.othersOwe && this.#sharing.owes(hashOf(key)))) return null
    return this.#lookups.find(key, used)
  }

  touch(key: CacheKey): void {
    this.#uses.touch(key)
  }

  /** The same response with its content in memory; null: it is gone, or cannot be read now. */
  inMemory(stored: StoredResponse): Promise<StoredResponse | null> {
    return this.#lookups.inMemory(stored)
  }

  /** Whether it is one of those this store has handed out or taken in. */
  holds(stored: StoredResponse): boolean {
    return this.#lookups.serialOf(stored) !== undefined
  }

  /** A tier above has taken in what was read from here. */
  tellRisen(stored: StoredResponse): void {
    this.events?.risen(stored, this.#lookups.serialOf(stored) ?? 0)
  }

  owns(content: ContentFile): boolean {
    return content.path.startsWith(`${contentFolder(this.#folder)}/`)
  }

  /** Whether something is stored under the key. */
  has(key: CacheKey): boolean {
    return this.#incoming.isFinishing(key) || this.#index.has(key, hashOf(key), false)
  }

  // ---- what comes in

  open(response: StoredResponse, request: FieldView): Opened {
    const refusal = this.refusalOf(response)
    if (refusal !== null) {
      this.counters.refused++
      if (failures.includes(refusal)) this.events?.refused(response)
      return { ok: false, reason: refusal }
    }
    return { ok: true, writer: this.#newWriter(response, request) }
  }

  put(response: StoredResponse, request: FieldView): boolean {
    const refusal = this.refusalOf(response)
    if (refusal !== null) {
      this.counters.refused++
      if (failures.includes(refusal)) this.events?.refused(response)
      return false
    }
    if (response.content !== null) return this.#link(response, request, response.content)
    const writer = this.#newWriter(response, request)
    for (const buffer of response.body) if (!writer.give(buffer)) return false
    return writer.completeWith(response) !== null
  }

  #newWriter(response: StoredResponse, request: FieldView): DiskWriter {
    const writer = new DiskWriter(response, request, this.objectBytesMax, this.#room)
    this.#incoming.add(writer)
    return writer
  }

  /** Larger ones it does not take. */
  get objectBytesMax(): number {
    return Math.min(this.#limits.objectBytesMax, Math.floor(this.#limits.bytesMax / 2))
  }

  /** Why it would not take this one; null: it would try. */
  refusalOf(response: StoredResponse): StoreRefusal | null {
    if (this.#limits.bytesMax <= 0) return 'switched-off'
    if (this.#index.ledger === null || this.#closed || !this.#index.health.mayWrite) return 'disk-failed'
    const expected = response.has(flag.headOnly) ? 0 : response.contentLength
    if (expected >= 0 && expected < this.#limits.objectBytesMin) return 'too-small'
    if (expected > this.objectBytesMax) return 'too-large'
    if (this.#index.isBehind || this.#index.isTooBusy) return 'busy'
    return this.#incoming.bytes + Math.max(0, expected) > this.#limits.bytesMax / 2 ? 'busy' : null
  }

  #charge(writer: DiskWriter, more: number): boolean {
    if (this.#incoming.bytes + more > this.#limits.bytesMax / 2) return false
    if (!this.#removal.makeRoomFor(more) || writer.refusal !== null) return false
    this.#incoming.hold(more)
    this.#removal.sweepIfFull()
    return true
  }

  #newOutput(writer: DiskWriter, size: number): NewOutput | StoreRefusal {
    this.catchUp() // whoever clears the store takes away what is not in use yet
    const file = this.#takeSpare()
    if (file === 0) return this.#index.health.mayWrite ? 'busy' : 'disk-failed'
    if (writer.refusal !== null) {
      this.#files.unlink(file)
      return writer.refusal
    }
    this.#files.promise(file, size)
    return { file, output: new FileOutput(contentPath(this.#folder, file), writer) }
  }

  /** 0: there is none, and the disk says no, or somebody else has the index. */
  #takeSpare(): number {
    const patience = this.#files.wereWanted ? 'leaves' : 'waits'
    if (!this.#files.hasSpares) this.#index.change(() => 0, 0, patience)
    return this.#files.take()
  }

  #ended(writer: DiskWriter): void {
    if (writer.refusal !== null && writer.refusal !== 'abandoned') this.counters.refused++
    if (writer.refusal !== null && failures.includes(writer.refusal)) this.events?.refused(writer.response)
    this.#incoming.ended(writer)
    if (writer.stored === null || writer.refusal === null || !failures.includes(writer.refusal)) return
    // a client has this one: what it was to take the place of is over all the same
    if (this.#index.has(writer.key, hashOf(writer.key), true)) this.#owe(writer.key)
  }

  #store(writer: DiskWriter): void {
    let serial = 0
    this.#index.later({
      make: ledger => {
        const { stored, file, bytes } = writer
        serial = 0
        if (writer.isOver || stored === null || writer.outdated) return // as the log has just said
        this.#index.enters(writer.charged)
        const asked = { request: writer.request, before: writer.completedAt }
        serial = this.#insert(ledger, stored, file === 0 ? { body: bodyOf(stored) } : { file, length: bytes }, asked)
      },
      ended: made => {
        if (writer.isOver) return // and its file is taken away
        if (!made || serial === 0 || writer.stored === null) {
          writer.settle(writer.outdated ? 'invalidated' : 'disk-failed')
          return
        }
        this.#inserted(writer.stored, writer.file, serial)
        writer.settle(null)
      },
    })
  }

  /** Within a transaction. Answers its serial; 0: there is no room for it. */
  #insert(ledger: Ledger, stored: StoredResponse, content: Placed, asked: Asked): number {
    const body = content.body ?? null
    const length = body?.length ?? content.length ?? 0
    const file = content.file ?? null
    const hashed = hashOf(stored.key)
    const uses = this.#removeFitting(ledger, stored, hashed, asked)
    const serial = ledger.take()
    const record = encodeRecord(stored, { serial, bytes: length, crc: body === null ? 0 : crc32(body) })
    const size = rowBytes(record, body?.length ?? 0) + (file === null ? 0 : onDisk(length))
    const room = this.#limits.bytesMax - size
    if (this.#removal.taken > room) this.#removal.removeOldest(ledger, room)
    if (this.#removal.taken > room) return 0
    ledger.insert(serial, hashed, file, size, uses + 1, record, body)
    if (file !== null) this.#files.use(ledger, file)
    this.#lookups.identify(stored, serial)
    this.#sharing.log(ledger, changeKind.changed, stored.key)
    return serial
  }

  #inserted(stored: StoredResponse, file: number, serial: number): void {
    if (file !== 0) this.#files.arrived(file)
    if (this.#owed.delete(stored.key)) this.#sharing.paid(hashOf(stored.key))
    this.counters.stored++
    this.#index.health.succeed()
    this.events?.written(stored, serial)
  }

  /** What the new one takes the place of, and what is too many. Answers the uses of the former. */
  #removeFitting(ledger: Ledger, by: StoredResponse, hashed: number, { request, before }: Asked): number {
    let uses = 0
    const others: { row: Row; date: number }[] = []
    for (const row of ledger.find(hashed)) {
      if (keyOfRecord(row.record) !== by.key) continue
      const record = decodeRecord(row.record)
      const goes = record === null || (record.serial < before && takesPlaceOf(by, new StoredResponse(record.facts, []), request))
      if (record === null || goes) {
        uses = Math.max(uses, row.uses)
        this.#index.remove(ledger, row)
      } else others.push({ row, date: record.facts.date })
    }
    if (others.length < this.#limits.variantsMax) return uses
    others.sort((a, b) => a.date - b.date)
    for (const { row } of others.slice(0, others.length - this.#limits.variantsMax + 1)) {
      this.#index.remove(ledger, row)
      this.counters.variantsRemoved++
    }
    return uses
  }

  /** The content of another response of ours, for this one, too: a second name of the same file. */
  #link(response: StoredResponse, request: FieldView, content: ContentSource): boolean {
    if (!(content instanceof ContentFile)) return false
    const file = this.#takeSpare()
    if (file === 0) return false
    try {
      const path = contentPath(this.#folder, file)
      fs.mkdirSync(dirname(path), { recursive: true })
      fs.linkSync(content.path, path)
    } catch {
      this.#files.unlink(file)
      return false
    }
    this.#incoming.supersede(response, request)
    const asked = { request, before: Number.MAX_SAFE_INTEGER }
    const placed = { file, length: response.contentLength }
    const serial = this.#index.change(ledger => this.#insert(ledger, response, placed, asked), 0)
    if (serial === 0) this.#files.unlink(file)
    else this.#inserted(response, file, serial)
    return serial !== 0
  }

  // ---- changes

  replace(old: StoredResponse, by: StoredResponse): boolean {
    const writer = this.#incoming.writerOf(old)
    if (writer !== null) {
      writer.stored = by
      return true
    }
    const serial = this.#lookups.serialOf(old)
    if (serial === undefined || this.#index.isTooBusy) return false
    this.#incoming.finishing(old.key)
    let replaced: boolean | null = null
    this.#index.later({
      make: ledger => {
        const found = this.#index.rowOf(old, serial)
        replaced = found !== null
        if (found === null) return
        const { row, record } = found
        const update = encodeRecord(by, record)
        ledger.update(row, update, row.bytes - rowBytes(row.record, 0) + rowBytes(update, 0))
        this.#sharing.log(ledger, changeKind.changed, old.key)
      },
      ended: made => {
        replaced = made && replaced === true
        if (replaced) this.counters.replaced++
        this.#incoming.finished(old.key)
      },
    })
    if (replaced !== false) this.#lookups.identify(by, serial)
    return replaced !== false
  }

  remove(stored: StoredResponse): boolean {
    const writer = this.#incoming.writerOf(stored)
    if (writer !== null) {
      writer.invalidate()
      return true
    }
    const serial = this.#lookups.serialOf(stored)
    if (serial === undefined) return false
    return this.#index.change(ledger => {
      const found = this.#index.rowOf(stored, serial)
      if (found === null) return false
      this.#index.remove(ledger, found.row)
      this.#sharing.log(ledger, changeKind.changed, stored.key)
      return true
    }, false)
  }

  #removeDamaged(rows: readonly Row[]): void {
    this.counters.damaged += rows.length
    this.#index.change(ledger => {
      for (const row of rows) this.#index.remove(ledger, row)
    }, undefined)
  }

  /** Another folder has what takes the place of this. */
  supersede(by: StoredResponse, request: FieldView): void {
    this.#incoming.supersede(by, request)
    const hashed = hashOf(by.key)
    if (!this.#index.has(by.key, hashed, false)) return
    this.#index.change(ledger => this.#removeFitting(ledger, by, hashed, { request, before: Number.MAX_SAFE_INTEGER }), 0)
  }

  /** What is on its way for the key is older than a change of it. Answers how much of that was complete. */
  stopWriting(key: CacheKey): number {
    return this.#incoming.stop(key)
  }

  unfinished(): readonly StoredResponse[] {
    return this.#incoming.responses
  }

  walk(selection: Selection): Walk {
    this.#tellOfMany()
    return new DiskWalk(() => this.#index.ledger, selection, error => this.#index.fail(error))
  }

  invalidate(key: CacheKey): number {
    this.catchUp()
    const complete = this.stopWriting(key)
    const hashed = hashOf(key)
    const ledger = this.#index.ledger
    if (ledger === null || (ledger.users < 2 && !this.#index.has(key, hashed, true))) return complete
    const removed = this.#index.change(ledger => this.#index.removeAll(ledger, key, hashed), -1)
    if (removed < 0) this.#owe(key)
    const count = complete + Math.max(0, removed)
    this.counters.invalidated += count
    return count
  }

  /** A tier above has changed what it alone has; other processes may have the same. */
  tell(key: CacheKey): void {
    if (this.#index.ledger === null || this.#index.ledger.users < 2) return
    if (!this.#index.change(ledger => (this.#sharing.log(ledger, changeKind.changed, key), true), false)) this.#owe(key)
  }

  /** What is selected is removed here. What others have in memory or on its way may be meant too, and they do not look. */
  #tellOfMany(): void {
    this.catchUp()
    if (!this.#index.isShared) return
    if (this.#index.change(ledger => (this.#sharing.log(ledger, changeKind.cleared, ''), true), false)) return
    this.#owed.addTelling()
    this.#sharing.owe(everything)
    this.#upkeep.plan()
  }

  /** The disk would not have it, or somebody else has the index. */
  #owe(key: CacheKey): void {
    if (this.#sharing.owe(hashOf(key))) this.#owed.add(key)
    else this.#owed.addAll()
    if (this.#owed.isAll) this.#sharing.owe(everything)
    this.#upkeep.plan()
  }

  clear(): void {
    this.#incoming.stopAll()
    this.#uses.clear()
    this.#files.reset()
    const emptied = this.#index.change(ledger => {
      this.#index.empty(ledger)
      return true
    }, false)
    if (!emptied) {
      if (this.#index.ledger === null) return
      this.#owed.addAll()
      this.#sharing.owe(everything)
      return
    }
    try {
      this.#opened.close()
      dropContents(this.#folder)
    } catch (error) {
      this.#index.fail(error)
    }
  }

  resize(limits: StoreLimits): void {
    this.#limits = { ...this.#limits, ...limits }
    this.#removal.fit()
  }

  /** Resolves when all that is complete is stored. */
  settled(): Promise<void> {
    return this.#incoming.settled()
  }

  /** Waits for what is on its way, and leaves the folder as after a rest. */
  async close(): Promise<void> {
    this.#closed = true
    this.#index.closing()
    this.#removal.stop()
    this.#upkeep.stop()
    this.#incoming.abandon()
    this.#index.change(() => 0, 0) // what waits
    await this.#within(closeMsMax, this.settled())
    this.#index.stopWaiting()
    this.#reserve.stop()
    // what is still to be noted
    for (let step = 0; step === 0 || (step < stepsMax && this.#uses.areAny); step++) this.#index.change(() => 0, 0)
    await this.#upkeep.syncAll(closeMsMax)
    this.#opened.close()
    // nobody looks after files of who has left properly
    await this.#within(closeMsMax, this.#files.allUnlinked())
    await this.#index.close()
  }

  /** Resolves with it, or after so long. */
  #within(patienceMs: number, what: Promise<void>): Promise<void> {
    return new Promise(resolve => {
      const enough = this.#clock.after(ms(patienceMs), resolve)
      void what.then(() => {
        enough.cancel() // it would keep the process from ending
        resolve()
      })
    })
  }

  // ---- what its parts need of it

  #asOwner(): IndexOwner {
    const store = this
    return {
      counters: this.counters,
      files: this.#files,
      opened: this.#opened,
      incoming: this.#incoming,
      uses: this.#uses,
      owed: this.#owed,
      get bytesMax() {
        return store.#limits.bytesMax
      },
      get events() {
        return store.events
      },
      get foreign() {
        return store.foreign
      },
      begun: ledger => {
        this.#uses.begin(ledger)
        this.#removal.measure(ledger)
        this.#removal.sweepIfFull()
        this.#upkeep.plan()
      },
      changed: ledger => {
        this.#removal.changed(ledger)
        this.#upkeep.plan()
      },
      full: () => this.#reserve.makeSpace(),
    }
  }

  #asRoom(): DiskRoom {
    const store = this
    return {
      clock: this.#clock,
      inlineBytesMax,
      get objectBytesMin() {
        return store.#limits.objectBytesMin
      },
      charge: (writer, more) => this.#charge(writer, more),
      newOutput: (writer, size) => this.#newOutput(writer, size),
      promise: (file, more) => this.#files.promise(file, more),
      contentOf: (writer, file, length) => this.#lookups.contentFile(file, length, () => writer.stored),
      finishing: writer => this.#incoming.complete(writer, this.#index.ledger?.next ?? 0),
      store: writer => this.#store(writer),
      ended: writer => this.#ended(writer),
      remove: file => this.#files.unlink(file),
      removeLater: file => this.#files.leave(file),
      failed: error => this.#index.fail(error),
    }
  }
}

/** Content that is to be put into the index, or lies in a file. */
interface Placed {
  readonly body?: Buffer
  readonly file?: number
  readonly length?: number
}

/** `before`: what was stored later than that is newer. */
interface Asked {
  readonly request: FieldView
  readonly before: number
}

const bodyOf = (stored: StoredResponse): Buffer => (stored.body.length === 1 ? (stored.body[0] ?? nothing) : Buffer.concat(stored.body))

const nobodyCares: Foreign = { changed: () => {}, invalidated: () => {}, cleared: () => {} }
const nothing = Buffer.alloc(0)

const rowBytes = (record: Buffer, body: number): number => record.length + body + rowOverhead

const onDisk = (length: number): number => Math.ceil(length / blockBytes) * blockBytes
