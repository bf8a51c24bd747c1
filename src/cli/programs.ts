import { type Clock, type DurationMs, ms, systemClock } from '../base/index.ts'
import type { HelperChildrenConfig, Location } from '../conf/index.ts'
import { PasswordHasher } from '../auth/index.ts'
import { type HelperAnswer, type HelperDeps, HelperPool, type Talk } from '../helper/index.ts'

// The helper programs of one conf. Reading a conf starts none: that is for who runs it. A reload begins with new
// children, since that is how people have their lists read anew; those of the former conf finish what they have been asked.

/** Whoever asks a program sees no more of it. */
export type Ask = (line: string) => Promise<HelperAnswer>

export interface ProgramLine {
  /** For messages. */
  readonly name: string
  readonly command: readonly string[]
  /** Where the conf says so. */
  readonly at: Location
  readonly children: HelperChildrenConfig
  readonly timeout?: DurationMs
  readonly answersEnd?: string
}

/** Squid waits for ever. */
const timeoutUsual = ms(30_000)

export class Programs {
  /** The thread of passwords; it begins with the first of them. */
  readonly hasher = new PasswordHasher()
  readonly #lines: { readonly line: ProgramLine; pool: HelperPool | null }[] = []
  /** That of whoever runs the conf. */
  clock: Clock = systemClock
  /** Beside programs: files that cannot be read. Told once somebody listens. */
  complain: (text: string) => void = () => {}

  /** What the conf would have run; what is answered here without a program is not among it. */
  get lines(): readonly ProgramLine[] {
    return this.#lines.map(({ line }) => line)
  }

  /** To be asked once `start` has been called. */
  add(line: ProgramLine): Ask {
    const entry: { readonly line: ProgramLine; pool: HelperPool | null } = { line, pool: null }
    this.#lines.push(entry)
    return text => entry.pool?.ask(text) ?? Promise.resolve({ ok: false, reason: 'stopped' })
  }

  /** The same, for questions that belong together. */
  addTalking(line: ProgramLine): () => Talk {
    const entry: { readonly line: ProgramLine; pool: HelperPool | null } = { line, pool: null }
    this.#lines.push(entry)
    return () => {
      if (entry.pool === null) throw new RangeError('a helper is asked before it is started')
      return entry.pool.talk()
    }
  }

  start(deps: HelperDeps): void {
    this.clock = deps.clock
    this.complain = deps.complain
    for (const entry of this.#lines) {
      const { name, command, children, timeout, answersEnd } = entry.line
      const queueMax = children.queueMax ?? 2 * children.max * Math.max(1, children.concurrency)
      entry.pool = new HelperPool(deps, { name, command, children: { ...children, queueMax }, timeout: timeout ?? timeoutUsual, answersEnd })
      entry.pool.start()
    }
  }

  /** Another conf is in force. Resolves with the last child. */
  async retire(): Promise<void> {
    await Promise.all(this.#lines.map(({ pool }) => pool?.retire()))
    await this.hasher.stop()
  }

  async stop(): Promise<void> {
    await Promise.all(this.#lines.map(({ pool }) => pool?.stop()))
    await this.hasher.stop()
  }
}
