import { errorTable, type Outcome, type ResultCode, resultCodes } from '../base/index.ts'
import { kindNames, ServiceTimes, type TimeKind } from './durations.ts'

// Sums over all transactions since the start, in Squid's terms: what the pages `counters` and `info` are made of.
// Counted once per transaction, from its record; a few additions and no memory.

export interface TrafficSums {
  readonly requests: number
  readonly hits: number
  /** Of them, those from memory and those from disk. */
  readonly memoryHits: number
  readonly diskHits: number
  readonly errors: number
  readonly aborted: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly hitBytesOut: number
  readonly serverRequests: number
  readonly serverErrors: number
  readonly serverBytesIn: number
  readonly serverBytesOut: number
}

export class Traffic implements TrafficSums {
  requests = 0
  hits = 0
  memoryHits = 0
  diskHits = 0
  errors = 0
  aborted = 0
  bytesIn = 0
  bytesOut = 0
  hitBytesOut = 0
  serverRequests = 0
  serverErrors = 0
  serverBytesIn = 0
  serverBytesOut = 0
  readonly times = new ServiceTimes()
  readonly #results = new Uint32Array(codes.length)
  readonly #statuses = new Uint32Array(6)

  /** Requests by result code, of those that were. */
  results(): Partial<Record<ResultCode, number>> {
    return Object.fromEntries(codes.flatMap((code, i) => (this.#results[i] ? [[code, this.#results[i]]] : [])))
  }

  /** Answers by the first digit of their status. */
  statuses(): Record<string, number> {
    return Object.fromEntries([...this.#statuses].map((count, digit) => [String(digit), count]))
  }

  /** `ofClient` false: stats_collection leaves it out of what is told of clients. */
  count(o: Outcome, ofClient = true): void {
    if (o.initiator === 'client' && ofClient) this.#countClient(o)
    if (o.serverContentBytes >= 0) this.#countServer(o)
  }

  #countClient(o: Outcome): void {
    const took = o.endedMono - o.startedMono
    this.requests++
    this.times.add(allTimes, took)
    const result = codeIndex[o.result]
    const digit = (o.status / 100) | 0
    this.#results[result] = (this.#results[result] ?? 0) + 1
    if (digit < 6) this.#statuses[digit] = (this.#statuses[digit] ?? 0) + 1
    const kind = kindOf[o.result]
    if (kind !== undefined) this.times.add(kind, took)
    if (o.dnsMs >= 0) this.times.add(dnsTimes, o.dnsMs)
    this.bytesIn += o.requestHeadBytes + o.requestContentBytes
    this.bytesOut += o.responseBytes
    if (isHit[o.result] === true) {
      this.hits++
      if (o.result === 'TCP_MEM_HIT') this.memoryHits++
      else if (o.result === 'TCP_HIT') this.diskHits++
      this.hitBytesOut += o.responseBytes
    }
    if (o.error !== null) {
      if (errorTable[o.error].suffix === '_ABORTED') this.aborted++
      else this.errors++
    }
  }

  #countServer(o: Outcome): void {
    this.serverRequests++
    this.serverBytesIn += o.serverContentBytes
    this.serverBytesOut += o.requestContentBytes
    if (o.serverStatus === 0) this.serverErrors++
  }

  /** As they are now. */
  sums(): TrafficSums {
    const { times, ...sums } = this
    return sums
  }
}

export const codes = Object.keys(resultCodes) as readonly ResultCode[] // of that table
export const codeIndex = Object.fromEntries(codes.map((code, i) => [code, i])) as Readonly<Record<ResultCode, number>> // one per code

/** Answered from what was stored: Squid's logTypeIsATcpHit. */
export const isHit: Readonly<Partial<Record<ResultCode, true>>> = {
  TCP_HIT: true,
  TCP_MEM_HIT: true,
  TCP_IMS_HIT: true,
  TCP_INM_HIT: true,
  TCP_NEGATIVE_HIT: true,
  TCP_OFFLINE_HIT: true,
  TCP_REFRESH_UNMODIFIED: true,
  TCP_REFRESH_FAIL_OLD: true,
}

const allTimes = kindNames.indexOf('all')
const dnsTimes = kindNames.indexOf('dns')

/** In which of the times a result counts besides `all`: Squid's statUpdate. */
const kinds: Readonly<Partial<Record<ResultCode, TimeKind>>> = {
  TCP_HIT: 'hit',
  TCP_MEM_HIT: 'hit',
  TCP_OFFLINE_HIT: 'hit',
  TCP_MISS: 'miss',
  TCP_CLIENT_REFRESH_MISS: 'miss',
  TCP_REFRESH_UNMODIFIED: 'nearHit',
  TCP_REFRESH_MODIFIED: 'nearMiss',
  TCP_IMS_HIT: 'notModified',
  TCP_INM_HIT: 'notModified',
}
const kindOf = Object.fromEntries(Object.entries(kinds).map(([code, kind]) => [code, kindNames.indexOf(kind)])) as Readonly<
  Partial<Record<ResultCode, number>>
> // the same keys
