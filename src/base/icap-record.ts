import type { Endpoint } from './address.ts'
import type { FieldView } from './outcome.ts'

// One ICAP transaction: a message, or OPTIONS, shown to a service. Written by the icap room, read by icap_log and by the
// codes adapt:: and icap:: of access logs.

/** What came of it, as Squid spells it. */
export const icapOutcomes = {
  ICAP_OPT: 'OPTIONS',
  ICAP_ECHO: 'it stays as it was (204)',
  ICAP_MOD: 'the service has changed it',
  ICAP_SAT: 'the service has answered the request itself',
  ICAP_GONE: 'nobody waited for it any more',
  ICAP_ERR_RACE: 'a kept connection ended before the service had the request; it was shown again',
  ICAP_ERR_OTHER: 'the service could not be reached, or did not answer in ICAP',
} as const

export type IcapOutcome = keyof typeof icapOutcomes

export interface IcapRecord {
  readonly service: string
  readonly uri: string
  readonly method: 'REQMOD' | 'RESPMOD' | 'OPTIONS'
  readonly outcome: IcapOutcome
  /** 0 = none came. */
  readonly status: number
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Of content that came; -1 = none did. */
  readonly contentBytes: number
  /** From its beginning to its end, and of that with the service. */
  readonly tookMs: number
  readonly withServiceMs: number
  readonly server: Endpoint | null
  readonly requestFields: FieldView | null
  readonly responseFields: FieldView | null
}
