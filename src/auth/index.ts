// auth: who a client is, and how it has proved that.
//
// holds          the schemes (basic, digest, ntlm, negotiate), challenges, nonces, files of passwords, what is remembered of users
// does not hold  what a user may do (acl), the programs asked (helper; handed in), the answer 407 (proxy)
// called by      acl's proxy_auth, through what cli hands it
// calls          base, helper (its grammar)

export { AddressUsers } from './address-users.ts'
export { Authenticator, type AuthenticatorOptions } from './authenticator.ts'
export { BasicScheme } from './basic.ts'
export { ConnectionScheme } from './connection-scheme.ts'
export { DigestScheme } from './digest.ts'
export { DigestFile, HelperSecrets } from './digest-secrets.ts'
export { PasswordHasher } from './hash/hasher.ts'
export { knownHash } from './hash/verify.ts'
export { FilePasswords, HelperPasswords, type PasswordSource } from './passwords.ts'
export type { AuthLink, Handshake, Proof, ProofRequest, Scheme } from './scheme.ts'
export { UserAddresses } from './user-addresses.ts'
