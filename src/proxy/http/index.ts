// proxy/http: HTTP/1 with clients, the cache, and the way to origins.
//
// holds          the client side of a session, the steps of a transaction, Host verification, error pages, tunnels
// does not hold  the grammar (http), what may be stored or reused (cache), where to go (router), how to get there
//                (chainer), who may (acl); it asks them in this order
// called by      service, with a session; handed in by cli/assemble
// calls          base, http, acl, cache; what it needs of comm, router and chainer is handed in

export { CountHttp } from './counters.ts'
export { currentRequest } from './current.ts'
export type { Adaptation, AdaptationGroup, AdaptationService } from './adapt/plan.ts'
export { type DelayPools, Pool, type PoolLevel, ResponsePool, retire } from './delay/pools.ts'
export {
  type Explained, explain, type ExplainParts, type ExplainedVariant, type LastRefused, type Question, type RunningParts,
} from './explain.ts'
export { explainedText } from './explain-text.ts'
export type { HttpDeps, HttpNotices, NameService, OwnPages, Relay, Resolved } from './deps.ts'
export { DenyInfo, type DenialPage } from './deny-info.ts'
export { ErrorPages, type PagesByLanguage } from './error-pages.ts'
export type { FieldRule, FieldRules } from './field-rules.ts'
export { PageTemplate } from './page-template.ts'
export { createHttpProxy } from './http-proxy.ts'
export { createInterceptedTlsProxy } from './bump/intercepted.ts'
export type { PortBump } from './bump/port-bump.ts'
export { CountBump } from './bump/counters.ts'
export { BumpRules } from './bump/rules.ts'
export type { Guarded, HttpPolicy, HttpPort } from './policy.ts'
export type { NoteRule } from './annotate.ts'
export type { Flows, Mark, PacketRules } from './packets.ts'
export type { Rewriter } from './rewrite.ts'
export { type Identifier, type StoreIdRule, storeIdOf } from './store-id.ts'
export { judgeFor, type OutgoingTlsPolicy } from './server-tls.ts'
export { type Step, stepNames } from './steps.ts'
export { xCacheLines } from './x-cache.ts'
export { NamePatience } from './name-patience.ts'
export { ValidationsBehind } from './validate-behind.ts'
