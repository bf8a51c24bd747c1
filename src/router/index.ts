// router: where to, and from which address.
//
// holds          the routers: transparent (where the client was going), directed (where the conf says), in-band (where the
//                protocol says); which source address goes with a target; the guard against routing to ourselves; which
//                cache_peers a request may take, and in what order (peer-select)
// does not hold  names (handed in), policy about who may go where (proxy asks acl), connecting (chainer)
// called by      proxy, through the Router contract; cli builds it
// calls          base

export { createDirectedRouter, type DirectedRouterOptions } from './directed.ts'
export { createInbandRouter, type InbandRouterOptions } from './inband.ts'
export { PeerRouter, type PeerAnswer, type PeerPing, type ExplainedPeers, type PeerQuestion, type PeerUse, type PingAnswer, type PingTarget } from './peer-select/peer-router.ts'
export { addressesOf, type Lookup } from './resolve.ts'
export type { Route, RouteAnswer, RouteHint, Router } from './router.ts'
export { type ForgePort, type RouterOptions, usualRoutesMax } from './routes.ts'
export { createTransparentRouter, type TransparentRouterOptions } from './transparent.ts'
