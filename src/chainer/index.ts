// chainer: the only way to a server.
//
// holds          the walk over routes (connect), connections to origins and who may share them (origin-pool); the only
//                user of undici
// does not hold  where to go (router), what is said there (proxy), how a socket is made (comm)
// called by      proxy, through the Chainer contract; cli builds it
// calls          base, http, comm

export type { Chained, Chainer, OriginFetch, OriginHandler, OriginRequest } from './chainer.ts'
export { type ConnectChainerOptions, createConnectChainer, usualTries } from './connect.ts'
export type { Dialer } from './dial.ts'
export {
  createOriginPool, type OriginLimits, OriginPool, type OriginPoolOptions, usualOriginLimits,
} from './origin-pool/pool.ts'
