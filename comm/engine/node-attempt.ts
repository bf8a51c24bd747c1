import net from 'node:net'
import { type Endpoint, errnoOf, type MonoMs, ms, type Watched } from '../../src/base/index.ts'
import { type CommError, commError } from '../error.ts'
import type { Attempt, ConnectOptions, EngineHost } from './engine.ts'
import { localOf } from './node-ends.ts'

// A connect in progress: one answer, in a later turn than the question, or none after cancel.

export interface AttemptPlan {
  readonly options: ConnectOptions
  readonly timeoutMs: number
  /** A Connection of ours half-closes and reads when it is told to; anybody else's socket is as Node makes it. */
  readonly ours: boolean
  /** Why it is not even tried. */
  readonly refusal: CommError | null
  /** Must not throw. */
  readonly done: (error: CommError | null, socket: net.Socket | null, local: Endpoint | null) => void
  readonly gone: (attempt: NodeAttempt) => void
}

export class NodeAttempt implements Attempt, Watched {
  readonly bornAt: MonoMs
  deadlineAt = 0 as MonoMs // no deadline
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly #host: EngineHost
  readonly #plan: AttemptPlan
  #socket: net.Socket | null = null
  #over = false

  constructor(host: EngineHost, plan: AttemptPlan) {
    this.bornAt = host.clock.mono()
    this.#host = host
    this.#plan = plan
    host.counters.connects++
    if (plan.refusal !== null) this.#failLater(plan.refusal)
    else this.#begin()
  }

  get options(): ConnectOptions {
    return this.#plan.options
  }

  cancel(): void {
    if (this.#end()) this.#socket?.destroy()
  }

  /** The engine closes. */
  giveUp(): void {
    this.#socket?.destroy()
    this.#failLater(commError('ECANCELED', 'connect', this.#attempted()))
  }

  deadlinePassed(): void {
    this.#host.counters.connectTimeouts++
    this.#fail(commError('ETIMEDOUT', 'connect', this.#attempted()))
  }

  #begin(): void {
    const { options, timeoutMs, ours } = this.#plan
    const { target, source } = options
    const socket = new net.Socket({ allowHalfOpen: ours })
    this.#socket = socket
    this.#host.budget.opened()
    socket.once('close', () => this.#host.budget.closed())
    socket.on('error', this.#broke)
    if (ours) socket.pause()
    socket.setNoDelay(true)
    socket.once('connect', () => this.#connected(socket))
    socket.connect({
      host: target.address,
      port: target.port,
      family: target.family,
      autoSelectFamily: false,
      ...(source === undefined ? {} : { localAddress: source.address }),
      ...(source === undefined || source.port === 0 ? {} : { localPort: source.port }),
    })
    if (timeoutMs > 0) this.#host.deadlines.set(this, ms(timeoutMs))
  }

  readonly #broke = (error: Error): void => this.#fail(commError(errnoOf(error), syscallOf(error), this.#attempted()))

  #connected(socket: net.Socket): void {
    const local = localOf(socket)
    if (local === null) return this.#fail(commError('ECONNRESET', 'getsockname', this.#attempted()))
    if (!this.#end()) return
    socket.removeListener('error', this.#broke)
    this.#plan.done(null, socket, local)
  }

  #failLater(error: CommError): void {
    process.nextTick(() => this.#fail(error))
  }

  #fail(error: CommError): void {
    if (!this.#end()) return
    this.#host.counters.connectFailures++
    this.#socket?.destroy()
    this.#plan.done(error, null, null)
  }

  #end(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#host.deadlines.forget(this)
    this.#plan.gone(this)
    return true
  }

  #attempted() {
    const { target, source } = this.options
    return { doing: 'connect', endpoint: target, ...(source === undefined ? {} : { source }) } as const
  }
}

const syscallOf = (error: Error): string =>
  'syscall' in error && typeof error.syscall === 'string' ? error.syscall : 'connect'
