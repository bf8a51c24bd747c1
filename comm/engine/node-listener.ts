import net from 'node:net'
import { type Endpoint, errnoOf, type MonoMs } from '../../src/base/index.ts'
import { CommError, commError } from '../error.ts'
import type { Pausable } from '../fd-budget.ts'
import { COMM_REUSEPORT, type EngineHost, type Listener, type ListenOptions } from './engine.ts'

// A listening port over net.Server. Node accepts whatever comes and cannot be told to stop, so a pause is played:
// a few connections wait with us instead of in the kernel, the rest are reset.

/** Each costs a descriptor, out of the reserve that fd-budget keeps. */
const heldMax = 64

const outOfDescriptors: readonly string[] = ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']

export interface ListenerOwner {
  arrived(socket: net.Socket): void
  gone(): void
}

export class NodeListener implements Listener, Pausable {
  readonly endpoint: Endpoint
  readonly fd: number
  readonly note: string
  readonly bornAt: MonoMs
  readonly #host: EngineHost
  readonly #server: net.Server
  readonly #owner: ListenerOwner
  readonly #held: net.Socket[] = []
  #paused = false
  #pausedByBudget = false
  #closed = false

  /** Throws CommError. */
  constructor(host: EngineHost, options: ListenOptions, owner: ListenerOwner) {
    this.#host = host
    this.#owner = owner
    this.note = options.note
    this.bornAt = host.clock.mono()

    const bound = bind(options)
    this.fd = bound.fd()
    this.endpoint = { ...options.endpoint, port: bound.address().port }
    this.#server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true })
    this.#server.on('connection', socket => this.#arrived(socket))
    this.#server.on('error', error => this.#acceptFailed(errnoOf(error)))
    this.#server.listen(bound, options.backlog)
    // Node tells the failure of listen(2) later, as an event; by now the socket is closed again, and there is but one
    // reason: another socket was bound to the port like ours, and has begun to listen first
    if (!this.#server.listening) {
      this.#closed = true
      throw commError('EADDRINUSE', 'listen', { doing: 'listen', endpoint: options.endpoint })
    }
    host.budget.opened()
    host.budget.add(this)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#release()
  }

  pauseForBudget(): void {
    this.#pausedByBudget = true
  }

  resumeFromBudget(): void {
    this.#pausedByBudget = false
    this.#release()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const socket of this.#held.splice(0)) socket.resetAndDestroy()
    this.#server.close()
    this.#host.budget.remove(this)
    this.#host.budget.closed()
    this.#owner.gone()
  }

  #arrived(socket: net.Socket): void {
    const { budget } = this.#host
    const fits = budget.acceptable > 0 // asked first: the one that takes the last place has it
    budget.opened()
    socket.once('close', () => budget.closed())
    socket.on('error', quiet) // nobody else listens while it is held, or being reset
    if (this.#closed || !fits || (this.#paused && this.#held.length >= heldMax)) {
      socket.resetAndDestroy()
    } else if (this.#paused) this.#held.push(socket)
    else this.#owner.arrived(socket)
  }

  #release(): void {
    process.nextTick(() => {
      while (!this.#paused && !this.#pausedByBudget) {
        const socket = this.#held.shift()
        if (socket === undefined) return
        this.#owner.arrived(socket)
      }
    })
  }

  #acceptFailed(errno: string): void {
    if (this.#closed) return // that of listen(2), already told
    if (outOfDescriptors.includes(errno)) this.#host.budget.acceptFailed(errno)
    else this.#host.counters.acceptErrors++
  }
}

const quiet = (): void => {}

const bind = ({ endpoint, flags, dualStack, handedIn }: ListenOptions): net.BoundSocket => {
  if (handedIn !== undefined) throw commError('ENOTSUP', 'listen', { doing: 'listen', endpoint })
  if (net.BoundSocket === undefined) {
    throw new CommError('ENOTSUP', 'bind', 'without the addon, listening needs Node 26.4 or newer')
  }
  try {
    return new net.BoundSocket({
      host: endpoint.address,
      port: endpoint.port,
      ipv6Only: endpoint.family === 6 && !dualStack,
      reusePort: (flags & COMM_REUSEPORT) !== 0,
    })
  } catch (error) {
    throw commError(errnoOf(error), 'bind', { doing: 'listen', endpoint })
  }
}
