import type { Clock } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import { createSessionLog, type DebugLog, type SessionLog } from '../log/index.ts'
import type { SessionRecord } from '../service/index.ts'

/** The session_log of the present conf, and what cache.log says of sessions that were turned away. */
export class SessionLogs {
  readonly #clock: Clock
  readonly #log: DebugLog
  #path: string | null = null
  #open: SessionLog | null = null

  constructor(config: Config, clock: Clock, log: DebugLog) {
    this.#clock = clock
    this.#log = log
    this.use(config)
  }

  readonly ended = (record: SessionRecord): void => {
    this.#open?.write(record)
  }

  readonly refused = (record: SessionRecord, detail: string): void => {
    this.#log.limited(`limit ${record.service} ${record.client.address}`, 'service', 1, `WARNING: ${record.client.address} is turned away: ${detail}`)
    this.#open?.write(record)
  }

  use(config: Config): void {
    const path = config.session_log?.replace(/^stdio:/, '') ?? null
    if (path === this.#path && this.#open !== null) return
    void this.#open?.close()
    this.#path = path
    this.#open =
      path === null
        ? null
        : createSessionLog(path, { clock: this.#clock, keep: config.logfile_rotate, trouble: message => this.#log.error('log', message) })
  }

  rotate(): void {
    this.#open?.rotate()
  }

  async close(): Promise<void> {
    await this.#open?.close()
  }
}
