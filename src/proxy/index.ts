// proxy: those who speak a protocol with the client of a session. One folder each.
//
// holds          http, plug, tls, deny; programs in the middle of a session (stack)
// does not hold  sockets, routes, limits
// called by      cli/assemble
// calls          base, http, acl, tls, log, cache

export { createDenyProxy } from './deny/index.ts'
export * from './http/index.ts'
export {
  CountPlug, createPlugProxy, plainPlug, type PlugDeps, type PlugOptions, type PlugStack, type SecondaryPort,
} from './plug/index.ts'
export { ContentProgram, CountStack, type ProgramDeps, type ProgramService } from './stack/index.ts'
export type { Proxy } from './proxy.ts'
export { type CertificateSigning, CountTls, createTlsProxy, signingFor, type TlsDeps } from './tls/index.ts'
