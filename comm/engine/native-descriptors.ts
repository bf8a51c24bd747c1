import { readable, writable } from '../../native/index.ts'
import { assert, Bug, type MonoMs, ms, type Watched } from '../../src/base/index.ts'
import { type Descriptors, type FdEntry, type OpenOptions } from './engine.ts'
import type { NativeEngine } from './native.ts'

// Bare descriptors with Lusca's calls. Handlers are one shot: the slot is empty when the handler runs.

type Ready = (fd: number) => void

class PlainDescriptor implements Watched {
  readonly fd: number
  readonly options: OpenOptions
  readonly openedAt: number
  readonly #owner: NativeDescriptors
  onReadable: Ready | null = null
  onWritable: Ready | null = null
  onTimeout: Ready | null = null
  deferred = false
  readonly closeHandlers: Ready[] = []
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null

  constructor(owner: NativeDescriptors, fd: number, options: OpenOptions, openedAt: number) {
    this.#owner = owner
    this.fd = fd
    this.options = options
    this.openedAt = openedAt
  }

  get mask(): number {
    return (this.onReadable !== null && !this.deferred ? readable : 0) | (this.onWritable === null ? 0 : writable)
  }

  deadlinePassed(): void {
    this.#owner.timedOut(this)
  }
}

export class NativeDescriptors implements Descriptors {
  readonly #engine: NativeEngine
  readonly #open = new Map<number, PlainDescriptor>()

  constructor(engine: NativeEngine) {
    this.#engine = engine
  }

  open(options: OpenOptions): number {
    const fd = this.#engine.openPlain(options)
    this.#open.set(fd, new PlainDescriptor(this, fd, options, this.#engine.seconds()))
    return fd
  }

  adopt(fd: number, note: string): void {
    const { host, native } = this.#engine
    assert(native.select(fd, 0) === 0, 'a descriptor the engine can watch')
    host.budget.opened()
    const options: OpenOptions = { type: 'tcp', endpoint: { family: 4, address: '0.0.0.0', port: 0 }, flags: 0, note }
    this.#open.set(fd, new PlainDescriptor(this, fd, options, this.#engine.seconds()))
  }

  setSelect(fd: number, which: number, ready: Ready | null): void {
    assert(which !== 0 && (which & ~(readable | writable)) === 0, 'COMM_SELECT_READ, COMM_SELECT_WRITE or both')
    const found = this.#get(fd)
    if (which & readable) found.onReadable = ready
    if (which & writable) found.onWritable = ready
    this.#arm(found)
  }

  setTimeout(fd: number, delayMs: number, passed: Ready | null): void {
    const found = this.#get(fd)
    found.onTimeout = passed
    const { deadlines } = this.#engine.host
    if (delayMs > 0) deadlines.set(found, ms(delayMs))
    else deadlines.clear(found)
  }

  addCloseHandler(fd: number, handler: Ready): void {
    const { closeHandlers } = this.#get(fd)
    assert(!closeHandlers.includes(handler), 'a close handler is added once')
    closeHandlers.push(handler)
  }

  deferRead(fd: number): void {
    const found = this.#get(fd)
    found.deferred = true
    this.#arm(found)
  }

  resumeRead(fd: number): void {
    const found = this.#get(fd)
    found.deferred = false
    this.#arm(found)
  }

  close(fd: number): void {
    this.#close(fd, false)
  }

  resetClose(fd: number): void {
    this.#close(fd, true)
  }

  closeAll(): void {
    for (const fd of [...this.#open.keys()]) this.#close(fd, false)
  }

  /** From the engine: what it was armed for. */
  ready(fd: number, mask: number): void {
    const found = this.#open.get(fd)
    if (found === undefined) return
    const onReadable = mask & readable && !found.deferred ? found.onReadable : null
    const onWritable = mask & writable ? found.onWritable : null
    if (onReadable !== null) found.onReadable = null
    if (onWritable !== null) found.onWritable = null
    if (onReadable !== null) this.#call(onReadable, found)
    if (onWritable !== null && this.#open.get(fd) === found) this.#call(onWritable, found)
    if (this.#open.get(fd) === found && found.mask !== 0) this.#arm(found)
  }

  timedOut(found: PlainDescriptor): void {
    const { onTimeout } = found
    found.onTimeout = null
    if (onTimeout === null) this.#close(found.fd, false)
    else this.#call(onTimeout, found)
  }

  entries(): readonly FdEntry[] {
    const engine = this.#engine
    return Array.from(this.#open.values(), ({ fd, options, openedAt, deadlineAt }) => ({
      fd,
      kind: 'plain',
      peer: null,
      local: engine.localOf(fd),
      note: options.note,
      bytesRead: 0,
      bytesWritten: 0,
      ageMs: (engine.seconds() - openedAt) * 1000,
      deadlineMs: engine.deadlineMs(deadlineAt),
    }))
  }

  #call(handler: Ready, found: PlainDescriptor): void {
    let threw = true
    this.#engine.guarded(null, () => {
      handler(found.fd)
      threw = false
    })
    if (threw) this.#close(found.fd, true)
  }

  #arm(found: PlainDescriptor): void {
    this.#engine.native.select(found.fd, found.mask)
  }

  #get(fd: number): PlainDescriptor {
    const found = this.#open.get(fd)
    if (found === undefined) throw new Bug(`descriptor ${fd} was not opened here, or is closed`)
    return found
  }

  #close(fd: number, reset: boolean): void {
    const found = this.#open.get(fd)
    if (found === undefined) return // closed before
    this.#open.delete(fd)
    const engine = this.#engine
    engine.host.deadlines.forget(found)
    engine.native.doom(fd, reset ? 1 : 0)
    engine.host.budget.closed()
    engine.later(() => {
      for (const handler of found.closeHandlers.toReversed()) engine.guarded(null, () => handler(fd))
    })
  }
}
