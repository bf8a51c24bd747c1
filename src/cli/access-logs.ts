import { compileAccessList, factsOfOutcome } from '../acl/index.ts'
import { type Clock, endpoint, type IcapRecord, newOutcome, type Outcome } from '../base/index.ts'
import { type AccessLog, clientMask, createAccessLog, type DebugLog } from '../log/index.ts'
import type { Config } from '../conf/index.ts'
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
  readonly #relief = (message: string): void => this.#log.write('log', 1, message)
  #open: AccessLog
  #icap: AccessLog | null

  /** `fatal`: the conf says that the proxy must not go on without this log. */
  constructor(loaded: LoadedConf, clock: Clock, log: DebugLog, also: Recorder | null, fatal: (message: string) => void) {
    this.#clock = clock
    this.#log = log
    this.#also = also
    this.#fatal = fatal
    this.#open = this.#make(loaded, loaded.config.access_log)
    this.#icap = this.#icapLog(loaded)
  }

  record(outcome: Outcome): void {
    this.#open.write(outcome)
    this.#also?.(outcome)
  }

  /** icap_log. `outcome` null: it was for no transaction. */
  recordIcap(icap: IcapRecord, outcome: Outcome | null): void {
    this.#icap?.writeIcap(icap, outcome ?? nobodys(this.#clock))
  }

  reload(loaded: LoadedConf): void {
    const former = [this.#open, this.#icap]
    this.#open = this.#make(loaded, loaded.config.access_log)
    this.#icap = this.#icapLog(loaded)
    for (const log of former) void log?.close()
  }

  rotate(): void {
    this.#open.rotate()
    this.#icap?.rotate()
  }

  async close(): Promise<void> {
    await Promise.all([this.#open.close(), this.#icap?.close()])
  }

  #icapLog(loaded: LoadedConf): AccessLog | null {
    const lines = loaded.config.icap_log
    return lines.length === 0 ? null : this.#make(loaded, lines)
  }

  #make({ config, policy }: LoadedConf, lines: Config['access_log']): AccessLog {
    return createAccessLog(lines, config.logformat, {
      clock: this.#clock,
      trouble: this.#trouble,
      relief: this.#relief,
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

const nowhere = endpoint('0.0.0.0', 0)

/** The proxy itself has asked: OPTIONS. */
const nobodys = (clock: Clock): Outcome => {
  const outcome = newOutcome({ startedAt: clock.wall(), startedMono: clock.mono(), client: nowhere, clientLocal: nowhere, portName: '', taken: 'direct' })
  outcome.initiator = 'validation' // no client is told of
  outcome.method = ''
  outcome.uri = ''
  return outcome
}

/** stats_collection; null: all count. */
export const countsIn = ({ config, policy }: LoadedConf): ((outcome: Outcome) => boolean) | null => {
  const list = compileAccessList(config.stats_collection, policy.acls, 'allow')
  if (list.constant?.allowed === true) return null
  return outcome => list.checkFast(factsOfOutcome(outcome)).allowed
}
