// tls: what TLS needs: certificates and connections.
//
// holds          connections of comm with TLS over them (secure-connection), the side of a client towards servers
//                (tls-client) with what a server's certificate proves (server-proof), the CA of a port and the certificates
//                it makes for clients (authority, mint), names of servers (server-name); the side of a server towards
//                clients (accept) with the certificates of a port (server-identity), client hellos (client-hello)
// does not hold  who decides what becomes of a connection or a certificate's errors (proxy, acl); files (cli reads them);
//                pools (chainer)
// called by      chainer, dispatch, proxy, cli
// calls          base, comm; node:tls speaks TLS, node:crypto signs

export { acceptTls, type Shown } from './accept.ts'
export { Authority, type AuthorityAnswer, commonNameOf, readAuthority } from './authority.ts'
export { signHashes, type SignHash } from './certificate.ts'
export { type ClientHello, readClientHello, versionText } from './client-hello.ts'
export {
  type Adaptation, type Leaf, type LeafAnswer, type LeafWish, Mint, type MintCounters, type MintOptions, noAdaptation,
  type SignAlgorithm, signAlgorithms,
} from './mint.ts'
export { Mints } from './mints.ts'
export { faultText, faultTexts } from './fault-texts.ts'
export { validationErrors, validationQuestion, Validator, type ValidatorOptions } from './validator.ts'
export { Issuers, type IssuerSource, issuerUri } from './issuers.ts'
export {
  handshake, type HandshakeDone, type HandshakeFailure, type MakeTls, SecureConnection,
} from './secure-connection.ts'
export { type CertificateText, type ClientCertificates, type IdentityOptions, ServerIdentity } from './server-identity.ts'
export { readServerHello, type ServerHello } from './server-hello.ts'
export { type ServerName, serverName } from './server-name.ts'
export { type CertificateError, domainMismatch, names, type ServerProof } from './server-proof.ts'
export { onOneLine, ServerSight } from './server-sight.ts'
export { SessionCache, type SessionLimits } from './session-cache.ts'
export {
  type Secured, type SecuredDone, TlsClient, type TlsClientDeps, type TlsClientOptions, type TlsTarget, usualTlsClient,
} from './tls-client.ts'
