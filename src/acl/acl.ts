import type { AclDefinition, AclUse, Location, Severity } from '../conf/config.ts'
import type { AccessFacts } from './access-facts.ts'
import type { ExternalAcl } from './external.ts'
import type { Match } from './match.ts'
import type { AclUsers } from './users.ts'
import type { ZoneTable } from './zone/zone-table.ts'

/** Answers at once and allocates nothing; `unlearned` where a name has to be looked up first. */
export type Matcher = (facts: AccessFacts) => Match

/** One type of ACL: what `acl NAME type ...` compiles to. One file each in type/. */
export interface AclType {
  /** What it looks at, in words, for explain. */
  readonly fact: (facts: AccessFacts) => string
  readonly compile: (source: AclSource) => Matcher
  /** Groups only: where asking stops. */
  readonly stopsAt?: (source: AclSource) => (facts: AccessFacts) => Acl | null
}

/** What a type is given to compile from. */
export interface AclSource {
  readonly definition: AclDefinition
  /** An ACL defined before this one, for groups; null = there is none, and that has been reported. */
  acl(use: AclUse, at: Location): Acl | null
  /** Of the same conf. */
  readonly zones: ZoneTable
  /** Who clients are. Null: the conf has no way to find out. */
  readonly users: AclUsers | null
  /** The external_acl_type of that name. */
  external(name: string): ExternalAcl | undefined
  /** Services by the name of each, and of each set and chain they are in. */
  readonly adaptations: ReadonlyMap<string, readonly string[]>
  /** Numbers in [0, 1), for `random`. */
  readonly random: () => number
  /** A host name among addresses: `set` is called when it is resolved, perhaps again later. */
  hostName(name: string, at: Location, set: (addresses: readonly string[]) => void): void
  report(severity: Severity, at: Location, message: string, hint?: string): void
}

/** A compiled ACL. */
export interface Acl {
  /** As defined. */
  readonly name: string
  readonly type: string
  readonly match: Matcher
  readonly fact: (facts: AccessFacts) => string
  /** Groups: the member at which asking stops; null = they have none. */
  readonly stopsAt?: ((facts: AccessFacts) => Acl | null) | undefined
  /** It is there, but its type does not work yet: no working list may use it. */
  readonly unbuilt: boolean
}
