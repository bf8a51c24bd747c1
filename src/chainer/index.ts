// chainer: the only way to a server.
//
// holds          which target is tried when (course, target-states, availability), what the service says of targets
//                (server-policy, nat), the walk over them, connections to origins and who may share them (origin-pool);
//                the only user of undici
// does not hold  where to go (router), what is said there (proxy), how a socket is made (comm)
// called by      proxy, through the Chainer contract; cli builds it
// calls          base, http, comm, tls

export {
  Availability, type AvailabilityOptions, type Check, type CheckOutcome, httpCheck, programCheck, tcpCheck, type Watch,
} from './availability/index.ts'
export type { Chained, Chainer, OriginFetch, OriginHandler, OriginRequest } from './chainer.ts'
export { Beside, type BesideLimits, type BesideRules } from './beside.ts'
export { type ConnectChainerOptions, createConnectChainer, usualTries } from './connect.ts'
export { type Course, firstServer, inOrder, multiTarget, type Plan, Turn } from './course.ts'
export type { Dialer } from './dial.ts'
export {
  applyNat, CompiledNat, compileNat, type NatAnswer, type NatKind, natKinds, type NatLine, type NatOptions, type NatPolicies, type NatPolicy, noNat,
} from './nat/index.ts'
export {
  createOriginPool, type OriginLimits, OriginPool, type OriginPoolOptions, usualOriginLimits,
} from './origin-pool/pool.ts'
export { createSideStackChainer, type SideStackOptions } from './side-stack.ts'
export { noServerPolicy, type ServerPolicy } from './server-policy.ts'
export { failover, roundRobin, TargetStates, type TargetStatesOptions } from './target-states.ts'
