import { type AdminAnswer, type AdminPort, type AdminRequest, openAdminPort } from '../admin/index.ts'
import { endpointText, systemClock } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'

/** admin_port, as the conf in force has it. A proxy without it still serves: that it has none is said, and no more. */
export class AdminDoor {
  readonly #answer: (request: AdminRequest) => Promise<AdminAnswer>
  readonly #log: Pick<DebugLog, 'error' | 'warning'>
  #wanted = ''
  #open: AdminPort | null = null

  constructor(answer: (request: AdminRequest) => Promise<AdminAnswer>, log: Pick<DebugLog, 'error' | 'warning'>) {
    this.#answer = answer
    this.#log = log
  }

  get port(): AdminPort | null {
    return this.#open
  }

  async use({ admin_port: endpoint }: Config): Promise<void> {
    const wanted = endpoint === null ? '' : endpointText(endpoint)
    if (wanted === this.#wanted && (wanted === '') === (this.#open === null)) return
    this.#wanted = wanted
    await this.#open?.close()
    this.#open = null
    if (endpoint === null) return
    const opened = await openAdminPort({
      clock: systemClock,
      endpoint,
      answer: this.#answer,
      failed: (error, where) => this.#log.error('manager', `${where}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    })
    if (opened.ok) this.#open = opened.port
    else this.#log.warning('manager', `admin_port: ${opened.reason}; there are no metrics`)
  }

  async close(): Promise<void> {
    await this.#open?.close()
    this.#open = null
  }
}
