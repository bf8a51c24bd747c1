// proxy/tls: TLS with clients whose connections begin with it.
//
// holds          handshakes of https_port lines, the session behind them
// does not hold  what is spoken inside (http), TLS itself (src/tls)
// called by      service, with a session; handed in by cli/assemble
// calls          base, tls; the proxy inside is handed in

export { CountTls } from './counters.ts'
export { type CertificateSigning, signingFor } from './signing.ts'
export { createTlsProxy, type TlsDeps } from './tls-proxy.ts'
