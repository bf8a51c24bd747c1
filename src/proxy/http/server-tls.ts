import type { AccessList, Condition } from '../../acl/index.ts'
import type { CertificateError, Issuers, ServerSight, TlsClient, TlsTarget } from '../../tls/index.ts'
import type { Transaction } from './transaction.ts'

// Requests for https URLs: with whom TLS is to be spoken, and what may be wrong with that server for this request.

/** tls_outgoing_options and sslproxy_cert_error. */
export interface OutgoingTlsPolicy {
  readonly client: TlsClient
  /** What servers forget to send. */
  readonly issuers: Issuers
  /** What certificates have to name instead of the host; null = the host. */
  readonly domain: string | null
  /** Asked once for every error, which is the only one it then sees; null = nothing is tolerated. */
  readonly tolerates: AccessList | null
  /** Whose secrets are logged; null = nobody's. */
  readonly keyLog: Condition | null
}

/** Undefined: the request goes in clear text. */
export const tlsTarget = (t: Transaction): TlsTarget | undefined => {
  const { target, policy: { serverTls } } = t
  if (target === null || target.scheme !== 'https' || serverTls === null) return undefined
  return { client: serverTls.client, name: serverTls.domain ?? target.host, judge: judgeFor(t), keyLog: keyLogFor(t, serverTls) }
}

/** tls_key_log, for either side. */
export const keyLogFor = (t: Transaction, { keyLog }: OutgoingTlsPolicy): TlsTarget['keyLog'] =>
  keyLog?.holds(t.facts) === true ? line => t.client.deps.keyLog?.(line) : undefined

/** For routes of this request that have TLS of their own (a cache_peer), too. */
export const judgeFor = (t: Transaction): TlsTarget['judge'] => {
  const tolerates = t.policy.serverTls?.tolerates ?? null
  return sight => {
    t.outcome.serverTls = sight
    return sight.errors.length === 0 ? null : firstNotTolerated(t, sight, tolerates)
  }
}

const firstNotTolerated = (t: Transaction, { proof }: ServerSight, tolerates: AccessList | null): CertificateError | null => {
  const { facts } = t
  try {
    for (const error of proof.errors) {
      facts.certificateErrors = [error.name]
      if (tolerates?.checkFast(facts).allowed !== true) return error
    }
    return null
  } finally {
    facts.certificateErrors = null
  }
}
