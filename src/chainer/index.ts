// chainer: the only way to a server.
//
// holds          the walk over routes (connect), NAT policies (nat), connections to origins and who may share them
//                (origin-pool); the only user of undici
// does not hold  where to go (router), what is said there (proxy), how a socket is made (comm)
// called by      proxy, through the Chainer contract; cli builds it
// calls          base, http, comm

export type { Chained, Chainer, OriginFetch, OriginHandler, OriginRequest } from './chainer.ts'
export { type ConnectChainerOptions, createConnectChainer, usualTries } from './connect.ts'
export type { Dialer } from './dial.ts'
export {
  applyNat, CompiledNat, compileNat, type NatAnswer, type NatKind, natKinds, type NatLine, type NatOptions, type NatPolicies, type NatPolicy, noNat,
} from './nat/index.ts'
export {
  createOriginPool, type OriginLimits, OriginPool, type OriginPoolOptions, usualOriginLimits,
} from './origin-pool/pool.ts'
