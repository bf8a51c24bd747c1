import { type ChildProcess, spawn } from 'node:child_process'
import type { CloseReason, Connection, ConnectionReader } from '../../../comm/index.ts'
import { type Clock, type DurationMs, type Endpoint, endpointText, ms, type Timer } from '../../base/index.ts'
import type { Dialer } from '../dial.ts'

// One question to one target. It is answered once, within its time, or was cancelled; nothing of it stays behind.

/** '' = up; otherwise why not. */
export type CheckDone = (why: string) => void

export interface Checking {
  cancel(): void
}

export type Check = (target: Endpoint, timeout: DurationMs, done: CheckDone) => Checking

/** It accepts connections. */
export const tcpCheck =
  (comm: Dialer): Check =>
  (target, timeout, done) =>
    comm.dial({ target, flags: 0, note: 'check' }, timeout, (error, connection) => {
      connection?.resetClose('done')
      done(error === null ? '' : error.message)
    })

/** It answers a GET with 2xx or 3xx. */
export const httpCheck =
  (comm: Dialer, path: string): Check =>
  (target, timeout, done) =>
    new HttpChecking(comm, path, target, timeout, done)

/** The status line is all that counts. */
const statusBytesMax = 1024

class HttpChecking implements Checking, ConnectionReader {
  #connection: Connection | null = null
  #said = ''
  #over = false
  readonly #done: CheckDone
  readonly #cancelDial: () => void

  constructor(comm: Dialer, path: string, target: Endpoint, timeout: DurationMs, done: CheckDone) {
    this.#done = done
    const attempt = comm.dial({ target, flags: 0, note: 'check' }, timeout, (error, connection) => {
      if (connection === null) return this.#end(error?.message ?? 'no connection')
      this.#connection = connection
      connection.setReader(this)
      connection.setTimeout(timeout)
      connection.write(`GET ${path} HTTP/1.1\r\nHost: ${endpointText(target)}\r\nConnection: close\r\n\r\n`)
    })
    this.#cancelDial = () => attempt.cancel()
  }

  cancel(): void {
    this.#over = true
    this.#cancelDial()
    this.#connection?.resetClose('done')
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    this.#said += slab.toString('latin1', start, Math.min(end, start + statusBytesMax))
    const line = /^HTTP\/1\.[01] ([1-5]\d\d)[ \r]/.exec(this.#said)
    if (line !== null) return this.#end(/^[23]/.test(line[1] ?? '') ? '' : `answered ${line[1]}`)
    if (this.#said.length >= statusBytesMax || this.#said.includes('\n')) this.#end('answered something that is not HTTP')
  }

  onEnd(): void {
    this.#end('closed without an answer')
  }

  onDrain(): void {}

  onTimeout(): void {
    this.#end('did not answer in time')
  }

  onClose(_connection: Connection, why: CloseReason): void {
    this.#end(`closed without an answer (${why})`)
  }

  #end(why: string): void {
    if (this.#over) return
    this.#over = true
    this.#connection?.resetClose('done')
    this.#done(why)
  }
}

/** After SIGTERM. */
const killAfter = ms(5000)

/** A program that ends with 0: `PATH --timeout SECONDS ADDRESS PORT`. It is asked to end when its time is up, then killed. */
export const programCheck =
  (clock: Clock, path: string): Check =>
  (target, timeout, done) =>
    new ProgramChecking(clock, path, target, timeout, done)

class ProgramChecking implements Checking {
  readonly #clock: Clock
  readonly #done: CheckDone
  #child: ChildProcess | null = null
  #timer: Timer | null = null
  #over = false

  constructor(clock: Clock, path: string, target: Endpoint, timeout: DurationMs, done: CheckDone) {
    this.#clock = clock
    this.#done = done
    const words = ['--timeout', String(Math.max(1, Math.ceil(timeout / 1000))), target.address, String(target.port)]
    // a group of its own: what it has started ends with it
    const child = spawn(path, words, { stdio: 'ignore', detached: true })
    this.#child = child
    child.on('error', error => this.#ended(error.message))
    child.on('exit', (code, signal) => this.#ended(code === 0 ? '' : code === null ? `ended by ${signal}` : `ended with ${code}`))
    this.#timer = clock.after(timeout, () => {
      this.#tell('did not answer in time')
      this.cancel()
    })
  }

  cancel(): void {
    this.#over = true
    if (this.#child === null) return
    this.#signal('SIGTERM')
    this.#timer?.cancel()
    this.#timer = this.#clock.after(killAfter, () => this.#signal('SIGKILL'))
  }

  #ended(why: string): void {
    this.#timer?.cancel()
    this.#signal('SIGKILL') // whom it left behind in its group
    this.#child = null
    this.#tell(why)
  }

  #tell(why: string): void {
    if (this.#over) return
    this.#over = true
    this.#done(why)
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch {
      // it has ended by itself
    }
  }
}
