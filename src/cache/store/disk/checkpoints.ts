import fs from 'node:fs'
import { Worker } from 'node:worker_threads'
import { type Clock, ms, type Timer } from '../../../base/index.ts'
import type { CheckpointData, CheckpointReport } from './checkpoint-program.ts'

// What has been written to the ledger stands in its write-ahead log first. Moving it into the file, and beginning the log
// anew, takes several fsyncs, which no client should wait for: a thread of its own does it, started when there is
// something to move. For the last part of that nobody can write: what can wait is written when it is
// `done`.

/** Changes between two looks at the length of the log; fewer where it may be so short that these would be too much. */
const changesPerLookMax = 32
const bytesPerChange = 256 * 1024
/** After the last change, so that the log of a store at rest is short. */
const restMs = 5000
/** After somebody has kept the log from being begun anew: as long as it is tried, nobody can write. */
const keptMs = 1000

export class Checkpoints {
  readonly #path: string
  readonly #clock: Clock
  readonly #done: () => void
  readonly #alone: (alone: boolean) => void
  /** From so many bytes of log on it is worth it. */
  readonly #bytes: number
  /** Beyond, it is behind. */
  readonly #bytesMax: number
  readonly #reserved = new Int32Array(new SharedArrayBuffer(4))
  #worker: Worker | null = null
  #working = false
  #isAlone = false
  #notBefore = 0
  #changes = 0
  readonly #changesPerLook: number
  #rest: Timer | null = null
  #logBytes = 0

  /**
   * `done`: the log has been moved, or cannot be now. `alone`: whether it has to be moved in some other way, since there is
   * no thread.
   */
  constructor(path: string, clock: Clock, bytes: number, bytesMax: number, done: () => void, alone: (alone: boolean) => void) {
    this.#path = path
    this.#clock = clock
    this.#bytes = bytes
    this.#bytesMax = bytesMax
    this.#changesPerLook = Math.max(1, Math.min(changesPerLookMax, Math.floor(bytesMax / bytesPerChange)))
    this.#done = done
    this.#alone = alone
  }

  /** Bytes of the log, as of the last look. */
  get logBytes(): number {
    return this.#logBytes
  }

  /** The disk is slower than what comes, or somebody who reads the log keeps it from being begun anew. */
  get behind(): boolean {
    if (this.#logBytes <= this.#bytesMax) return false
    this.#start() // perhaps nothing will be changed any more
    return true
  }

  /** Who can wait leaves the ledger alone: the log is about to begin anew. */
  get reserved(): boolean {
    return Atomics.load(this.#reserved, 0) !== 0
  }

  /** The ledger has been changed. */
  changed(): void {
    this.#planRest()
    if (++this.#changes % this.#changesPerLook !== 0) return
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

  #planRest(): void {
    this.#rest ??= this.#clock.after(ms(restMs), () => this.#rested(), { unref: true })
  }

  #rested(): void {
    this.#rest = null
    this.#start()
  }

  #look(): void {
    this.#logBytes = fs.statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  }

  #start(): void {
    if (this.#working || this.#clock.mono() < this.#notBefore) return
    try {
      this.#worker ??= this.#newWorker()
    } catch {
      this.#lost()
      return
    }
    this.#working = true
    this.#worker.postMessage('checkpoint')
  }

  #newWorker(): Worker {
    // the same extension as this file has: .ts in the sources, .js in a package
    const program = new URL(import.meta.url.replace(/checkpoints(\.\w+)$/, 'checkpoint-program$1'))
    const worker = new Worker(program, { workerData: { path: this.#path, reserved: this.#reserved } satisfies CheckpointData, stderr: true })
    worker.unref()
    worker.on('message', (report: CheckpointReport) => {
      this.#working = false
      if (this.#worker !== worker) return
      this.#setAlone(false)
      if (report === 'kept') this.#notBefore = this.#clock.mono() + keptMs
      if (report !== 'done') this.#planRest()
      this.#look()
      this.#done()
    })
    worker.on('error', () => {
      this.#working = false
      Atomics.store(this.#reserved, 0, 0)
      if (this.#worker === worker) this.#lost()
    })
    return worker
  }

  /** No thread, or no descriptor for it. It is tried again. */
  #lost(): void {
    this.#worker = null
    this.#notBefore = this.#clock.mono() + keptMs
    this.#setAlone(true)
  }

  #setAlone(alone: boolean): void {
    if (this.#isAlone === alone) return
    this.#isAlone = alone
    this.#alone(alone)
  }
}
