import type { Connection } from '../../comm/connection.ts'
import type { Endpoint } from '../base/index.ts'
import type { Service } from './service.ts'

/** How a session ended, in Zorp's words. */
export const verdicts = {
  ACCEPTED: 'it ran and ended by itself',
  DENIED_BY_POLICY: 'a rule, zone or access list said no',
  DENIED_BY_LIMIT: 'a limit of the service or of the process',
  DENIED_BY_CONNECTION_FAIL: 'no server could be reached',
  DENIED_BY_UNKNOWN_FAIL: 'a bug or an unforeseen failure',
  ABORTED_BY_POLICY_ACTION: 'stopped by the operator',
} as const

export type Verdict = keyof typeof verdicts

/** The proxy's object for one client. */
export interface Speaker {
  /** The process stops: whoever is idle is let go, whoever is served gets this answer and no other. */
  windUp(): void
  /** Bytes so far, by a proxy whose bytes do not pass through the client's connection object: a relay's stay in the kernel. */
  moved?(): { readonly fromClient: number; readonly toClient: number } | null
}

/** What is known before the service is. */
export interface Decided {
  readonly rule: number | null
  readonly clientZone: string | null
  readonly serverZone: string | null
  /** Why there is to be no session; absent when there is nothing against it. */
  readonly denied?: string
}

export const undecided: Decided = { rule: null, clientZone: null, serverZone: null }

/** One client connection inside a service. Kept small: ten thousand idle ones are normal. */
export interface Session {
  /** Serial number within the service. */
  readonly number: number
  /** The path, `svc/web:4711`; proxies append their own (`/http`). Built when asked for. */
  readonly id: string
  readonly service: Service
  readonly client: Connection
  /** The listener's name, for myportname and the log. */
  readonly portName: string
  /** Where the client wanted to go; for plain ports our own endpoint. */
  readonly destination: Endpoint
  readonly taken: 'nat' | 'tproxy' | 'direct'
  /** The rule that chose the service; null when a listener named it. */
  readonly rule: number | null
  /** Null: in none, or there are no zones. */
  readonly clientZone: string | null
  /** Of the destination; of the server, as it is after DNAT, once one was chosen. */
  serverZone: string | null
  verdict: Verdict
  /** Set by the chainer at connect: the server's and our own end. */
  server: Endpoint | null
  serverLocal: Endpoint | null
  /** Set by a proxy that can wind up. */
  speaker: Speaker | null
}
