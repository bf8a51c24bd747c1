import type { Clock } from '../base/index.ts'
import { systemLogFiles } from './file-system.ts'
import { LogFile } from './log-file.ts'

// tls_key_log: secrets of TLS sessions, in the format Wireshark and others read (NSS key log). Whoever has this file and a
// capture reads what was said.

export interface KeyLog {
  /** With its end of line. */
  write(line: string): void
  rotate(): void
  close(): Promise<void>
}

export interface KeyLogOptions {
  readonly clock: Clock
  /** Called rarely. */
  readonly trouble: (message: string) => void
  readonly relief?: (message: string) => void
  /** logfile_rotate. */
  readonly keep: number
}

const chunkBytes = 64 * 1024
/** Somebody looks at a capture while it grows. */
const delayMs = 100

export const createKeyLog = (path: string, options: KeyLogOptions): KeyLog => {
  const file = new LogFile(path, { ...options, files: systemLogFiles, fatal: null, encoding: 'latin1', chunkBytes, delayMs })
  return {
    write: line => file.write(line),
    rotate: () => file.rotate(),
    close: () => file.close(),
  }
}
