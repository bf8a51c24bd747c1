import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'

// The thread that moves the ledger's write-ahead log into its file; see checkpoints.ts. What fails here fails there,
// too, with somebody to tell.

const db = new DatabaseSync(String(workerData))
db.exec('PRAGMA busy_timeout = 1000; PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 0')

parentPort?.on('message', (wish: string) => {
  try {
    db.exec('PRAGMA wal_checkpoint(PASSIVE)')
    if (wish === 'restart') db.exec('PRAGMA wal_checkpoint(RESTART)')
  } catch {
    // tried again when more has been written
  }
  parentPort?.postMessage('done')
})
