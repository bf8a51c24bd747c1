import fs from 'node:fs'
import os from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'

// The thread that moves the ledger's write-ahead log into its file; see checkpoints.ts. What fails here fails there,
// too, with somebody to tell.
//
//   PASSIVE, until little is left ─► RESTART: the rest ─► a change, which begins the log anew
//
// Whoever begins the log anew cuts the file and waits until the disk has its head: so it is done here. RESTART keeps
// everybody from writing, PASSIVE nobody; but once PASSIVE has moved all there is, the next change begins the log anew,
// whoever makes it. Against that there is a reader: a log that is being read grows. When it leaves, `reserved` asks the
// store whose thread this is to leave the ledger alone, until the change here is made.
//
// Whoever reads an older part of the log keeps it from being moved; RESTART is not tried then, since nobody could write
// while it waits. Nobody reads for long, unless its process stands still.

export interface CheckpointData {
  readonly path: string
  /** One number, not 0 while the ledger is to be left alone. */
  readonly reserved: Int32Array
}

/** `busy`: others came first; `kept`: somebody who reads the log and does not go on kept it from being begun anew. */
export type CheckpointReport = 'done' | 'busy' | 'kept'

/** What RESTART may find: the more, the longer it keeps others from writing. */
const framesLeftMax = 64
const passesMax = 4
/** Of the log. */
const headBytes = 32
const frameBytes = 24 + 4096
/** For those who read or write just now; who reads keeps everybody from writing meanwhile. */
const patienceMs = 250

// Of this thread alone (setpriority(2) on Linux): where there is one core for all, clients go first, but while they wait.
const politely = 10
const priority = os.getPriority()

const setPriority = (nice: number): void => {
  try {
    os.setPriority(nice)
  } catch {
    // only the system's root may go back
  }
}

setPriority(politely)
const { path, reserved } = workerData as CheckpointData // as checkpoints.ts starts it
const db = new DatabaseSync(path)
db.exec(`PRAGMA busy_timeout = ${patienceMs}; PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 0; PRAGMA journal_size_limit = 0`)
const reader = new DatabaseSync(path)
const movePassively = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
const restart = db.prepare('PRAGMA wal_checkpoint(RESTART)')
// a number nobody takes: SQLite writes nothing where the new content of a row is the old
const begin = db.prepare('UPDATE total SET next = next + 1')

const checkpoint = (): CheckpointReport => {
  try {
    let pass = passive()
    let before = -1
    for (let i = 1; i < passesMax && pass !== null && pass.left > framesLeftMax; i++) {
      before = pass.moved
      pass = passive()
    }
    if (pass === null) return 'busy'
    if (pass.read > framesLeftMax && pass.moved === before) return 'kept'
    setPriority(priority)
    Atomics.store(reserved, 0, 1)
    letGo()
    if (restart.get()?.['busy'] !== 0) return 'busy'
    begin.run()
    return 'done'
  } finally {
    Atomics.store(reserved, 0, 0)
    letGo()
    setPriority(politely)
  }
}

/**
 * Frames of the log that have been moved; those that could not be, since somebody reads what is older; and those that are
 * left, with what was written meanwhile, which SQLite does not count. Null: another process is at it.
 */
const passive = (): { readonly moved: number; readonly read: number; readonly left: number } | null => {
  letGo()
  reader.exec('BEGIN; SELECT one FROM total')
  const { busy, log, checkpointed } = movePassively.get() as { busy: number; log: number; checkpointed: number } // its columns
  if (busy !== 0) return null
  const size = fs.statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  return { moved: checkpointed, read: log - checkpointed, left: Math.max(log, Math.floor((size - headBytes) / frameBytes)) - checkpointed }
}

const letGo = (): void => {
  if (reader.isTransaction) reader.exec('COMMIT')
}

parentPort?.on('message', () => {
  let report: CheckpointReport = 'busy'
  try {
    report = checkpoint()
  } catch {
    // tried again when more has been written
  }
  parentPort?.postMessage(report)
})
