import type { ChildProcess } from 'node:child_process'
import { type DurationMs, ms, systemClock } from '../../base/index.ts'

// A process that stays, started inside a namespace: what it says, when it is ready, how it ends.

/** The last words kept of a process that talks and talks. */
const saidCharactersMax = 256 * 1024
const stopMsMax = 3000

/** Killed when our own process ends in an orderly way; for the other ways there is the parent-death signal. */
const alive = new Set<Running>()
process.once('exit', () => {
  for (const running of alive) running.kill()
})

export class Running {
  readonly what: string
  readonly pid: number
  /** Its exit code; null when a signal ended it. Never rejects. */
  readonly exited: Promise<number | null>
  private readonly child: ChildProcess
  private text = ''
  private readonly waiting = new Set<() => void>()
  private readonly lineListeners = new Set<(line: string) => void>()
  private unfinished = { out: '', err: '' }
  private over = false

  constructor(what: string, child: ChildProcess) {
    this.what = what
    this.child = child
    this.pid = child.pid ?? 0
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.hear(text, 'out'))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.hear(text, 'err'))
    child.stdin?.on('error', () => {}) // it may end before it reads what we tell it
    this.exited = new Promise(resolve => {
      child.once('error', error => {
        this.hear(`${error.message}\n`, 'err')
        this.end()
        resolve(null)
      })
      // what it started may hold its pipes open, and has nobody to tell it that it is over
      child.once('exit', () => this.kill())
      child.once('close', code => {
        this.end()
        resolve(code)
      })
    })
    alive.add(this)
  }

  /** Everything it said on standard output and error, in the order it came to us; the oldest is forgotten first. */
  get said(): string {
    return this.text
  }

  get ended(): boolean {
    return this.over
  }

  /** Resolves with the matching words as soon as they have been said; throws when it ends or `within` passes first. */
  heard(words: string | RegExp, within: DurationMs = ms(30_000)): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = typeof words === 'string' ? this.text.includes(words) && words : words.exec(this.text)?.[0]
        if (typeof found === 'string') resolve(found)
        else if (this.over) reject(new Error(`${this.what} ended before it said ${words}:\n${this.text}`))
        else return
        this.waiting.delete(look)
        deadline.cancel()
      }
      const deadline = systemClock.after(within, () => {
        this.waiting.delete(look)
        reject(new Error(`${this.what} did not say ${words} within ${within} ms:\n${this.text}`))
      })
      this.waiting.add(look)
      look()
    })
  }

  /** Called with each whole line said from now on. Answers how to stop. */
  onLine(listener: (line: string) => void): () => void {
    this.lineListeners.add(listener)
    return () => void this.lineListeners.delete(listener)
  }

  tell(text: string): void {
    this.child.stdin?.write(text)
  }

  signal(name: NodeJS.Signals): void {
    if (!this.over) this.child.kill(name)
  }

  /** SIGTERM, and SIGKILL for its whole group when it does not listen. Answers its exit code. */
  async stop(): Promise<number | null> {
    if (this.over) return this.exited
    this.signal('SIGTERM')
    const deadline = systemClock.after(ms(stopMsMax), () => this.kill())
    const code = await this.exited
    deadline.cancel()
    return code
  }

  /** SIGKILL for it and everything it started. */
  kill(): void {
    if (this.over || this.pid === 0) return
    try {
      process.kill(-this.pid, 'SIGKILL')
    } catch {
      // gone already
    }
  }

  private hear(text: string, from: 'out' | 'err'): void {
    this.text = (this.text + text).slice(-saidCharactersMax)
    const lines = (this.unfinished[from] + text).split('\n')
    this.unfinished[from] = lines.pop()?.slice(-saidCharactersMax) ?? ''
    for (const line of lines) for (const listener of this.lineListeners) listener(line)
    this.look()
  }

  private end(): void {
    this.over = true
    alive.delete(this)
    this.look()
  }

  private look(): void {
    for (const look of [...this.waiting]) look()
  }
}
