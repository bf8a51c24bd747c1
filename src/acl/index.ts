// acl: who may do what, and when.
//
// holds          one file per ACL type, the sets they search (addresses, domains, patterns), zones, POSIX regexes,
//                access lists and what decided them
// does not hold  how a conf is read (conf), who looks names up (handed in with the facts), what a decision leads to
// called by      proxy, dispatch, service, router; cli compiles the lists
// calls          base, http

export {
  type AccessList, type Condition, compileAccessList, compileCondition, type Decision, type ExplainedAcl, type ExplainedLine,
  type Explanation,
} from './access-list.ts'
export { AccessFacts } from './access-facts.ts'
export { factsOfOutcome } from './facts-of-outcome.ts'
export { type AclOptions, type AclTable, compileAcls, type PendingHost } from './compile.ts'
export type { AclClients, ConnectionMarkOf } from './client-lookups.ts'
export type { AccessNames } from './host-lookups.ts'
export type { ExternalAcl, HelperWord } from './external.ts'
export { IpKey } from './ip-key.ts'
export {
  type CompiledZones, compileZones, type Direction, isWithin, noZones, PrefixTable, PrefixTableBuilder, type Zone,
  type ZoneHost, ZoneHosts, type ZoneHostsOptions, type ZoneLine, zoneDepthMax, ZoneTable,
} from './zone/index.ts'
export type { AclUsers, Proof } from './users.ts'
export { compilePosixRegex, type PosixRegex } from './regex/compile-regex.ts'
export { compileReplacing, type Replacing } from './regex/replacing.ts'
export { armRegexGuard, type RegexGuard } from './regex/guard.ts'
export type { RegexError, RegexRemark } from './regex/posix-regex.ts'
