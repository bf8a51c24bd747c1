import type { Bandwidth } from '../../../comm/bandwidth.ts'
import type { Connection } from '../../../comm/connection.ts'
import type { Clock, Deadlines, Endpoint, FieldView, Outcome, ProxyError } from '../../base/index.ts'
import type { AccessNames, AclClients } from '../../acl/index.ts'
import type { Collapse, Store } from '../../cache/index.ts'
import type { IcapClient } from './adapt/plan.ts'
import type { Buckets } from './delay/buckets.ts'
import type { NamePatience } from './name-patience.ts'
import type { HttpPolicy } from './policy.ts'
import type { ValidationsBehind } from './validate-behind.ts'

/** Everything the http proxy is handed by assemble; it opens nothing by itself. */
export interface HttpDeps {
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** The present policy; replaced as a whole by a reload. */
  readonly policy: { current: HttpPolicy }
  /** Replaced by a reload that names the first cache_dir. */
  store: Store
  readonly collapse: Collapse
  /** tls_key_log; absent = nothing is written. */
  readonly keyLog?: (line: string) => void
  /** stale-while-revalidate. */
  readonly validationsBehind: ValidationsBehind
  readonly names: NameService
  /** For who can go on without an answer. */
  readonly namePatience: NamePatience
  /** The same for access lists. */
  readonly accessNames: AccessNames | null
  readonly accessClients: AclClients | null
  readonly relay: Relay
  /** The mark of a tracked connection; null, or why it could not be set. */
  readonly markConnection: (from: Endpoint, to: Endpoint, value: number, mask: number) => string | null
  readonly icap: IcapClient
  /** For delay pools. */
  readonly buckets: Buckets
  /** Is this one of our own listening endpoints? Loops end here. */
  readonly isOwnEndpoint: (endpoint: Endpoint) => boolean
  /** Is a connection with these ends one that we made? A rule without an exemption for us brought it back. */
  readonly isOwnConnection: (from: Endpoint, to: Endpoint) => boolean
  readonly record: (outcome: Outcome) => void
  /** Memory the kernel sends from without a copy; null = there is none here. */
  readonly lend: ((bytes: number) => Buffer | null) | null
  /** The cache manager; null = there is none, and its path is a path like others. */
  readonly ownPages: OwnPages | null
  readonly notices: HttpNotices
}

/** Pages of our own, asked for like any URI on our own name and port. */
export interface OwnPages {
  /** What their paths begin with. */
  readonly path: string
  readonly answer: (request: {
    readonly method: string
    /** Path and query. */
    readonly path: string
    readonly fields: FieldView
    /** The content of a POST, as a form writes it. */
    readonly form: string
    /** That came with the page's name; null = none did, the fields may have one. */
    readonly password: string | null
  }) => Promise<{ readonly status: number; readonly pairs: readonly string[]; readonly content: Buffer }>
}

/** Names to addresses, with what was seen lately (for Host verification). */
export interface NameService {
  lookup(name: string): Resolved | Promise<Resolved>
  /** Was `address` in an answer for `name` within the last minutes? */
  everSeen(name: string, address: string): boolean
}

export type Resolved =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | { readonly ok: false; readonly code: string }

export type Relay = (
  a: Connection,
  b: Connection,
  options: {
    readonly idleTimeoutMs: number
    readonly limits: readonly Bandwidth[]
    readonly limitsOfA: readonly Bandwidth[]
    readonly onRelayed: (stats: { readonly bytesToA: number; readonly bytesToB: number; readonly why: string }) => void
  },
) => void

/** What an operator should read in cache.log; rate-limited by the receiver. */
export interface HttpNotices {
  hostForgery(client: Endpoint, destination: Endpoint, host: string, why: string): void
  directHit(client: Endpoint, port: string): void
  loop(client: Endpoint, uri: string): void
  badRewriting(uri: string, answer: string): void
  packets(why: string): void
  refusedHead(client: Endpoint, port: string, why: string): void
  /** A client would have liked an error page in it. */
  missingLanguage(language: string): void
  bug(where: string, error: unknown): void
  serverFailure(uri: string, error: ProxyError): void
}
