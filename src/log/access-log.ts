import { assert, type Clock, type IcapRecord, ms, type Outcome, type Timer } from '../base/index.ts'
import type { AccessLogLine, Diagnostic, LogFormat } from '../conf/config.ts'
import { maskedOutcome } from './client-mask.ts'
import { countLog } from './counters.ts'
import { type LogFileSystem, systemLogFiles } from './file-system.ts'
import { builtInFormats } from './format/built-in.ts'
import type { LineMoment, Value } from './format/codes.ts'
import { compileFormat } from './format/compile-format.ts'
import { squidLine } from './format/squid-line.ts'
import { jsonLine } from './format/json-line.ts'
import { LogFile } from './log-file.ts'
import { PacketLog } from './packet-log.ts'
import type { LineSink } from './sink.ts'
import { StreamLog } from './stream-log.ts'
import { type LocalDatagrams, syslogWay } from './syslog.ts'
import { udpWay } from './udp.ts'

// The access_log lines of a conf. A transaction goes down them: each whose condition holds writes a line, a `none`
// whose condition holds ends it. Lines with the same place share one file.

export interface AccessLog {
  /** Once per transaction, at its end. Costs no system call. */
  write(outcome: Outcome): void
  /** Of icap_log: one transaction with a service, and the one it was for. */
  writeIcap(icap: IcapRecord, outcome: Outcome): void
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
  /** That it is over; absent = as trouble. */
  readonly relief?: (message: string) => void
  readonly conditionOf: (line: AccessLogLine) => LineCondition | null
  /** logfile_rotate, for lines that do not say their own. */
  readonly keep: number
  readonly stripQueryTerms: boolean
  /** client_netmask; absent or null = clients are told as they are. Conditions see them so in any case. */
  readonly clientMask?: ((address: string) => string) | null
  /** log_mime_hdrs. */
  readonly mimeFields?: boolean
  /** For syslog:. Absent or null = the addon is not there. */
  readonly localDatagrams?: LocalDatagrams | null
  /** on-error=die: a line was lost. */
  readonly fatal?: (message: string) => void
  /** Absent = /dev/log. */
  readonly syslogPath?: string
  /** Absent = the system's. */
  readonly files?: LogFileSystem
}

/** Lines are written after so long at the latest. */
const delayMs = 1000
/** A stop waits so long for places that do not take what waits for them. */
const closeMs = ms(3000)

export const createAccessLog = (
  lines: readonly AccessLogLine[],
  formats: readonly LogFormat[],
  options: AccessLogOptions,
): AccessLog => new OpenAccessLog(lines, compileLines(formats, options), options)

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
const compileLines = (formats: readonly LogFormat[], options: AccessLogOptions): ReadonlyMap<string, Value> => {
  const { stripQueryTerms: stripQuery, mimeFields = false } = options
  const lines = new Map<string, Value>()
  for (const { name, text } of formats) lines.set(name, compileFormat(text, stripQuery).line)
  for (const [name, text] of Object.entries(builtInFormats)) {
    const more = mimeFields && (name === 'squid' || name === 'common') ? ' [%>h] [%<h]' : ''
    lines.set(name, compileFormat(text + more, stripQuery).line)
  }
  if (!mimeFields) lines.set('squid', squidLine(stripQuery))
  lines.set('json', jsonLine(stripQuery))
  return lines
}

interface Target {
  /** Null = `none`. */
  readonly sink: LineSink | null
  readonly line: Value
  readonly condition: LineCondition | null
  readonly moment: LineMoment
}

class OpenAccessLog implements AccessLog {
  readonly #clock: Clock
  readonly #targets: readonly Target[]
  readonly #mask: ((address: string) => string) | null
  readonly #sinks: readonly LineSink[]

  constructor(lines: readonly AccessLogLine[], formats: ReadonlyMap<string, Value>, options: AccessLogOptions) {
    const sinks = new Map<string, LineSink>()
    this.#clock = options.clock
    this.#mask = options.clientMask ?? null
    this.#targets = lines.flatMap(line => {
      const format = formats.get(line.format)
      if (format === undefined && line.module !== 'none') return []
      return [
        {
          sink: line.module === 'none' ? null : sinkFor(line, sinks, options),
          line: format ?? (() => ''),
          condition: options.conditionOf(line),
          moment: { wallMs: 0, sequence: 0, icap: null },
        },
      ]
    })
    this.#sinks = [...sinks.values()]
  }

  write(outcome: Outcome): void {
    const targets = this.#targets
    const told = this.#mask === null ? outcome : maskedOutcome(outcome, this.#mask)
    for (let i = 0; i < targets.length; i++) {
      const { sink, line, condition, moment } = targets[i] as Target // within by the loop
      if (condition !== null && !condition(outcome)) continue
      if (sink === null) return
      moment.wallMs = this.#clock.wall()
      countLog.accessLines++
      sink.write(line(told, moment))
      moment.sequence++
    }
  }

  writeIcap(icap: IcapRecord, outcome: Outcome): void {
    for (const { moment } of this.#targets) moment.icap = icap
    this.write(outcome)
    for (const { moment } of this.#targets) moment.icap = null
  }

  rotate(): void {
    for (const sink of this.#sinks) sink.rotate()
  }

  reopen(): void {
    for (const sink of this.#sinks) sink.reopen()
  }

  async flush(): Promise<void> {
    await Promise.all(this.#sinks.map(sink => sink.flush()))
  }

  async close(): Promise<void> {
    let patience: Timer | null = null
    const enough = new Promise<void>(resolve => {
      patience = this.#clock.after(closeMs, resolve, { unref: true })
    })
    await Promise.race([enough, Promise.all(this.#sinks.map(sink => sink.close()))])
    ;(patience as Timer | null)?.cancel() // set within the constructor of the promise
  }
}

const sinkFor = (line: AccessLogLine, sinks: Map<string, LineSink>, options: AccessLogOptions): LineSink => {
  const key = `${line.module === 'daemon' ? 'stdio' : line.module}:${line.place}`
  const sink = sinks.get(key) ?? openSink(line, options)
  sinks.set(key, sink)
  return sink
}

const openSink = (line: AccessLogLine, options: AccessLogOptions): LineSink => {
  const { clock, trouble, relief = trouble } = options
  const sinkOptions = { clock, trouble, relief, fatal: line.onError === 'die' ? (options.fatal ?? null) : null }
  switch (line.module) {
    case 'none':
    case 'stdio':
    case 'daemon': // the same file, and nobody else is needed to write it
      return new LogFile(line.place, {
        ...sinkOptions,
        files: options.files ?? systemLogFiles,
        encoding: 'latin1',
        chunkBytes: line.bufferSize,
        delayMs,
        keep: line.rotate ?? options.keep,
      })
    case 'syslog': {
      const { level } = line
      assert(level !== null, 'the conf has read the place')
      const way = syslogWay({ clock, level, datagrams: options.localDatagrams ?? null, path: options.syslogPath ?? '/dev/log' })
      return new PacketLog(`syslog:${line.place}`, way, sinkOptions)
    }
    case 'udp':
      return new PacketLog(`udp://${line.place}`, udpWay(remote(line.place)), sinkOptions)
    case 'tcp':
      return new StreamLog({ ...sinkOptions, ...remote(line.place), chunkBytes: line.bufferSize, delayMs })
  }
}

/** `host:port` or `[v6]:port`, as the conf has read it. */
const remote = (place: string): { readonly host: string; readonly port: number } => {
  const colon = place.lastIndexOf(':')
  return { host: place.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(place.slice(colon + 1)) }
}
