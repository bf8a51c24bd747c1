import type { AccessFacts, Condition } from '../../acl/index.ts'
import type { Adaptation, LeafWish, SignAlgorithm, SignHash } from '../../tls/index.ts'

// sslproxy_cert_sign and sslproxy_cert_adapt: how the certificate for a bumped connection is made. The facts have the
// errors of the server's own (AccessFacts.certificateErrors).

interface Line<T> {
  readonly value: T
  readonly when: Condition
}

export interface CertificateSigning {
  readonly hash: SignHash
  /** The first that matches; the built-in ones are last, so one always does. */
  readonly signs: readonly Line<SignAlgorithm>[]
  readonly adapts: readonly Line<{ readonly algorithm: keyof Adaptation; readonly commonName: string | null }>[]
}

/** `name`: the request's host, for setCommonName without a name. */
export const signingFor = (signing: CertificateSigning, facts: AccessFacts, name: string): Pick<LeafWish, 'sign' | 'adapt'> => {
  const sign = signing.signs.find(line => line.when.holds(facts))?.value ?? 'signUntrusted'
  const adapts = (algorithm: keyof Adaptation) => signing.adapts.find(line => line.value.algorithm === algorithm && line.when.holds(facts))
  const named = adapts('setCommonName')
  return {
    sign,
    adapt: {
      setValidAfter: adapts('setValidAfter') !== undefined,
      setValidBefore: adapts('setValidBefore') !== undefined,
      setCommonName: named === undefined ? null : (named.value.commonName ?? name),
    },
  }
}
