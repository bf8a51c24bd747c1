import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { errnoOf, type MonoMs, ms, type Timer } from '../base/index.ts'
import { CountHelper } from './counters.ts'
import type { HelperPool } from './helper-pool.ts'
import type { Question } from './question.ts'
import type { Talk } from './talk.ts'

// One process of a helper: fd 0 questions, fd 1 answers, fd 2 words for cache_log. It has a process group, so that what
// it starts ends with it.

/** Of an answer; one that writes more without a line's end is not understood. */
const answerBytesMax = 64 * 1024
const wordsBytesMax = 1024
/** After its process has ended: for what is left in its pipe. */
const restMs = 200
/** To end when its input does. */
const graceMs = 5000

/** Null: it could not be started, which is told. */
export const startChild = (pool: HelperPool, command: readonly string[], concurrency: number): HelperChild | null => {
  const [program = '', ...words] = command
  const failed = (error: unknown) => pool.complain(`cannot start ${program}: ${errnoOf(error)}`)
  let child: ChildProcess
  try {
    child = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  } catch (error) {
    failed(error)
    return null
  }
  const { stdin, stdout, stderr, pid } = child
  if (pid !== undefined && stdin && stdout && stderr) return new HelperChild(pool, child, pid, { stdin, stdout, stderr }, concurrency)
  child.on('error', failed)
  for (const pipe of [stdin, stdout, stderr]) pipe?.destroy()
  return null
}

interface Pipes {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
}

export class HelperChild {
  readonly pid: number
  readonly bornAt: MonoMs
  answers = 0
  /** It is for this one alone. */
  talk: Talk | null = null
  readonly #pool: HelperPool
  readonly #pipes: Pipes
  /** 0: questions have no numbers. */
  readonly #concurrency: number
  /** What it has been asked, by number. Also what nobody waits for any more: it may still answer that. */
  readonly #asked = new Map<number, Question>()
  #number = 0
  #heard = ''
  #words = ''
  #lastAnswerAt: MonoMs
  #why = ''
  #retired = false
  #ended = false
  #timer: Timer | null = null

  constructor(pool: HelperPool, child: ChildProcess, pid: number, pipes: Pipes, concurrency: number) {
    this.#pool = pool
    this.#pipes = pipes
    this.#concurrency = concurrency
    this.pid = pid
    this.bornAt = pool.clock.mono()
    this.#lastAnswerAt = this.bornAt
    child.on('error', error => this.#fail(errnoOf(error)))
    child.on('exit', (code, signal) => this.#exited(code === null ? `was ended by ${signal ?? 'a signal'}` : `ended with ${code}`))
    child.on('close', () => this.#end())
    pipes.stdin.on('error', () => {}) // EPIPE: its end is told by 'exit'
    pipes.stdout.on('error', () => {})
    pipes.stderr.on('error', () => {})
    pipes.stdout.on('data', (piece: Buffer) => this.#hear(piece))
    pipes.stdout.on('end', () => {
      // its end, as a rule; 'exit' says more
      if (this.#why === '') this.#timer ??= pool.clock.after(ms(restMs), () => this.#fail('closed its output'), { unref: true })
    })
    pipes.stderr.on('data', (piece: Buffer) => this.#repeat(piece))
  }

  /** Questions it has. */
  get load(): number {
    return this.#asked.size
  }

  get mayTake(): boolean {
    return !this.#retired && !this.#ended && this.#why === '' && this.talk === null && this.#asked.size < Math.max(1, this.#concurrency)
  }

  send(question: Question): void {
    if (question.talk !== null) {
      this.talk = question.talk
      this.talk.child = this
    }
    question.child = this
    question.sentAt = this.#pool.clock.mono()
    const number = this.#nextNumber()
    this.#asked.set(number, question)
    this.#pipes.stdin.write(this.#concurrency > 0 ? `${number} ${question.line}\n` : `${question.line}\n`, 'latin1')
  }

  /** It has not answered this in time. One that answers others may go on; one that says nothing, from its birth or since, hangs. */
  tooLate(question: Question): void {
    if (this.#concurrency === 0 || this.#lastAnswerAt <= question.sentAt) this.#fail('does not answer in time')
    else if (this.#retired && !this.#isAwaited) this.#close()
  }

  /** Finishes what somebody waits for, and ends. */
  retire(): void {
    this.#retired = true
    if (!this.#isAwaited) this.#close()
  }

  get #isAwaited(): boolean {
    for (const question of this.#asked.values()) if (!question.over) return true
    return false
  }

  /** Whoever waits for it is told now. */
  giveUp(reason: 'stopped'): void {
    for (const question of this.#asked.values()) {
      question.timer?.cancel()
      if (!question.over) question.resolve({ ok: false, reason })
      question.over = true
    }
    this.#asked.clear()
    this.#close()
  }

  kill(): void {
    this.#signal()
  }

  #nextNumber(): number {
    do this.#number = (this.#number + 1) % 0x40000000
    while (this.#asked.has(this.#number))
    return this.#number
  }

  #hear(piece: Buffer): void {
    this.#heard += piece.toString('latin1')
    const { answersEnd = '\n' } = this.#pool.options
    for (let end = this.#heard.indexOf(answersEnd); end >= 0; end = this.#heard.indexOf(answersEnd)) {
      const line = this.#heard.slice(0, end)
      this.#heard = this.#heard.slice(end + 1)
      // a line's end behind the byte that ends an answer belongs to nobody
      this.#line(answersEnd === '\n' ? (line.endsWith('\r') ? line.slice(0, -1) : line) : line.replace(/^[\r\n]+/, ''))
    }
    if (this.#heard.length > answerBytesMax) {
      this.#heard = ''
      this.#fail('says too much without the end of a line')
    }
  }

  #line(line: string): void {
    if (this.#why !== '') return
    const numbered = this.#concurrency === 0 ? null : /^(\d{1,10})(?: |$)/.exec(line)
    const number = this.#concurrency === 0 ? this.#number : Number(numbered?.[1] ?? -1)
    const question = this.#asked.get(number)
    if (question === undefined) {
      this.#nonsense(line)
      return
    }
    this.#asked.delete(number)
    this.#lastAnswerAt = this.#pool.clock.mono()
    this.answers++
    question.child = null
    // over: nobody waits for it any more
    if (!question.over) this.#pool.answered(question, numbered === null ? line : line.slice(numbered[0].length))
    if (this.#retired && !this.#isAwaited) this.#close()
    else this.#pool.freed(this)
  }

  /** Without numbers an answer too many would be taken for that to the next question, for a whole life of wrong answers. */
  #nonsense(line: string): void {
    CountHelper.nonsense++
    if (this.#concurrency === 0) this.#fail(`said '${shown(line)}' without being asked`)
    else this.#pool.complain(`child ${this.pid} answers no question with '${shown(line)}'`)
  }

  #repeat(piece: Buffer): void {
    this.#words += piece.toString('latin1')
    const lines = this.#words.split('\n')
    this.#words = (lines.pop() ?? '').slice(0, wordsBytesMax)
    for (const line of lines.slice(0, 20)) if (line.trim() !== '') this.#pool.complain(`child ${this.pid}: ${shown(line)}`)
  }

  #fail(why: string): void {
    if (this.#ended || this.#why !== '') return
    this.#why = why
    this.#signal()
  }

  #exited(why: string): void {
    if (this.#why === '') this.#why = why
    this.#timer?.cancel()
    this.#signal() // whom it has left behind in its group
    this.#timer = this.#pool.clock.after(ms(restMs), () => this.#end(), { unref: true })
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#timer?.cancel()
    for (const pipe of [this.#pipes.stdin, this.#pipes.stdout, this.#pipes.stderr]) pipe.destroy()
    if (this.talk !== null) this.talk.child = null
    const questions = [...this.#asked.values()]
    this.#asked.clear()
    this.#pool.ended(this, this.#why, questions)
  }

  #close(): void {
    this.#pipes.stdin.end()
    this.#timer ??= this.#pool.clock.after(ms(graceMs), () => this.#signal(), { unref: true })
  }

  #signal(): void {
    try {
      process.kill(-this.pid, 'SIGKILL')
    } catch {
      // the group has ended by itself
    }
  }
}

const shown = (text: string): string => text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?')
