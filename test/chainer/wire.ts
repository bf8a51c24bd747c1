import type { CloseReason, Connection, ConnectionReader } from '../../comm/index.ts'
import { endpoint } from '../../src/base/index.ts'

/** A comm connection whose other end is the test. */
export class Wire {
  readonly peer = endpoint('198.51.100.7', 80)
  readonly local = endpoint('10.0.0.1', 40_000)
  closed = false
  written = ''
  reader: ConnectionReader | null = null
  #deferred = false
  readonly slab = Buffer.alloc(4096)
  #todo: (() => void)[] = []

  get self(): Connection {
    return this as unknown as Connection
  }

  setReader(reader: ConnectionReader): void {
    this.reader = reader
  }
  setTimeout(): void {}
  write(...parts: (Buffer | string | null)[]): boolean {
    this.written += parts.map(part => (part === null ? '' : part.toString('latin1'))).join('')
    return true
  }
  deferRead(): void {
    this.#deferred = true
  }
  resumeRead(): void {
    this.#deferred = false
  }
  close(why: CloseReason = 'done'): void {
    if (this.closed) return
    this.closed = true
    queueMicrotask(() => this.reader?.onClose(this.self, why))
  }
  resetClose(why: CloseReason = 'aborted'): void {
    this.close(why)
  }

  // --- the other end; what it does is held back while reading is deferred, as a kernel would

  say(bytes: string): void {
    this.#soon(() => {
      // the slab is used again: whoever kept a view of it is found out
      this.slab.write(bytes, 0, 'latin1')
      this.reader?.onData(this.self, this.slab, 0, bytes.length)
      this.slab.fill('!')
    })
  }
  fin(): void {
    this.#soon(() => this.reader?.onEnd(this.self))
  }
  /** A reset is not held back: it overtakes what has not been read. */
  reset(): void {
    this.#todo = []
    this.close('peer-reset')
  }
  /** Whatever may be delivered now is. */
  pump(): boolean {
    if (this.#deferred || this.closed) return false
    const next = this.#todo.shift()
    next?.()
    return next !== undefined
  }
  get quiet(): boolean {
    return this.closed || this.#todo.length === 0
  }
  #soon(what: () => void): void {
    this.#todo.push(what)
  }
}
