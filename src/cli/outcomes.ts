import type { Outcome } from '../base/index.ts'
import { clientMask, type DebugLog, maskedOutcome, traceRecord } from '../log/index.ts'
import { ClientTable, Traffic } from '../manager/index.ts'
import { type AccessLogs, countsIn } from './access-logs.ts'
import type { LoadedConf } from './load-conf.ts'
import { Refusals } from './refused-lately.ts'
import type { StoreLogs } from './store-log.ts'

// What is kept and told of each transaction, once it is over: sums, the table of clients, what was not stored lately, the
// access logs, the store log, and the trace for debugging.

export interface OutcomeLogs {
  readonly log: DebugLog
  readonly accessLogs: AccessLogs
  readonly storeLogs: StoreLogs
}

/** client_netmask; null: addresses are told. */
type Mask = ReturnType<typeof clientMask> | null

export class Outcomes {
  readonly traffic = new Traffic()
  readonly clients = new ClientTable()
  readonly refusals = new Refusals()
  readonly #logs: OutcomeLogs
  /** Null: all of them count. */
  #counted: ReturnType<typeof countsIn>
  #mask: Mask
  #stripsQuery: boolean

  constructor(loaded: LoadedConf, logs: OutcomeLogs) {
    this.#logs = logs
    this.#counted = countsIn(loaded)
    this.#mask = maskOf(loaded)
    this.#stripsQuery = loaded.config.strip_query_terms
    this.clients.on = loaded.config.client_db
  }

  use(loaded: LoadedConf): void {
    this.#counted = countsIn(loaded)
    this.#mask = maskOf(loaded)
    this.#stripsQuery = loaded.config.strip_query_terms
    this.clients.on = loaded.config.client_db
    if (!this.clients.on) this.clients.forget()
  }

  readonly record = (outcome: Outcome): void => {
    const { log, accessLogs, storeLogs } = this.#logs
    const counts = this.#counted === null || this.#counted(outcome)
    this.traffic.count(outcome, counts)
    if (counts) this.clients.count(this.#masked(outcome))
    this.refusals.count(outcome)
    accessLogs.record(outcome)
    if (storeLogs.on) storeLogs.record(outcome)
    if (log.verbose) traceRecord(log, this.#masked(outcome), this.#stripsQuery)
  }

  #masked(outcome: Outcome): Outcome {
    return this.#mask === null ? outcome : maskedOutcome(outcome, this.#mask)
  }
}

const maskOf = ({ config }: LoadedConf): Mask => (config.client_netmask === 32 ? null : clientMask(config.client_netmask))
