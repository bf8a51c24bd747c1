import { type Clock, endpointText } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import { clientMask, createSessionLog, type DebugLog, type SessionLog } from '../log/index.ts'
import type { SessionRecord } from '../service/index.ts'

/** The session_log of the present conf, and what cache.log says of sessions that were turned away. */
export class SessionLogs {
  readonly #clock: Clock
  readonly #log: DebugLog
  #path: string | null = null
  #mask: ((address: string) => string) | null = null
  #open: SessionLog | null = null

  constructor(config: Config, clock: Clock, log: DebugLog) {
    this.#clock = clock
    this.#log = log
    this.use(config)
  }

  readonly ended = (record: SessionRecord): void => {
    this.#open?.write(this.#told(record))
    if (this.#log.verbose) this.#trace(this.#told(record))
  }

  readonly refused = (record: SessionRecord, detail: string): void => {
    this.#log.limited(`limit ${record.service} ${record.client.address}`, 'service', 1, `WARNING: ${record.client.address} is turned away: ${detail}`)
    this.#open?.write(this.#told(record))
  }

  #trace({ id, service, taken, protocol, client, destination, server, bytesRead, bytesWritten, duration, why }: SessionRecord): void {
    const towards = server === null ? '' : `, server ${endpointText(server)}`
    this.#log.write('service', 3, `${id}: ${protocol} session of ${service} ended: ${endpointText(client)} by ${taken} to ${endpointText(destination)}${towards}, ${bytesRead} bytes in, ${bytesWritten} out, ${Math.floor(duration)} ms, ${why}`)
  }

  /** client_netmask; a server was shown the client's address where ours towards it is that. */
  #told(record: SessionRecord): SessionRecord {
    const mask = this.#mask
    if (mask === null) return record
    const { client, serverLocal } = record
    const shown = serverLocal !== null && serverLocal.address === client.address
    return { ...record, client: { ...client, address: mask(client.address) }, serverLocal: shown ? { ...serverLocal, address: mask(serverLocal.address) } : serverLocal }
  }

  use(config: Config): void {
    this.#mask = config.client_netmask === 32 ? null : clientMask(config.client_netmask)
    const path = config.session_log?.replace(/^stdio:/, '') ?? null
    if (path === this.#path && this.#open !== null) return
    void this.#open?.close()
    this.#path = path
    this.#open =
      path === null
        ? null
        : createSessionLog(path, { clock: this.#clock, keep: config.logfile_rotate, trouble: message => this.#log.error('log', message), relief: message => this.#log.write('log', 1, message) })
  }

  rotate(): void {
    this.#open?.rotate()
  }

  async close(): Promise<void> {
    await this.#open?.close()
  }
}
