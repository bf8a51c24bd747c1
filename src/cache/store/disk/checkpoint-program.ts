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

export interface CheckpointData {
  readonly path: string
  /** One number, not 0 while the ledger is to be left alone. */
  readonly reserved: Int32Array
}

/** What RESTART may find: the more, the longer it keeps others from writing. */
const framesLeftMax = 64
const passesMax = 4

// Of this thread alone (setpriority(2) on Linux): where there is one core for all, clients go first, but while they wait.
const politely = 10
const before = os.getPriority()

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
db.exec('PRAGMA busy_timeout = 1000; PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 0; PRAGMA journal_size_limit = 0')
const reader = new DatabaseSync(path)
const passive = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
const restart = db.prepare('PRAGMA wal_checkpoint(RESTART)')
// a number nobody takes: SQLite writes nothing where the new content of a row is the old
const begin = db.prepare('UPDATE total SET next = next + 1')

const checkpoint = (): void => {
  try {
    let left = framesLeft()
    for (let pass = 1; pass < passesMax && left !== null && left > framesLeftMax; pass++) left = framesLeft()
    if (left === null) return
    setPriority(before)
    Atomics.store(reserved, 0, 1)
    letGo()
    restart.get()
    begin.run()
  } finally {
    Atomics.store(reserved, 0, 0)
    letGo()
    setPriority(politely)
  }
}

/** Of what was there when it began; null: another process is at it. What is read is not moved beyond where its reader is. */
const framesLeft = (): number | null => {
  letGo()
  reader.exec('BEGIN; SELECT one FROM total')
  const { busy, log, checkpointed } = passive.get() as { busy: number; log: number; checkpointed: number } // its columns
  return busy === 0 ? log - checkpointed : null
}

const letGo = (): void => {
  if (reader.isTransaction) reader.exec('COMMIT')
}

parentPort?.on('message', () => {
  try {
    checkpoint()
  } catch {
    // tried again when more has been written
  }
  parentPort?.postMessage('done')
})
