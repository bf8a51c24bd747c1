import { Worker } from 'node:worker_threads'

/** Passwords that wait for the thread. */
const waitingMax = 1000

const program = new URL(import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js', import.meta.url)

/** Checks passwords against hashes in a thread of its own, which begins with the first and ends with `stop`. */
export class PasswordHasher {
  readonly #waiting = new Map<number, (right: boolean | null) => void>()
  #worker: Worker | null = null
  #number = 0

  /** Null: it cannot be told, too many wait or the thread is gone. */
  check(hash: string, password: string): Promise<boolean | null> {
    if (this.#waiting.size >= waitingMax) return Promise.resolve(null)
    const worker = (this.#worker ??= this.#start())
    const id = ++this.#number
    return new Promise(resolve => {
      this.#waiting.set(id, resolve)
      worker.postMessage({ id, hash, password })
    })
  }

  async stop(): Promise<void> {
    const worker = this.#worker
    this.#lost(worker)
    await worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(program)
    worker.unref()
    worker.on('message', ({ id, right }: { readonly id: number; readonly right: boolean }) => {
      this.#waiting.get(id)?.(right)
      this.#waiting.delete(id)
    })
    worker.on('error', () => this.#lost(worker))
    worker.on('exit', () => this.#lost(worker))
    return worker
  }

  /** The next password begins another. */
  #lost(worker: Worker | null): void {
    if (worker === null || worker !== this.#worker) return
    this.#worker = null
    for (const resolve of this.#waiting.values()) resolve(null)
    this.#waiting.clear()
  }
}
