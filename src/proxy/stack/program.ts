import { type ChildProcess, spawn } from 'node:child_process'
import type net from 'node:net'
import type { Connection, PairEnds } from '../../../comm/index.ts'
import { type Clock, type DurationMs, ms, type Timer } from '../../base/index.ts'
import { CountStack } from './counters.ts'

// A program in the middle of a session (Zorp's stacking, `fd 0/1 data, fd 3 control`).
//
//   fd 0  the side the payload comes from     both are sockets: a program may also answer on 0 and read on 1
//   fd 1  the side it goes to
//   fd 3  control, lines: SETVERDICT accept|reject|drop|error [text] from the program
//
// Whatever it does, it harms nobody but its own session: it has a process group that ends with the session, a time for
// its first word, and what it says on the control channel is limited.

export type Verdict = 'accept' | 'reject' | 'drop' | 'error'

export interface ProgramDeps {
  readonly clock: Clock
  /** A pipe as a connection. */
  readonly adoptPipe: (socket: net.Socket, ends: PairEnds, note: string) => Connection
  /** For cache_log; limited by the receiver. */
  readonly complain: (text: string) => void
  /** Those that have not ended; kept here. */
  readonly running: Set<StackedProgram>
}

export interface ProgramOptions {
  /** The stack line's name. */
  readonly name: string
  /** For /bin/sh. */
  readonly command: string
  /** Until its first byte or its verdict; Infinity = for ever. */
  readonly timeout: DurationMs
  /** Beside our own. */
  readonly environment: Readonly<Record<string, string>>
}

export interface ProgramUser {
  /**
   * Bytes that come before any are an `accept`. After an `accept` the program may still change its mind, once. One that
   * fails before it has said anything says `error`.
   */
  onVerdict(verdict: Verdict, text: string): void
  /** It has accepted, or it has ended: mayEnd may answer otherwise now. */
  onSettled(): void
}

/** In all: each is a process and three descriptors of ours. */
const programsMax = 256

const controlBytesMax = 4096
/** To end by itself after its pipes are closed, and again after SIGTERM. */
const grace = ms(5000)

const words: Readonly<Record<string, Verdict>> = {
  accept: 'accept', z_accept: 'accept',
  reject: 'reject', z_reject: 'reject',
  drop: 'drop', z_drop: 'drop',
  error: 'error', z_error: 'error',
}

export class StackedProgram {
  /** fd 0 and fd 1 of the program, seen from here. */
  readonly input: Connection
  readonly output: Connection
  readonly #deps: ProgramDeps
  readonly #options: ProgramOptions
  readonly #user: ProgramUser
  readonly #child: ChildProcess
  readonly #control: net.Socket
  #said = ''
  #decided = false
  #refused = false
  /** The session is over: nobody listens any more. */
  #over = false
  #ended = false
  #patience: Timer | null = null
  #killer: Timer | null = null
  #afterExit: (() => void) | null = null

  /** Null: it could not be started, which has been told. */
  static start(deps: ProgramDeps, options: ProgramOptions, ends: PairEnds, user: ProgramUser): StackedProgram | null {
    if (deps.running.size >= programsMax) {
      CountStack.full++
      deps.complain(`stack ${options.name}: ${programsMax} programs are running already`)
      return null
    }
    // Node's pipes are sockets, but only those above 2 are both read and written from this side
    const child = spawn('/bin/sh', ['-c', `exec 0<&4 1>&5 4<&- 5>&-\n${options.command}`], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, ...options.environment },
    })
    const pipes: readonly unknown[] = child.stdio ?? [] // absent when there was no descriptor for them
    if (child.pid !== undefined && pipes.length === 6) return new StackedProgram(deps, options, ends, user, child)
    CountStack.failed++
    child.on('error', error => deps.complain(`stack ${options.name}: ${error.message}`))
    for (const pipe of pipes) (pipe as net.Socket | null)?.destroy()
    return null
  }

  private constructor(deps: ProgramDeps, options: ProgramOptions, ends: PairEnds, user: ProgramUser, child: ChildProcess) {
    this.#deps = deps
    this.#options = options
    this.#user = user
    this.#child = child
    deps.running.add(this)
    CountStack.programs++
    child.on('error', error => this.#exited(error.message))
    child.on('exit', (code, signal) => this.#exited(code === 0 ? '' : code === null ? `ended by ${signal}` : `ended with ${code}`))
    // spawned as pipes; Node's types know of five
    const pipe = (fd: number): net.Socket => (child.stdio as readonly unknown[])[fd] as net.Socket
    this.#control = pipe(3)
    this.input = deps.adoptPipe(pipe(4), ends, `stack ${options.name} 0`)
    this.output = deps.adoptPipe(pipe(5), ends, `stack ${options.name} 1`)
    this.#control.on('data', (piece: Buffer) => this.#heard(piece))
    this.#control.on('error', () => {}) // its end is told by 'exit'
    if (Number.isFinite(options.timeout)) {
      this.#patience = deps.clock.after(options.timeout, () => this.#fail('said nothing in time'))
    }
  }

  /** The first byte of the payload is there: whoever passes payload on has accepted it. */
  spoke(): void {
    if (!this.#decided) this.#decide('accept', '')
  }

  /**
   * The end of its output: is it the end of the payload? What fails ends its output, too, and only its exit code tells.
   * One that works in both directions may end a half and live on, once it has begun.
   */
  mayEnd(bothWays: boolean): boolean {
    return this.#ended || (bothWays && this.#decided)
  }

  /**
   * Its pipes broke before it had said anything: why, is known when it has ended, which is now. `told` comes after the
   * verdict, if there is one.
   */
  broken(told: () => void): void {
    if (this.#ended || this.#decided) return told()
    this.#afterExit = told
    this.#signal('SIGKILL')
  }

  /** The session is over. The program has a while to end by itself. */
  stop(): void {
    this.#over = true
    this.#patience?.cancel()
    this.input.close()
    this.output.close()
    this.#control.destroy()
    if (this.#ended || this.#killer !== null) return
    this.#killer = this.#deps.clock.after(grace, () => {
      this.#signal('SIGTERM')
      this.#killer = this.#deps.clock.after(grace, () => {
        CountStack.killed++
        this.#signal('SIGKILL')
      })
    })
  }

  /** The process ends: at once. */
  kill(): void {
    this.stop()
    this.#killer?.cancel()
    this.#signal('SIGKILL')
  }

  #heard(piece: Buffer): void {
    this.#said += piece.toString('latin1')
    for (let end = this.#said.indexOf('\n'); end >= 0; end = this.#said.indexOf('\n')) {
      this.#line(this.#said.slice(0, end).trimEnd())
      this.#said = this.#said.slice(end + 1)
    }
    if (this.#said.length <= controlBytesMax) return
    this.#control.destroy()
    this.#fail('floods its control channel')
  }

  #line(line: string): void {
    const found = /^SETVERDICT +(\S+) *(.*)$/.exec(line)
    const verdict = found === null ? undefined : words[(found[1] ?? '').toLowerCase()]
    if (verdict === undefined) return this.#fail(`said '${line.slice(0, 80)}' on its control channel`)
    if (this.#refused || this.#over || (this.#decided && verdict === 'accept')) return
    if (verdict !== 'accept') CountStack.refused++
    this.#decide(verdict, printable(found?.[2] ?? ''))
  }

  #decide(verdict: Verdict, text: string): void {
    this.#decided = true
    this.#refused = verdict !== 'accept'
    this.#patience?.cancel()
    this.#user.onVerdict(verdict, text)
    if (!this.#refused) this.#user.onSettled()
  }

  #exited(why: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#deps.running.delete(this)
    this.#patience?.cancel()
    this.#killer?.cancel()
    this.#signal('SIGKILL') // whom it has left behind in its group
    if (why !== '') this.#fail(why)
    else if (!this.#over) this.#user.onSettled()
    this.#afterExit?.()
    this.#afterExit = null
  }

  /** Before its verdict the session is refused for it; later its pipes end, and the session with them. */
  #fail(why: string): void {
    if (this.#over) return
    CountStack.failed++
    this.#deps.complain(`stack ${this.#options.name}: the program ${why}`)
    if (!this.#decided) this.#decide('error', why)
    else {
      this.input.resetClose()
      this.output.resetClose()
    }
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.#child
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch {
      // the group has ended by itself
    }
  }
}

const printable = (text: string): string => text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?')
