import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Clock, type DurationMs, ms } from '../../base/index.ts'
import { Line } from './line.ts'
import type { Done, Order, Wish } from './messages.ts'

// One worker process as the supervisor sees it, from its start to its end. Which of them runs when is the supervisor's.

export interface KidHost {
  readonly clock: Clock
  /** Of the page with what has been invalidated; -1: there is none. */
  readonly changesFd: number
  /** Sockets for the ports, which it has from `firstHandedInFd` on. */
  readonly handedInFds: readonly number[]
  readonly count: number
  readonly answer: (kid: Kid, wish: Wish) => Promise<unknown>
  readonly ended: (kid: Kid, how: string) => void
}

/** Opening a large cache_dir takes its time. */
const startMsMax = ms(10 * 60_000)

export class Kid {
  readonly number: number
  readonly pid: number
  /** It has started and serves. */
  ready = false
  over = false
  readonly #process: ChildProcess
  readonly #line: Line<Order, Wish>

  constructor(number: number, host: KidHost) {
    this.number = number
    const program = fileURLToPath(new URL(`worker-main${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url))
    const child = fork(program, [String(number), String(host.count)], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', host.changesFd < 0 ? 'ignore' : host.changesFd, ...host.handedInFds],
    })
    this.#process = child
    this.pid = child.pid ?? 0
    this.#line = new Line<Order, Wish>(
      {
        send: (message, done) => void child.send(message as object, done),
        onMessage: heard => void child.on('message', heard),
        onGone: heard => void child.on('disconnect', heard),
      },
      host.clock,
      wish => host.answer(this, wish),
    )
    const ended = (how: string) => {
      if (this.over) return
      this.over = true
      this.ready = false
      host.ended(this, how)
    }
    child.once('error', error => ended(`could not be started: ${error.message}`))
    child.once('exit', (code, signal) => ended(signal === null ? `ended with code ${code ?? 0}` : `died of ${signal}`))
  }

  async start(order: Extract<Order, { kind: 'start' }>): Promise<Done> {
    const done = (await this.#line.ask(order, startMsMax)) as Done | null
    if (done?.ok === true) this.ready = true
    return done ?? { ok: false, said: 'it ended, or does not answer' }
  }

  /** Null: it did not answer within `patience`, or has gone. */
  ask(order: Order, patience: DurationMs): Promise<unknown> {
    return this.#line.ask(order, patience)
  }

  kill(): void {
    if (!this.over) this.#process.kill('SIGKILL')
  }
}
