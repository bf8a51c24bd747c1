import net from 'node:net'
import type { Endpoint, MonoMs, Watched } from '../../src/base/index.ts'
import { type CommError, commError } from '../error.ts'
import { direct } from '../nat-lookup/index.ts'
import type { Attempt, ConnectDone, ConnectOptions, FdEntry, SocketDone } from './engine.ts'
import type { NativeEngine } from './native.ts'
import { NativeConnection } from './native-connection.ts'

// A connect in progress. Whatever happens first (connected, refused, too late, given up) is told once; nothing after.

export abstract class Dial implements Attempt, Watched {
  fd = -1
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly options: ConnectOptions
  protected readonly engine: NativeEngine
  readonly #openedAt: number
  #over = false

  constructor(engine: NativeEngine, options: ConnectOptions) {
    this.engine = engine
    this.options = options
    this.#openedAt = engine.turnSeconds()
  }

  protected abstract tellFailure(error: CommError): void
  protected abstract tellConnected(fd: number, local: Endpoint): void

  /** The engine has taken it out of its table and its deadline from the wheel. */
  connected(local: Endpoint): void {
    if (this.#over) return
    this.#over = true
    const { fd } = this
    this.fd = -1
    this.tellConnected(fd, local)
  }

  fail(error: CommError): void {
    if (this.#over) return
    this.#over = true
    this.engine.host.counters.connectFailures++
    this.engine.guarded(null, () => this.tellFailure(error))
  }

  /** Found before anything was sent; told in a later turn all the same, as callers expect. */
  failLater(error: CommError): void {
    this.engine.later(() => this.fail(error))
  }

  cancel(): void {
    this.#over = true
    this.engine.forgetDial(this)
  }

  /** The engine closes. */
  giveUp(): void {
    this.engine.forgetDial(this)
    this.failLater(commError('ECANCELED', 'connect', { doing: 'connect', endpoint: this.options.target }))
  }

  deadlinePassed(): void {
    this.engine.host.counters.connectTimeouts++
    this.engine.forgetDial(this)
    this.fail(commError('ETIMEDOUT', 'connect', { doing: 'connect', endpoint: this.options.target }))
  }

  entry(): FdEntry {
    return {
      fd: this.fd,
      kind: 'connecting',
      peer: this.options.target,
      local: this.options.source ?? null,
      note: this.options.note,
      bytesRead: 0,
      bytesWritten: 0,
      ageMs: (this.engine.seconds() - this.#openedAt) * 1000,
      deadlineMs: this.engine.deadlineMs(this.deadlineAt),
    }
  }
}

export class ConnectionDial extends Dial {
  readonly #done: ConnectDone

  constructor(engine: NativeEngine, options: ConnectOptions, done: ConnectDone) {
    super(engine, options)
    this.#done = done
  }

  protected tellFailure(error: CommError): void {
    this.#done(error, null)
  }

  protected tellConnected(fd: number, local: Endpoint): void {
    const { engine, options } = this
    const id = engine.host.nextId()
    const connection = new NativeConnection(engine, id, fd, options.target, local, direct, options.note, engine.turnSeconds())
    engine.native.adopt(fd)
    engine.place(connection)
    engine.readLater(connection)
    engine.guarded(connection, () => this.#done(null, connection))
  }
}

export class SocketDial extends Dial {
  readonly #done: SocketDone

  constructor(engine: NativeEngine, options: ConnectOptions, done: SocketDone) {
    super(engine, options)
    this.#done = done
  }

  protected tellFailure(error: CommError): void {
    this.#done(error, null, null)
  }

  /** Node's event loop watches the descriptor from here on, and closes it. */
  protected tellConnected(fd: number, local: Endpoint): void {
    const { engine, options } = this
    const socket = new net.Socket({ fd, readable: true, writable: true })
    engine.native.release(fd)
    engine.handOver(fd, socket, options, local)
    try {
      this.#done(null, socket, local)
    } catch (error) {
      socket.destroy()
      throw error // reported by the engine, once
    }
  }
}
