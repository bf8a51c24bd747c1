import { compileAccessList, factsOfOutcome } from '../acl/index.ts'
import type { Clock, Outcome } from '../base/index.ts'
import { type AccessLog, clientMask, createAccessLog, type DebugLog } from '../log/index.ts'
import type { LoadedConf } from './load-conf.ts'
import { localDatagrams } from './local-datagrams.ts'

export type Recorder = (outcome: Outcome) => void

/** The access logs of the present conf; a reload opens new ones, and the former are written to their end. */
export class AccessLogs {
  readonly #clock: Clock
  readonly #log: DebugLog
  readonly #also: Recorder | null
  readonly #fatal: (message: string) => void
  /** Made here: a log that cannot be written to its end lives on, and must not keep the conf it was made by. */
  readonly #trouble = (message: string): void => this.#log.error('log', message)
  #open: AccessLog

  /** `fatal`: the conf says that the proxy must not go on without this log. */
  constructor(loaded: LoadedConf, clock: Clock, log: DebugLog, also: Recorder | null, fatal: (message: string) => void) {
    this.#clock = clock
    this.#log = log
    this.#also = also
    this.#fatal = fatal
    this.#open = this.#make(loaded)
  }

  record(outcome: Outcome): void {
    this.#open.write(outcome)
    this.#also?.(outcome)
  }

  reload(loaded: LoadedConf): void {
    const former = this.#open
    this.#open = this.#make(loaded)
    void former.close()
  }

  rotate(): void {
    this.#open.rotate()
  }

  close(): Promise<void> {
    return this.#open.close()
  }

  #make({ config, policy }: LoadedConf): AccessLog {
    return createAccessLog(config.access_log, config.logformat, {
      clock: this.#clock,
      trouble: this.#trouble,
      conditionOf: line => {
        if (line.acls.length === 0) return null
        const condition = policy.conditionOf(line.acls, line.at)
        return outcome => condition.holds(factsOfOutcome(outcome))
      },
      keep: config.logfile_rotate,
      stripQueryTerms: config.strip_query_terms,
      mimeFields: config.log_mime_hdrs,
      clientMask: config.client_netmask === 32 ? null : clientMask(config.client_netmask),
      localDatagrams: localDatagrams(),
      fatal: this.#fatal,
    })
  }
}

/** stats_collection; null: all count. */
export const countsIn = ({ config, policy }: LoadedConf): ((outcome: Outcome) => boolean) | null => {
  const list = compileAccessList(config.stats_collection, policy.acls, 'allow')
  if (list.constant?.allowed === true) return null
  return outcome => list.checkFast(factsOfOutcome(outcome)).allowed
}
