import type { Clock } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import { createKeyLog, type DebugLog, type KeyLog } from '../log/index.ts'

/** The tls_key_log of the present conf. */
export class KeyLogs {
  readonly #clock: Clock
  readonly #log: DebugLog
  #path: string | null = null
  #open: KeyLog | null = null

  constructor(config: Config, clock: Clock, log: DebugLog) {
    this.#clock = clock
    this.#log = log
    this.use(config)
  }

  readonly write = (line: string): void => {
    this.#open?.write(line)
  }

  use(config: Config): void {
    const path = config.tls_key_log?.path ?? null
    if (path === this.#path && this.#open !== null) return
    void this.#open?.close()
    this.#path = path
    if (path !== null) this.#log.write('tls', 1, `tls_key_log: secrets of TLS sessions are written to ${path}`)
    this.#open =
      path === null
        ? null
        : createKeyLog(path, { clock: this.#clock, keep: config.logfile_rotate, trouble: message => this.#log.error('log', message), relief: message => this.#log.write('log', 1, message) })
  }

  rotate(): void {
    this.#open?.rotate()
  }

  async close(): Promise<void> {
    await this.#open?.close()
  }
}
