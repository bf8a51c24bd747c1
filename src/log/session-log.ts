import { type Clock, type Endpoint, endpointText } from '../base/index.ts'
import type { SessionRecord } from '../service/named-service.ts'
import { countLog } from './counters.ts'
import { systemLogFiles } from './file-system.ts'
import { LogFile } from './log-file.ts'

// session_log: a line of JSON for each session, when it is over. What a transaction was is in the access log; a session
// may hold many of them, or none.

export interface SessionLog {
  write(record: SessionRecord): void
  rotate(): void
  flush(): Promise<void>
  close(): Promise<void>
}

export interface SessionLogOptions {
  readonly clock: Clock
  /** Called rarely. */
  readonly trouble: (message: string) => void
  readonly relief?: (message: string) => void
  /** logfile_rotate. */
  readonly keep: number
}

const chunkBytes = 64 * 1024
const delayMs = 1000

export const createSessionLog = (path: string, options: SessionLogOptions): SessionLog => {
  const file = new LogFile(path, { ...options, files: systemLogFiles, fatal: null, encoding: 'utf8', chunkBytes, delayMs })
  return {
    write(record) {
      countLog.sessionLines++
      file.write(sessionLine(record))
    },
    rotate: () => file.rotate(),
    flush: () => file.flush(),
    close: () => file.close(),
  }
}

/** One line, with its end. Times are ISO 8601 and milliseconds; addresses as `ADDRESS:PORT`; null is nothing known. */
export const sessionLine = (record: SessionRecord): string =>
  `${JSON.stringify({
    id: record.id,
    start: new Date(record.startedAt).toISOString(),
    duration: Math.round(record.duration),
    verdict: record.verdict,
    service: record.service,
    listener: record.portName,
    rule: record.rule,
    protocol: record.protocol,
    taken: record.taken,
    client: endpointText(record.client),
    clientZone: record.clientZone,
    destination: endpointText(record.destination),
    server: textOf(record.server),
    serverLocal: textOf(record.serverLocal),
    serverZone: record.serverZone,
    bytesFromClient: record.bytesRead,
    bytesToClient: record.bytesWritten,
    end: record.why,
  })}\n`

const textOf = (end: Endpoint | null): string | null => (end === null ? null : endpointText(end))
