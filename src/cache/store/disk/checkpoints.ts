import fs from 'node:fs'
import { Worker } from 'node:worker_threads'
import { type Clock, ms, type Timer } from '../../../base/index.ts'
import type { CheckpointData } from './checkpoint-program.ts'

// What has been written to the ledger stands in its write-ahead log first. Moving it into the file, and beginning the log
// anew, takes several fsyncs, which no client should wait for: a thread of its own does it, started when there is
// something to move. For the last part of that nobody can write: what can wait is written when it is
// `done`.

/** Changes between two looks at the length of the log. */
const changesPerLook = 32
/** After the last change, so that the log of a store at rest is short. */
const restMs = 5000

export class Checkpoints {
  readonly #path: string
  readonly #clock: Clock
  readonly #done: () => void
  readonly #failed: () => void
  /** From so many bytes of log on it is worth it. */
  readonly #bytes: number
  /** Beyond, it is behind. */
  readonly #bytesMax: number
  readonly #reserved = new Int32Array(new SharedArrayBuffer(4))
  #worker: Worker | null = null
  #working = false
  #changes = 0
  #rest: Timer | null = null
  #logBytes = 0

  /** `done`: the log has been moved. `failed`: there is no thread, it has to be moved in some other way. */
  constructor(path: string, clock: Clock, bytes: number, bytesMax: number, done: () => void, failed: () => void) {
    this.#path = path
    this.#clock = clock
    this.#bytes = bytes
    this.#bytesMax = bytesMax
    this.#done = done
    this.#failed = failed
  }

  /** Bytes of the log, as of the last look. */
  get logBytes(): number {
    return this.#logBytes
  }

  /** The disk is slower than what comes. */
  get behind(): boolean {
    return this.#working && this.#logBytes > this.#bytesMax
  }

  /** Who can wait leaves the ledger alone: the log is about to begin anew. */
  get reserved(): boolean {
    return Atomics.load(this.#reserved, 0) !== 0
  }

  /** The ledger has been changed. */
  changed(): void {
    this.#rest ??= this.#clock.after(ms(restMs), () => this.#rested(), { unref: true })
    if (++this.#changes % changesPerLook !== 0) return
    this.#look()
    if (this.#logBytes > this.#bytes) this.#start()
  }

  async close(): Promise<void> {
    this.#rest?.cancel()
    this.#rest = null
    const worker = this.#worker
    this.#worker = null
    await worker?.terminate()
  }

  #rested(): void {
    this.#rest = null
    this.#start()
  }

  #look(): void {
    this.#logBytes = fs.statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  }

  #start(): void {
    if (this.#working) return
    this.#working = true
    this.#worker ??= this.#newWorker()
    this.#worker.postMessage('checkpoint')
  }

  #newWorker(): Worker {
    // the same extension as this file has: .ts in the sources, .js in a package
    const program = new URL(import.meta.url.replace(/checkpoints(\.\w+)$/, 'checkpoint-program$1'))
    const worker = new Worker(program, { workerData: { path: this.#path, reserved: this.#reserved } satisfies CheckpointData, stderr: true })
    worker.unref()
    worker.on('message', () => {
      this.#working = false
      if (this.#worker !== worker) return
      this.#look()
      this.#done()
    })
    worker.on('error', () => {
      this.#working = false
      Atomics.store(this.#reserved, 0, 0)
      if (this.#worker !== worker) return
      this.#worker = null
      this.#failed()
    })
    return worker
  }
}
