import os from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'

// The thread that moves the ledger's write-ahead log into its file; see checkpoints.ts. What fails here fails there,
// too, with somebody to tell.
//
//   PASSIVE, until little is left ─► RESTART: the rest ─► a change, which begins the log anew
//
// Whoever begins the log anew cuts the file and waits until the disk has its head: so it is done here. RESTART keeps
// everybody from writing, PASSIVE nobody. `reserved` asks the store whose thread this is to leave the ledger alone until the
// end of that change: it would begin the log itself otherwise, when it is quicker.

export interface CheckpointData {
  readonly path: string
  /** One number, not 0 while the ledger is to be left alone. */
  readonly reserved: Int32Array
}

/** What RESTART may find: the more, the longer it keeps others from writing. */
const framesLeftMax = 64
const passesMax = 4

// of this thread alone (setpriority(2) on Linux): where there is one core for all, clients go first, but while they wait
const politely = 10
os.setPriority(politely)

const { path, reserved } = workerData as CheckpointData // as checkpoints.ts starts it
const db = new DatabaseSync(path)
db.exec('PRAGMA busy_timeout = 1000; PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 0; PRAGMA journal_size_limit = 0')
const passive = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
const restart = db.prepare('PRAGMA wal_checkpoint(RESTART)')
const begin = db.prepare('UPDATE total SET next = next')

const checkpoint = (): void => {
  let left = framesLeft()
  for (let pass = 1; pass < passesMax && left !== null && left > framesLeftMax; pass++) left = framesLeft()
  if (left === null) return
  os.setPriority(0)
  Atomics.store(reserved, 0, 1)
  try {
    restart.get()
    begin.run()
  } finally {
    Atomics.store(reserved, 0, 0)
    os.setPriority(politely)
  }
}

/** Null: another process is at it. */
const framesLeft = (): number | null => {
  const { busy, log, checkpointed } = passive.get() as { busy: number; log: number; checkpointed: number } // its columns
  return busy === 0 ? log - checkpointed : null
}

parentPort?.on('message', () => {
  try {
    checkpoint()
  } catch {
    // tried again when more has been written
  }
  parentPort?.postMessage('done')
})
