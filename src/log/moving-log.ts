import { type Clock, ms, type Timer } from '../base/index.ts'
import type { LogFile } from './log-file.ts'

// A log that a reload gives another file, which may turn out to take nothing: no permission, a folder in its place, a full
// disk. Then the former file goes on, with all lines, until the new one can be had.
//
//   settled ──moveTo──► proving ──first lines written──► settled, in the new file
//      ▲                   │ they, or the opening, fail: said once
//      │                   ▼
//      └──── waiting: the former file again; every ten seconds another try ──► proving
//
// While it proves itself the new file has the lines alone; those that it has not taken go to the former one.

export interface MovingLogOptions {
  readonly clock: Clock
  /** `quiet`: it has been said that this one does not work. */
  readonly open: (path: string, quiet: boolean) => LogFile
  /** Told of a move that failed, and of its end; may write to this log. */
  readonly failed: (message: string) => void
  readonly moved: (message: string) => void
}

const againMs = ms(10_000)
/** Lines kept for the former file while the new one's first write is under way. */
const unprovedMax = 1000

export class MovingLog {
  readonly #options: MovingLogOptions
  #file: LogFile
  /** While #file has not proved itself. */
  #former: LogFile | null = null
  #unproved: string[] = []
  #proving = false
  /** Where it should be, when it is not. */
  #wanted: string | null = null
  #timer: Timer | null = null

  constructor(path: string, options: MovingLogOptions) {
    this.#options = options
    this.#file = options.open(path, false)
  }

  get failing(): boolean {
    return this.#file.failing
  }

  write(line: string): void {
    this.#file.write(line)
    if (this.#former !== null) this.#prove(line)
  }

  moveTo(path: string): void {
    this.#giveUp()
    if (path !== this.#file.path) this.#try(path, false)
  }

  rotate(): void {
    if (!this.#tryAgain()) this.#file.rotate()
  }

  reopen(): void {
    if (!this.#tryAgain()) this.#file.reopen()
  }

  flush(): Promise<void> {
    return this.#file.flush()
  }

  async close(): Promise<void> {
    this.#timer?.cancel()
    await Promise.all([this.#file.close(), this.#former?.close()])
  }

  /** Another move comes before the last one was through. */
  #giveUp(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#wanted = null
    if (this.#former !== null) this.#fallBack()
  }

  #fallBack(): void {
    const [file, former] = [this.#file, this.#former]
    if (former === null) return
    this.#file = former
    this.#former = null
    for (const line of this.#unproved) former.write(line)
    this.#unproved = []
    file.abandon()
  }

  #try(path: string, quiet: boolean): void {
    const next = this.#options.open(path, quiet)
    if (next.failing) {
      next.abandon()
      return this.#wait(path, next.reason, quiet)
    }
    this.#former = this.#file
    this.#file = next
  }

  /** Whoever repairs it rotates, or waits a little. */
  #tryAgain(): boolean {
    const path = this.#wanted
    if (path === null || this.#former !== null) return false
    this.#timer?.cancel()
    this.#try(path, true)
    return this.#former !== null
  }

  #wait(path: string, reason: string, quiet: boolean): void {
    this.#wanted = path
    this.#timer = this.#options.clock.after(againMs, () => this.#tryAgain(), { unref: true })
    if (!quiet) this.#options.failed(`cache_log ${path} cannot be written (${reason}): ${this.#file.path} goes on, and it is tried again every ${againMs / 1000} seconds`)
  }

  #prove(line: string): void {
    if (this.#unproved.length < unprovedMax) this.#unproved.push(line)
    if (this.#proving) return
    this.#proving = true
    const next = this.#file
    void next.flush().then(() => {
      this.#proving = false
      if (this.#former === null || this.#file !== next) return
      if (!next.failing) return this.#settle()
      const quiet = this.#wanted !== null
      this.#fallBack()
      this.#wait(next.path, next.reason, quiet)
    })
  }

  #settle(): void {
    const [former, wasSaid] = [this.#former, this.#wanted !== null]
    this.#former = null
    this.#wanted = null
    this.#unproved = []
    void former?.close()
    if (wasSaid) this.#options.moved(`cache_log ${this.#file.path} can be written now: it goes on here, from ${former?.path ?? ''}`)
  }
}
