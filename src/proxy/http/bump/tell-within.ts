import type { Transaction } from '../transaction.ts'

/**
 * May a CONNECT be answered 200, and the refusal be told in TLS? Browsers do not show the answer to a CONNECT. Squid does so
 * for every error where there are ssl_bump lines; but who has to say who he is must be asked before the 200.
 */
export const mayTellWithin = ({ parsed, policy, failure, outcome }: Transaction): boolean =>
  parsed !== null && parsed.connect !== null && policy.bump !== null && failure?.code !== 'unauthenticated' && outcome.clientTls === null
