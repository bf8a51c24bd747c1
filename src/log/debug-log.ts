import { type Clock, ms, type Timer } from '../base/index.ts'
import { countLog } from './counters.ts'
import { type DebugSection, levelsOf, type SectionLevels, usualLevel } from './debug-sections.ts'
import { type LogFileSystem, systemLogFiles } from './file-system.ts'
import { compileStrftime } from './format/strftime.ts'
import { LogFile } from './log-file.ts'
import { MovingLog } from './moving-log.ts'

// cache.log: what an operator should know (levels 0 and 1) and what a developer asked for (2 to 9).
//
//   2026/11/20 06:36:26 kid1| WARNING: message

export interface DebugLog {
  /** Some section wants more than the usual: it is worth the while to say what is done all the time. */
  readonly verbose: boolean
  /** Ask before building a message that costs something. */
  wants(section: DebugSection, level: number): boolean
  write(section: DebugSection, level: number, message: string): void
  error(section: DebugSection, message: string): void
  warning(section: DebugSection, message: string): void
  alert(section: DebugSection, message: string): void
  /** One line per `key` and minute; how many more there were is said when the minute is over. */
  limited(key: string, section: DebugSection, level: number, message: string): void
  /** A reload: another file or other levels. */
  configure(conf: DebugLogConf): void
  rotate(): void
  reopen(): void
  flush(): Promise<void>
  close(): Promise<void>
}

export interface DebugLogConf {
  /** Null = no file. */
  readonly path: string | null
  readonly levels: SectionLevels
  readonly keep: number
}

export interface DebugLogOptions extends DebugLogConf {
  readonly clock: Clock
  /** `kid1` of several workers; '' = alone. */
  readonly kid: string
  /** Lines up to this level also go here (-d LEVEL); -1 = none. */
  readonly echoLevel: number
  readonly echo: (line: string) => void
  /** Absent = the system's. */
  readonly files?: LogFileSystem
}

export const createDebugLog = (options: DebugLogOptions): DebugLog => new OpenDebugLog(options)

const minuteMs = ms(60_000)
/** Keys remembered by `limited`. Peers can make keys: the oldest is forgotten. */
const keysMax = 1000
/** Longer messages come from peers. */
const messageLengthMax = 4096

interface Repeated {
  count: number
  readonly section: DebugSection
  readonly level: number
  /** The last one: it stands for all that were not written. */
  message: string
  readonly timer: Timer
}

class OpenDebugLog implements DebugLog {
  verbose = false
  readonly #options: DebugLogOptions
  readonly #time = compileStrftime('%Y/%m/%d %H:%M:%S', 'local')
  readonly #repeated = new Map<string, Repeated>()
  #levels: Record<DebugSection, number>
  #path: string | null
  #keep: number
  #file: MovingLog | null

  constructor(options: DebugLogOptions) {
    this.#options = options
    this.#levels = levelsOf(options.levels)
    this.verbose = isVerbose(this.#levels)
    this.#path = options.path
    this.#keep = options.keep
    this.#file = this.#open(options.path)
  }

  wants(section: DebugSection, level: number): boolean {
    return level <= this.#levels[section]
  }

  write(section: DebugSection, level: number, message: string): void {
    if (!this.wants(section, level)) return
    const { clock, kid, echo, echoLevel } = this.#options
    const line = `${this.#time(clock.wall())}${kid === '' ? '' : ` ${kid}`}| ${printable(message)}\n`
    this.#file?.write(line)
    // nobody should have to guess why a proxy that cannot write its log does what it does
    if (level <= echoLevel || (level <= usualLevel && this.#file?.failing === true)) echo(line)
  }

  error(section: DebugSection, message: string): void {
    this.write(section, 1, `ERROR: ${message}`)
  }

  warning(section: DebugSection, message: string): void {
    this.write(section, 1, `WARNING: ${message}`)
  }

  alert(section: DebugSection, message: string): void {
    this.write(section, 1, `SECURITY ALERT: ${message}`)
  }

  limited(key: string, section: DebugSection, level: number, message: string): void {
    if (!this.wants(section, level)) return
    const known = this.#repeated.get(key)
    if (known !== undefined) {
      known.count++
      known.message = message
      countLog.suppressedMessages++
      return
    }
    if (this.#repeated.size >= keysMax) this.#forgetOldest()
    const timer = this.#options.clock.after(minuteMs, () => this.#minuteOver(key), { unref: true })
    this.#repeated.set(key, { count: 0, section, level, message, timer })
    this.write(section, level, message)
  }

  configure(conf: DebugLogConf): void {
    this.#levels = levelsOf(conf.levels)
    this.verbose = isVerbose(this.#levels)
    this.#keep = conf.keep
    const old = this.#file
    if (conf.path === this.#path) return
    this.#path = conf.path
    if (old !== null && conf.path !== null) return old.moveTo(conf.path)
    this.#file = this.#open(conf.path)
    void old?.close()
  }

  rotate(): void {
    this.#file?.rotate()
  }

  reopen(): void {
    this.#file?.reopen()
  }

  async flush(): Promise<void> {
    await this.#file?.flush()
  }

  async close(): Promise<void> {
    for (const [key] of this.#repeated) this.#minuteOver(key)
    await this.#file?.close()
  }

  #minuteOver(key: string): void {
    const repeated = this.#repeated.get(key)
    if (repeated === undefined) return
    repeated.timer.cancel()
    this.#repeated.delete(key)
    if (repeated.count === 0) return
    const { section, level, message, count } = repeated
    this.write(section, level, `${message} (${count} more like this within a minute)`)
  }

  #forgetOldest(): void {
    for (const [key] of this.#repeated) return this.#minuteOver(key)
  }

  #open(path: string | null): MovingLog | null {
    if (path === null) return null
    const { clock, echo, files } = this.#options
    return new MovingLog(path, {
      clock,
      open: (at, quiet) =>
        new LogFile(at, {
          clock,
          files: files ?? systemLogFiles,
          encoding: 'utf8',
          chunkBytes: 1, // few and wanted soon: each goes out at once
          delayMs: 0,
          keep: this.#keep,
          fatal: null,
          // it cannot tell about itself in itself
          trouble: message => {
            if (!quiet) echo(`${message}\n`)
          },
        }),
      failed: message => this.error('log', message),
      moved: message => this.write('log', 1, message),
    })
  }
}

const isVerbose = (levels: Record<DebugSection, number>): boolean => Object.values(levels).some(level => level > 1)

/** Continued lines are indented, so that a message cannot pretend to be another; control characters are shown. */
const printable = (message: string): string => {
  const text = message.length > messageLengthMax ? `${message.slice(0, messageLengthMax)}...` : message
  if (!controls.test(text)) return text
  return text
    .replace(/\r?\n/g, '\n    ')
    .replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, c => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

const controls = /[\0-\x08\x0a-\x1f\x7f-\x9f]/
