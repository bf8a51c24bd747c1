import type { Clock, Outcome } from '../base/index.ts'
import type { AccessLogLine, Diagnostic, LogFormat, LogModule } from '../conf/config.ts'
import { countLog } from './counters.ts'
import { type LogFileSystem, systemLogFiles } from './file-system.ts'
import { builtInFormats } from './format/built-in.ts'
import type { LineMoment, Value } from './format/codes.ts'
import { compileFormat } from './format/compile-format.ts'
import { squidLine } from './format/squid-line.ts'
import { LogFile } from './log-file.ts'

// The access_log lines of a conf. A transaction goes down them: each whose condition holds writes a line, a `none`
// whose condition holds ends it. Lines with the same place share one file.

export interface AccessLog {
  /** Once per transaction, at its end. Costs no system call. */
  write(outcome: Outcome): void
  /** -k rotate: NAME becomes NAME.0 and so on. No line is lost. */
  rotate(): void
  /** The files have been renamed by somebody else. */
  reopen(): void
  /** What was written so far has gone to the system, or cannot. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** The ACLs of an access_log line; null = it has none. */
export type LineCondition = (outcome: Outcome) => boolean

export interface AccessLogOptions {
  readonly clock: Clock
  /** For cache.log; called rarely. */
  readonly trouble: (message: string) => void
  readonly conditionOf: (line: AccessLogLine) => LineCondition | null
  /** logfile_rotate, for lines that do not say their own. */
  readonly keep: number
  readonly stripQueryTerms: boolean
  /** Absent = the system's. */
  readonly files?: LogFileSystem
}

/** Lines are written after so long at the latest. */
const delayMs = 1000

const works: ReadonlySet<LogModule> = new Set(['stdio', 'daemon', 'none'])

export const createAccessLog = (
  lines: readonly AccessLogLine[],
  formats: readonly LogFormat[],
  options: AccessLogOptions,
): AccessLog => new OpenAccessLog(lines, compileLines(formats, options.stripQueryTerms), options)

/** What is wrong with the logformat lines; a fatal one must keep the conf from being used. */
export const checkLogFormats = (formats: readonly LogFormat[]): Diagnostic[] =>
  formats.flatMap(format =>
    compileFormat(format.text, true).problems.map(({ severity, position, message }) => ({
      severity,
      at: format.at,
      message: `logformat ${format.name}, character ${position}: ${message}`,
      hint: '',
    })),
  )

/** A later logformat of the same name wins; the built-in ones stay. */
const compileLines = (formats: readonly LogFormat[], stripQuery: boolean): ReadonlyMap<string, Value> => {
  const lines = new Map<string, Value>()
  for (const { name, text } of formats) lines.set(name, compileFormat(text, stripQuery).line)
  for (const [name, text] of Object.entries(builtInFormats)) lines.set(name, compileFormat(text, stripQuery).line)
  lines.set('squid', squidLine(stripQuery))
  return lines
}

interface Target {
  /** Null = `none`. */
  readonly file: LogFile | null
  readonly line: Value
  readonly condition: LineCondition | null
  readonly moment: LineMoment
}

class OpenAccessLog implements AccessLog {
  readonly #clock: Clock
  readonly #targets: readonly Target[]
  readonly #files: readonly LogFile[]

  constructor(lines: readonly AccessLogLine[], formats: ReadonlyMap<string, Value>, options: AccessLogOptions) {
    const files = new Map<string, LogFile>()
    this.#clock = options.clock
    this.#targets = lines.flatMap(line => {
      if (!works.has(line.module)) return [] // conf says so
      const format = formats.get(line.format)
      if (format === undefined && line.module !== 'none') return []
      return [
        {
          file: line.module === 'none' ? null : fileFor(line, files, options),
          line: format ?? (() => ''),
          condition: options.conditionOf(line),
          moment: { wallMs: 0, sequence: 0 },
        },
      ]
    })
    this.#files = [...files.values()]
  }

  write(outcome: Outcome): void {
    const targets = this.#targets
    for (let i = 0; i < targets.length; i++) {
      const { file, line, condition, moment } = targets[i] as Target // within by the loop
      if (condition !== null && !condition(outcome)) continue
      if (file === null) return
      moment.wallMs = this.#clock.wall()
      countLog.accessLines++
      file.write(line(outcome, moment))
      moment.sequence++
    }
  }

  rotate(): void {
    for (const file of this.#files) file.rotate()
  }

  reopen(): void {
    for (const file of this.#files) file.reopen()
  }

  async flush(): Promise<void> {
    await Promise.all(this.#files.map(file => file.flush()))
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map(file => file.close()))
  }
}

const fileFor = (line: AccessLogLine, files: Map<string, LogFile>, options: AccessLogOptions): LogFile => {
  const known = files.get(line.place)
  if (known !== undefined) return known
  const file = new LogFile(line.place, {
    clock: options.clock,
    files: options.files ?? systemLogFiles,
    encoding: 'latin1',
    chunkBytes: line.bufferSize,
    delayMs,
    keep: line.rotate ?? options.keep,
    trouble: options.trouble,
  })
  files.set(line.place, file)
  return file
}
