import { type CloseReason, type Comm, CommError, type Connection, type Listener, type ListenOptions } from '../../comm/index.ts'
import { type Endpoint, endpoint, endpointText } from '../../src/base/index.ts'
import type { ListenParameters } from '../../src/dispatch/index.ts'
import type { OriginalDestination } from '../../comm/nat-lookup/original-destination.ts'

// Listening without a kernel: who listens where, and connections that come when the test says so.

export class FakeComm implements Pick<Comm, 'listen'> {
  readonly open = new Map<string, { readonly options: ListenOptions; readonly call: (connection: Connection) => void }>()
  /** In order: `+` listens, `-` closes. */
  readonly log: string[] = []
  /** Addresses that are in use by others. */
  readonly taken = new Set<string>()
  #port = 40_000

  listen(options: ListenOptions, call: (connection: Connection) => void): Listener {
    const { address, port } = options.endpoint
    const at = endpoint(address, port === 0 ? this.#port++ : port)
    const key = options.device === undefined ? endpointText(at) : `${endpointText(at)} ${options.device}`
    if (this.taken.has(key) || this.open.has(key)) throw new CommError('EADDRINUSE', 'bind', `cannot listen on ${key}: it is in use`)
    this.open.set(key, { options, call })
    this.log.push(`+${key}`)
    return {
      endpoint: at,
      fd: -1,
      pause() {},
      resume() {},
      close: () => {
        if (this.open.delete(key)) this.log.push(`-${key}`)
      },
    }
  }

  /** Somebody connects. */
  arrive(to: string, original: OriginalDestination = { kind: 'direct' }, ends: Partial<Ends> = {}): FakeConnection {
    const connection = new FakeConnection(original, ends)
    const bind = this.open.get(to)
    if (bind === undefined) throw new Error(`nobody listens on ${to}`)
    bind.call(connection as unknown as Connection)
    return connection
  }
}

export interface Ends {
  readonly peer: Endpoint
  readonly local: Endpoint
}

/** The members dispatch and service look at. */
export class FakeConnection {
  static last = 0
  readonly id = ++FakeConnection.last
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly original: OriginalDestination
  readonly protocol = 'tcp'
  bytesRead = 0
  bytesWritten = 0
  closedFor: CloseReason | null = null
  keptAlive = false
  keepAlive = (): void => void (this.keptAlive = true)
  readonly #handlers: ((connection: Connection, why: CloseReason) => void)[] = []

  constructor(original: OriginalDestination = { kind: 'direct' }, ends: Partial<Ends> = {}) {
    this.original = original
    this.peer = ends.peer ?? endpoint('192.0.2.10', 51_234)
    this.local = ends.local ?? endpoint('10.0.0.1', 3129)
  }

  get closed(): boolean {
    return this.closedFor !== null
  }

  addCloseHandler(handler: (connection: Connection, why: CloseReason) => void): void {
    this.#handlers.push(handler)
  }

  close(why: CloseReason = 'done'): void {
    if (this.closed) return
    this.closedFor = why
    for (const handler of this.#handlers.splice(0).reverse()) handler(this as unknown as Connection, why)
  }

  /** Those set, in order. */
  readonly deadlines: number[] = []

  setTimeout(delayMs: number): void {
    this.deadlines.push(delayMs)
  }

  resetClose(why: CloseReason = 'aborted'): void {
    this.close(why)
  }
}

export const usual: ListenParameters = { flags: 0, dualStack: false, backlog: 128, natBackend: 'none' }
