// proxy: those who speak a protocol with the client of a session. One folder each.
//
// holds          http, plug, deny
// does not hold  sockets, routes, limits
// called by      cli/assemble
// calls          base, http, acl, tls, log, cache

export { createDenyProxy } from './deny/index.ts'
export * from './http/index.ts'
export { CountPlug, createPlugProxy, type PlugDeps, type PlugOptions, type SecondaryPort } from './plug/index.ts'
export type { Proxy } from './proxy.ts'
