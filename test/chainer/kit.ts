import type net from 'node:net'
import { type Comm, CommError, type ConnectOptions, createComm } from '../../comm/index.ts'
import { type Endpoint, endpoint, type ProxyError } from '../../src/base/index.ts'
import {
  type Chainer,
  createConnectChainer,
  createOriginPool,
  type Dialer,
  type OriginFetch,
  type OriginHandler,
  type OriginLimits,
  type OriginPool,
  type OriginRequest,
} from '../../src/chainer/index.ts'
import type { Tries } from '../../src/chainer/dial.ts'
import type { Fields } from '../../src/http/index.ts'
import type { Route } from '../../src/router/index.ts'
import type { Session } from '../../src/service/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { heard, rawOrigin } from '../support/origin.ts'

// A chainer over real sockets and a clock that stands still.

export const engines = ['node', ...(nativeThere() ? (['native'] as const) : [])] as ('node' | 'native')[]

function nativeThere(): boolean {
  const comm = createComm({ clock: new FakeClock(), engine: 'auto' })
  comm.close()
  return comm.engine === 'native'
}

export interface Bench {
  readonly comm: Comm
  readonly clock: FakeClock
  readonly pool: OriginPool
  readonly chainer: Chainer
  /** Every dial, as comm was asked for it. */
  readonly dials: ConnectOptions[]
  /** The time each dial was given. */
  readonly timeouts: number[]
  /** Dials of a silent bench that are waiting. */
  readonly hanging: number
  /** Ends them. */
  giveUp(errno: string): void
  /** What went wrong where nobody listens. Empty at the end of a good test. */
  readonly bugs: unknown[]
  close(): void
}

export interface BenchOptions extends Partial<Tries> {
  readonly engine?: 'node' | 'native'
  readonly limits?: Partial<OriginLimits>
  /** Dials hang until `giveUp`. */
  readonly silent?: boolean
  /** Marks and TOS are asked for, but not set. */
  readonly strip?: boolean
  /** Answers instead of the kernel; undefined = the kernel does. */
  readonly refuses?: (options: ConnectOptions) => CommError | undefined
}

export const openBench = (options: BenchOptions = {}): Bench => {
  const { engine = 'node', limits = {}, strip = false, silent = false, refuses, ...tries } = options
  const clock = new FakeClock()
  const bugs: unknown[] = []
  const failed = (error: unknown) => bugs.push(error)
  const comm = createComm({ clock, engine, onFailure: failed })
  const dials: ConnectOptions[] = []
  const timeouts: number[] = []
  const hanging = new Set<(error: CommError) => void>()
  const dialer: Dialer = {
    dial(wanted, timeoutMs, done) {
      dials.push(wanted)
      timeouts.push(timeoutMs)
      if (silent) {
        const end = (error: CommError) => done(error, null)
        hanging.add(end)
        return { cancel: () => void hanging.delete(end) }
      }
      const refusal = refuses?.(wanted)
      if (refusal !== undefined) {
        let over = false
        queueMicrotask(() => over || done(refusal, null))
        return { cancel: () => void (over = true) }
      }
      // loopback is all our own, so a foreign source needs no powers here; what was asked is in `dials`
      const { mark, tos, ...rest } = wanted
      return comm.dial({ ...(strip ? rest : wanted), flags: 0 }, timeoutMs, done)
    },
  }
  const pool = createOriginPool({ comm: dialer, clock, limits, failed })
  const chainer = createConnectChainer({ comm: dialer, clock, pool, ...tries })
  return {
    ...{ comm, clock, pool, chainer, dials, timeouts, bugs },
    get hanging() {
      return hanging.size
    },
    giveUp(errno) {
      const ends = [...hanging]
      hanging.clear()
      for (const end of ends) end(new CommError(errno, 'connect', `given up: ${errno}`))
    },
    close: () => (pool.close(), comm.close()),
  }
}

export const routeTo = (port: number, more: Partial<Route> & { readonly address?: string } = {}): Route => {
  const { address = '127.0.0.1', ...rest } = more
  return {
    target: endpoint(address, port),
    source: null,
    forged: false,
    mark: undefined,
    tos: undefined,
    hierarchy: 'ORIGINAL_DST',
    ...rest,
  }
}

export const forgedBy = (address: string): Partial<Route> => ({ source: endpoint(address, 0), forged: true })

/** Only what the chainer writes is looked at. */
export const anySession = (): Session => ({ client: { protocol: 'tcp' }, server: null, serverLocal: null }) as unknown as Session

export const get = (target = '/', more: Partial<OriginRequest> = {}): OriginRequest => ({
  method: 'GET',
  target,
  pairs: ['Host', 'origin.example'],
  content: null,
  contentLength: undefined,
  idempotent: true,
  ...more,
})

export const post = (content: OriginRequest['content'], more: Partial<OriginRequest> = {}): OriginRequest =>
  get('/', { method: 'POST', content, idempotent: false, ...more })

/** What a fetch said, and moments to wait for. */
export class Heard implements OriginHandler {
  readonly events: string[] = []
  readonly connected: { server: Endpoint; local: Endpoint | null; reused: boolean; route: Route }[] = []
  readonly interim: [number, readonly string[]][] = []
  status = 0
  reason = ''
  pairs: readonly string[] = []
  trailers: readonly string[] = []
  chunks: Buffer[] = []
  bytes = 0
  error: ProxyError | null = null
  ended = false
  /** Chunks that are taken before the handler says stop. */
  appetite = Number.POSITIVE_INFINITY
  keep = true
  fetch: OriginFetch | null = null
  #watchers: { readonly when: () => boolean; readonly done: () => void }[] = []

  onConnected(server: Endpoint, local: Endpoint | null, route: Route, reused: boolean): void {
    this.connected.push({ server, local, reused, route })
    this.#happened('connected')
  }
  onInterim(status: number, pairs: readonly string[]): void {
    this.interim.push([status, pairs])
    this.#happened('interim')
  }
  onHead(status: number, reason: string, fields: Fields): void {
    this.status = status
    this.reason = reason
    this.pairs = fields.pairs
    this.#happened('head')
  }
  onData(chunk: Buffer): boolean {
    if (this.keep) this.chunks.push(Buffer.from(chunk))
    this.bytes += chunk.length
    this.#happened('data')
    return --this.appetite > 0
  }
  onEnd(trailers: readonly string[]): void {
    this.trailers = trailers
    this.ended = true
    this.#happened('end')
  }
  onError(error: ProxyError): void {
    this.error = error
    this.#happened('error')
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }

  get over(): boolean {
    return this.ended || this.error !== null
  }

  until(when: () => boolean): Promise<void> {
    if (when()) return Promise.resolve()
    return new Promise(done => this.#watchers.push({ when, done }))
  }

  /** Resolves when it ended well; throws what it failed with. */
  async whole(): Promise<this> {
    await this.until(() => this.over)
    if (this.error !== null) throw this.error
    return this
  }

  /** Resolves with what it failed with. */
  async failure(): Promise<ProxyError> {
    await this.until(() => this.over)
    if (this.error === null) throw new Error(`it did not fail: ${this.status} ${this.text}`)
    return this.error
  }

  #happened(event: string): void {
    if (this.over && event !== 'end' && event !== 'error') throw new Error(`${event} after the end`)
    this.events.push(event)
    const ready = this.#watchers.filter(watcher => watcher.when())
    this.#watchers = this.#watchers.filter(watcher => !ready.includes(watcher))
    for (const watcher of ready) watcher.done()
  }
}

export const ask = (bench: Bench, routes: Route | readonly Route[], request: OriginRequest = get(), handler = new Heard()): Heard => {
  handler.fetch = bench.chainer.fetch(anySession(), Array.isArray(routes) ? routes : [routes as Route], request, handler)
  return handler
}

/** A pause of whole event-loop turns, for "nothing more happens": no time is waited for. */
export const turns = async (count = 5): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise<void>(done => setImmediate(done))
}

/** Opens what a test needs and closes it after the test; bugs that nobody else hears of fail it. */
export class Opened {
  readonly #close: (() => unknown)[] = []

  bench(options: BenchOptions = {}): Bench {
    const made = openBench(options)
    this.#close.push(() => {
      made.close()
      if (made.bugs.length > 0) throw made.bugs[0]
    })
    return made
  }

  async origin(script: (socket: net.Socket, nth: number) => unknown, host?: string): Promise<Awaited<ReturnType<typeof rawOrigin>>> {
    const made = await rawOrigin(script, host)
    this.#close.push(() => made.close())
    return made
  }

  /** Answers every request, on every connection. */
  answering(answer: string | Buffer = ok): Promise<Awaited<ReturnType<typeof rawOrigin>>> {
    return this.origin(async socket => {
      while ((await heard(socket).catch(() => null)) !== null) socket.write(answer)
    })
  }

  later(close: () => unknown): void {
    this.#close.push(close)
  }

  async closeAll(): Promise<void> {
    for (const close of this.#close.splice(0).reverse()) await close()
  }
}

export const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'
