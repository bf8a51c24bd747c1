import { errorTable, type Outcome, type ResultCode } from '../base/index.ts'

// Sums over all transactions since the start, in Squid's terms: what the pages `counters` and `info` are made of.
// Counted once per transaction, from its record; a few additions and no memory.

export interface TrafficSums {
  readonly requests: number
  readonly hits: number
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
  errors = 0
  aborted = 0
  bytesIn = 0
  bytesOut = 0
  hitBytesOut = 0
  serverRequests = 0
  serverErrors = 0
  serverBytesIn = 0
  serverBytesOut = 0

  count(o: Outcome): void {
    this.requests++
    this.bytesIn += o.requestHeadBytes + o.requestContentBytes
    this.bytesOut += o.responseBytes
    if (isHit[o.result] === true) {
      this.hits++
      this.hitBytesOut += o.responseBytes
    }
    if (o.error !== null) {
      if (errorTable[o.error].suffix === '_ABORTED') this.aborted++
      else this.errors++
    }
    if (o.serverContentBytes >= 0) this.#countServer(o)
  }

  #countServer(o: Outcome): void {
    this.serverRequests++
    this.serverBytesIn += o.serverContentBytes
    this.serverBytesOut += o.requestContentBytes
    if (o.serverStatus === 0) this.serverErrors++
  }

  /** As they are now. */
  sums(): TrafficSums {
    return { ...this }
  }
}

/** Answered from what was stored: Squid's logTypeIsATcpHit. */
const isHit: Readonly<Partial<Record<ResultCode, true>>> = {
  TCP_HIT: true,
  TCP_MEM_HIT: true,
  TCP_IMS_HIT: true,
  TCP_INM_HIT: true,
  TCP_NEGATIVE_HIT: true,
  TCP_OFFLINE_HIT: true,
  TCP_REFRESH_UNMODIFIED: true,
  TCP_REFRESH_FAIL_OLD: true,
}
