import type { Clock, Outcome, ResultCode } from '../base/index.ts'
import { flag, type StoreEvents, storeReasons, type StoredResponse } from '../cache/index.ts'
import type { Config } from '../conf/index.ts'
import { createStoreLog, type DebugLog, type StoreAction, type StoreLine, type StoreLog, timesOf } from '../log/index.ts'

/** The cache_store_log of the present conf. */
export class StoreLogs {
  readonly #clock: Clock
  readonly #log: DebugLog
  #path: string | null = null
  #open: StoreLog | null = null

  constructor(config: Config, clock: Clock, log: DebugLog) {
    this.#clock = clock
    this.#log = log
    this.use(config)
  }

  get on(): boolean {
    return this.#open !== null
  }

  use(config: Config): void {
    const path = config.cache_store_log
    if (path === this.#path) return
    void this.#open?.close()
    this.#path = path
    this.#open =
      path === null
        ? null
        : createStoreLog(path, {
            clock: this.#clock,
            keep: config.logfile_rotate,
            stripQueryTerms: config.strip_query_terms,
            trouble: message => this.#log.error('log', message), relief: message => this.#log.write('log', 1, message),
          })
  }

  /** What the cache_dir of that number tells; -1: memory. */
  of(dir: number): StoreEvents {
    const tell = (action: StoreAction, stored: StoredResponse, number: number): void =>
      this.#open?.write(lineOf(action, stored, dir < 0 ? -1 : dir, number))
    return {
      written: (stored, number) => tell('SWAPOUT', stored, number),
      risen: (stored, number) => tell('SWAPIN', stored, number),
      released: (stored, number) => tell('RELEASE', stored, number),
      refused: stored => this.#open?.write(lineOf('SO_FAIL', stored, -1, 0)),
    }
  }

  /** A transaction is over: what it answered with may never have been stored. */
  record(outcome: Outcome): void {
    if (this.#open !== null && !isKept(outcome)) this.#open.write(unstoredLine(outcome))
  }

  rotate(): void {
    this.#open?.rotate()
  }

  async close(): Promise<void> {
    await this.#open?.close()
  }
}

const lineOf = (action: StoreAction, stored: StoredResponse, dir: number, number: number): StoreLine => ({
  action, dir, number,
  method: stored.has(flag.headOnly) ? 'HEAD' : 'GET',
  uri: stored.uri,
  status: stored.status,
  date: Math.floor(stored.date / 1000),
  lastModified: stored.lastModified < 0 ? -1 : Math.floor(stored.lastModified / 1000),
  expires: stored.lifetime < 0 ? -1 : Math.floor((stored.date + stored.lifetime) / 1000),
  contentType: stored.contentType,
  length: stored.contentLength,
  bytes: stored.has(flag.headOnly) ? 0 : Math.max(0, stored.contentLength),
  unstored: false,
})

/** What was served was stored, or is now; or there was nothing that could have been. */
const isKept = (o: Outcome): boolean => {
  if (o.status === 0 || o.collapsed || o.method === 'CONNECT' || served.includes(o.result)) return true
  return Object.hasOwn(storeReasons, o.storeReason) && storeReasons[o.storeReason as keyof typeof storeReasons].kind === 'store' // a key of it
}

const served: readonly ResultCode[] = [
  'TCP_HIT', 'TCP_MEM_HIT', 'TCP_IMS_HIT', 'TCP_INM_HIT', 'TCP_NEGATIVE_HIT', 'TCP_OFFLINE_HIT', 'TCP_REFRESH_UNMODIFIED',
  'TCP_REFRESH_FAIL_OLD', 'TCP_TUNNEL',
]

const unstoredLine = (o: Outcome): StoreLine => {
  const length = o.responseFields?.get('content-length')
  const declared = length === undefined || !/^\d{1,15}$/.test(length) ? -1 : Number(length)
  return {
    action: 'RELEASE', dir: -1, number: 0,
    method: o.method,
    uri: o.uri,
    status: o.status,
    ...timesOf(o.responseFields, o.startedAt),
    contentType: o.contentType,
    length: declared,
    // a page of our own is as long as it says
    bytes: o.serverStatus > 0 ? Math.max(0, o.serverContentBytes) : Math.max(0, declared),
    unstored: true,
  }
}
