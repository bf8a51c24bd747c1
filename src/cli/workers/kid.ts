import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Clock, type DurationMs, ms } from '../../base/index.ts'
import { Line } from './line.ts'
import type { Done, Order, Wish } from './messages.ts'
import { Pulse } from './pulse.ts'

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
  /** Its event loop does not turn any more. */
  readonly hangs: (kid: Kid) => void
}

/** Opening a large cache_dir takes its time. */
const startMsMax = ms(10 * 60_000)
/** For the core of one that hangs, where there may be one. */
const coreMsMax = ms(10_000)
/** Orders after which it does nothing else for a while: it compiles. */
const absorbing: readonly Order['kind'][] = ['check', 'adopt', 'revert']

export class Kid {
  readonly number: number
  readonly pid: number
  /** It has started and serves. */
  ready = false
  over = false
  readonly #process: ChildProcess
  readonly #clock: Clock
  readonly #line: Line<Order, Wish>
  readonly #host: KidHost
  #pulse: Pulse | null = null
  #absorbed = 0

  constructor(number: number, host: KidHost) {
    this.number = number
    const program = fileURLToPath(new URL(`worker-main${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url))
    const child = fork(program, [String(number), String(host.count)], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', host.changesFd < 0 ? 'ignore' : host.changesFd, ...host.handedInFds],
    })
    this.#process = child
    this.#clock = host.clock
    this.#host = host
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
      this.#pulse?.stop()
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
  async ask(order: Order, patience: DurationMs): Promise<unknown> {
    const absorbs = absorbing.includes(order.kind)
    if (absorbs) this.#absorbed++
    const answer = await this.#line.ask(order, patience)
    if (absorbs) this.#absorbed--
    return answer
  }

  /** Its event loop turns: it has said so within `patience`. */
  async answers(patience: DurationMs): Promise<boolean> {
    return (await this.#line.ask({ kind: 'alive' }, patience)) !== null
  }

  /** It is asked from now on whether it lives; 0: no more. */
  watch(timeoutMs: number): void {
    if (this.#pulse !== null) {
      this.#pulse.timeoutMs = timeoutMs
      return
    }
    const kid = this
    const asked = {
      // one that has gone does not hang
      answers: async (patience: DurationMs) => (await this.answers(patience)) || this.#line.gone,
      get occupied() {
        return kid.#absorbed > 0
      },
    }
    this.#pulse = new Pulse(asked, this.#clock, timeoutMs, () => this.#host.hangs(this))
  }

  /** One that hangs leaves a core where that is allowed (coredump_dir); one that is stopped does not even hear that. */
  abort(): void {
    if (this.over) return
    this.#process.kill('SIGABRT')
    this.#clock.after(coreMsMax, () => this.kill(), { unref: true })
  }

  kill(): void {
    if (!this.over) this.#process.kill('SIGKILL')
  }
}
