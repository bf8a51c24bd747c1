// conf: the squid-like configuration file, read into one typed value.
//
// holds          the grammar (lines, macros, if, include, quoting), units, the table of all directives and what comes
//                from it: parser, defaults, documentation; the linter
// does not hold  what an ACL value, a log code or a regex means (acl, log and cache compile those), nor any effect
// called by      cli
// calls          base

export type { CertAdaptation, OutgoingTls, OutgoingTlsFlag } from './directive/tls-outgoing.ts'
export { forgetLists } from './acl-table.ts'
export type * from './config.ts'
export type { CachePeerLine, NeighborTypeLine, PeerKind } from './directive/peers.ts'
export { type DirectiveName, needsRestart } from './directive/index.ts'
export { diagnosticText, exitCodeOf, inReadingOrder, placeOf, placeText } from './findings.ts'
export { confText, type LineFate, parseConf, type ParsedConf } from './parser.ts'
export { lastChainerOf } from './name-uses.ts'
export { portsOf } from './ports-of.ts'
export type { ConfSource } from './reader.ts'
export { shownConf } from './shown.ts'
export { type ConfWorld, systemWorld } from './world.ts'
