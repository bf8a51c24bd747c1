// proxy: those who speak a protocol with the client of a session. One folder each.
//
// holds          http
// does not hold  sockets, routes, limits
// called by      cli/assemble
// calls          base, http, acl, tls, log, cache

export * from './http/index.ts'
export type { Proxy } from './proxy.ts'
