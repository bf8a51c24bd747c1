import { assert, type Clock, type DurationMs, ms, systemClock, type Timer } from '../base/index.ts'
import { CountHelper } from './counters.ts'
import { type HelperChild, startChild } from './helper-child.ts'
import { type Question, questionBytesMax } from './question.ts'
import { Talk } from './talk.ts'

// The children of one helper program, and the questions that wait for them.
//
//   ask ──► a free child ──► answer            no child free: the queue, and one more child if there may be one
//              │ dies: the question goes to another child, once
//              │ hangs: the question ends in time, the child is killed
//              └ cannot be kept alive: after a few tries no question waits any more, until one try succeeds
//
// Whatever the program does, an answer comes in time, and what waits has a limit. Squid ends when a helper is overloaded
// or dies too often; here whoever asked decides what a missing answer means.

/** The `children` line of a helper. */
export interface HelperChildren {
  readonly max: number
  /** Started before anybody asks. */
  readonly startup: number
  /** Children kept ready beyond those at work. */
  readonly idle: number
  /** Questions one child has at a time, each with a number; 0 = one, without a number. */
  readonly concurrency: number
  /** Questions that wait for a child. */
  readonly queueMax: number
}

export interface HelperOptions {
  /** The directive's name, for messages. */
  readonly name: string
  /** Program and arguments; no shell. */
  readonly command: readonly string[]
  readonly children: HelperChildren
  /** For an answer, waiting included. */
  readonly timeout: DurationMs
  /** Questions are of several lines, and say how long they are; answers, too, and end with this byte. */
  readonly answersEnd?: string | undefined
}

export interface HelperDeps {
  readonly clock: Clock
  /** For cache_log; limited by the receiver. */
  readonly complain: (text: string) => void
}

export type HelperAnswer =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly reason: 'busy' | 'down' | 'died' | 'late' | 'stopped' | 'unfit' }

/** The first rest after a failure; it doubles. */
const restMsFirst = 100
const restMsMax = 30_000
/** During a rest longer than this nobody waits for its end. */
const patienceMs = 1000
/** A child that lived this long was not the failure of a start. */
const soundMs = 1000
/** For children to end by themselves, when the process stops. */
const graceMs = 500

export class HelperPool {
  readonly options: HelperOptions
  readonly #deps: HelperDeps
  readonly #children = new Set<HelperChild>()
  readonly #queue: Question[] = []
  #failures = 0
  #rest: Timer | null = null
  #restMs = 0
  #stopped = false
  readonly #gone: (() => void)[] = []

  constructor(deps: HelperDeps, options: HelperOptions) {
    assert(options.command.length > 0 && options.children.max > 0, 'a helper has a program and children')
    this.#deps = deps
    this.options = options
  }

  /** The children there should be from the start. Harmless when it is not called: they come when they are needed. */
  start(): void {
    for (let n = Math.min(this.options.children.startup, this.options.children.max); n > 0; n--) this.#startOne()
  }

  get children(): number {
    return this.#children.size
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Process numbers, for tests and the manager. */
  get pids(): readonly number[] {
    return [...this.#children].map(child => child.pid)
  }

  /** A line without its end; never rejects. The answer is a line, too, without the number. */
  ask(line: string, talk: Talk | null = null): Promise<HelperAnswer> {
    CountHelper.questions++
    if (this.#stopped) return refused('stopped')
    const isFit = this.options.answersEnd === undefined ? !/[\r\n\0]/.test(line) : !line.includes('\0')
    if (line.length > questionBytesMax || !isFit) return refused('unfit')
    const child = talk?.child ?? this.#freeChild()
    if (child === null) {
      if (this.#children.size === 0 && (this.#rest === null || this.#restMs > patienceMs)) return this.#refuse('down')
      if (this.#queue.length >= this.options.children.queueMax) return this.#refuse('busy')
    }
    return new Promise(resolve => {
      const question: Question = { line, resolve, timer: null, child: null, tried: false, talk, over: false, sentAt: this.#deps.clock.mono() }
      question.timer = this.#deps.clock.after(this.options.timeout, () => this.#late(question), { unref: true })
      if (child === null) this.#queue.push(question)
      else child.send(question)
      this.#keepIdle()
    })
  }

  /** For questions that belong together. */
  talk(): Talk {
    return new Talk(this)
  }

  /** A talk is over. */
  letGo(child: HelperChild): void {
    child.talk = null
    if (this.#children.has(child)) this.freed(child)
  }

  /** No more questions; those asked are still answered, and the children end. For a reload. Resolves with the last one. */
  async retire(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true
      this.#rest?.cancel()
      for (const child of this.#children) this.freed(child)
      for (const question of this.#queue.splice(0)) this.#answer(question, { ok: false, reason: 'stopped' })
      for (const child of this.#children) child.retire()
    }
    if (this.#children.size > 0) await new Promise<void>(resolve => void this.#gone.push(resolve))
  }

  /** At once; resolves when no child is left. */
  async stop(): Promise<void> {
    const gone = this.retire()
    for (const child of this.#children) child.giveUp('stopped')
    const timer = systemClock.after(ms(graceMs), () => {
      for (const child of this.#children) child.kill()
    })
    await gone
    timer.cancel()
  }

  // ---- what children tell

  /** One is free. */
  freed(child: HelperChild): void {
    if (this.#failures > 0 && this.#deps.clock.mono() - child.bornAt >= soundMs) this.#failures = 0
    while (child.mayTake) {
      const question = this.#queue.shift()
      if (question === undefined) return
      child.send(question)
    }
  }

  answered(question: Question, text: string): void {
    CountHelper.answers++
    this.#answer(question, { ok: true, text })
  }

  /** Its questions go elsewhere. */
  ended(child: HelperChild, why: string, questions: readonly Question[]): void {
    this.#children.delete(child)
    if (!this.#stopped) {
      CountHelper.died++
      const sound = child.answers > 0 && this.#deps.clock.mono() - child.bornAt >= soundMs
      this.#failures = sound ? 0 : this.#failures + 1
      this.#deps.complain(`${this.options.name}: child ${child.pid} ${why}`)
    }
    for (const question of questions) this.#again(question)
    for (const other of this.#children) this.freed(other)
    if (!this.#stopped) this.#recover()
    if (this.#children.size === 0) for (const gone of this.#gone.splice(0)) gone()
  }

  complain(text: string): void {
    this.#deps.complain(`${this.options.name}: ${text}`)
  }

  get clock(): Clock {
    return this.#deps.clock
  }

  // ---- children

  #freeChild(): HelperChild | null {
    let best: HelperChild | null = null
    for (const child of this.#children) if (child.mayTake && (best === null || child.load < best.load)) best = child
    return best ?? this.#startOne()
  }

  /** Null: there are enough, it is too early for another try, or it failed. */
  #startOne(): HelperChild | null {
    const { children } = this.options
    if (this.#stopped || this.#rest !== null || this.#children.size >= children.max) return null
    const child = startChild(this, this.options.command, children.concurrency)
    if (child !== null) {
      CountHelper.started++
      this.#children.add(child)
      return child
    }
    CountHelper.unstartable++
    this.#failures++
    this.#recover()
    return null
  }

  /** One more, when too few are without work. */
  #keepIdle(): void {
    let idle = 0
    for (const child of this.#children) if (child.load === 0 && child.talk === null) idle++
    if (idle < this.options.children.idle) this.#startOne()
  }

  /** After a death: at once if that was the first for long, else later and later. */
  #recover(): void {
    if (this.#rest !== null) return
    const wanted = this.#queue.length > 0 || this.#children.size < this.options.children.startup
    if (this.#failures === 0) {
      if (wanted) this.#serve()
      return
    }
    this.#restMs = Math.min(restMsMax, restMsFirst * 2 ** Math.min(this.#failures - 1, 20))
    if (this.#restMs > patienceMs && this.#children.size === 0) {
      for (const question of this.#queue.splice(0)) {
        CountHelper.down++
        this.#answer(question, { ok: false, reason: 'down' })
      }
    }
    this.#rest = this.#deps.clock.after(
      ms(this.#restMs),
      () => {
        this.#rest = null
        this.#restMs = 0
        if (this.#queue.length > 0 || this.#children.size < this.options.children.startup) this.#serve()
      },
      { unref: true },
    )
  }

  #serve(): void {
    const child = this.#freeChild()
    if (child !== null) this.freed(child)
  }

  // ---- questions

  #again(question: Question): void {
    question.child = null
    if (question.over) return
    // another child does not know what was said before
    if (question.tried || this.#stopped || question.talk !== null) {
      this.#answer(question, { ok: false, reason: this.#stopped ? 'stopped' : 'died' })
      return
    }
    question.tried = true
    this.#queue.unshift(question)
  }

  #late(question: Question): void {
    if (question.over) return
    CountHelper.late++
    const { child } = question
    if (child === null) {
      const at = this.#queue.indexOf(question)
      if (at >= 0) this.#queue.splice(at, 1)
    }
    this.#answer(question, { ok: false, reason: 'late' })
    child?.tooLate(question)
  }

  #refuse(reason: 'busy' | 'down'): Promise<HelperAnswer> {
    CountHelper[reason]++
    if (reason === 'busy') this.complain('all children are at work, and the queue is full')
    return refused(reason)
  }

  #answer(question: Question, answer: HelperAnswer): void {
    if (question.over) return
    question.over = true
    question.timer?.cancel()
    question.resolve(answer)
  }
}

const refused = (reason: 'busy' | 'down' | 'stopped' | 'unfit'): Promise<HelperAnswer> => Promise.resolve({ ok: false, reason })

