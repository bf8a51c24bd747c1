import type { AccessRecord } from './access-record.ts'

// An example of conf/examples and what the lab does with it.

export interface Example {
  /** conf/examples/NAME.conf. */
  readonly name: string
  readonly title: string
  /** For `glassquid rules nft -f CONF --apply`; null: the example needs none. */
  readonly rules: readonly string[] | null
  /** Shell lines before anything else, per machine. */
  readonly setUp?: Readonly<Partial<Record<Machine, string>>>
  /** Who answers where: TRANSPORT:ADDRESS:PORT. */
  readonly servers: Readonly<Partial<Record<Machine, readonly string[]>>>
  readonly plays: readonly ExamplePlay[]
}

export type Machine = 'client' | 'gateway' | 'origin'

export interface ExamplePlay {
  readonly what: string
  readonly from: Machine
  readonly ask: Question
  /** The place that answers, as in `servers`; null: nobody does. */
  readonly answers: string | null
  /** Whom that place sees. */
  readonly sees: string | null
  /** What the proxy's access log says of it; null: nothing, it was not in the path. */
  readonly logged: Partial<AccessRecord> | null
  /** What stands in the session log, for what is in no access log: who was turned away. */
  readonly session?: Partial<SessionLine>
  /** Before it: words for a server (`close tcp:203.0.113.10:25`, `open ...`). */
  readonly before?: { readonly machine: Machine; readonly tell: string }
}

/** Of a line of session_log, what plays look at. */
export interface SessionLine {
  readonly service: string
  readonly verdict: string
  readonly destination: string
  readonly clientZone: string | null
}

export interface Question {
  readonly transport: 'tcp' | 'udp' | 'http'
  readonly host: string
  readonly port: number
  /** The asker's own address, where it has several. */
  readonly by?: string
}
