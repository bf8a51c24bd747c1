import { hostText, type TargetUri, uriText } from '../../http/index.ts'
import type { Transaction } from './transaction.ts'

/** A target as the record has it; for CONNECT `host:port`. */
export const targetText = ({ scheme, host, port, path }: TargetUri): string =>
  scheme === 'tunnel' ? `${hostText(host)}:${port}` : uriText(scheme, host, port, path)

/**
 * A rewriter or an ICAP service says where the request goes: it is no longer the client's word, and what was not confirmed of
 * that does not matter any more. Access lists asked from here on see the new target.
 */
export const goElsewhere = (t: Transaction, target: TargetUri, rewritten: Transaction['rewritten']): void => {
  const uri = targetText(target)
  t.outcome.askedUri = t.outcome.uri
  t.outcome.uri = uri
  t.target = target
  t.rewritten = rewritten
  t.unverified = false
  const { facts } = t
  facts.scheme = target.scheme === 'tunnel' ? '' : target.scheme
  facts.uri = uri
  facts.host = hostText(target.host)
  facts.port = t.targetPort
  facts.urlPath = target.path
  facts.pinned = false
}
