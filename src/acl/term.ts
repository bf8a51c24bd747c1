import type { AccessFacts } from './access-facts.ts'
import type { Acl } from './acl.ts'
import { type Match, matched, mismatched } from './match.ts'

/** An ACL in a rule or group, perhaps with `!`. */
export interface Term {
  readonly acl: Acl
  readonly negated: boolean
}

export const matchTerm = (term: Term, facts: AccessFacts): Match => {
  const found = term.acl.match(facts)
  if (!term.negated) return found
  return found === matched ? mismatched : found === mismatched ? matched : found
}

/** The ACL asked last when this one is asked: itself, or of a group the member at which the asking stopped. */
export const lastWithin = (acl: Acl, facts: AccessFacts): string => {
  const stop = acl.stopsAt?.(facts) ?? null
  return stop === null ? acl.name : lastWithin(stop, facts)
}

/** Left to right up to the first that does not match: what stands behind it is not asked. */
export const matchAll = (terms: readonly Term[], facts: AccessFacts): Match => {
  for (let i = 0; i < terms.length; i++) {
    const found = matchTerm(terms[i] as Term, facts) // within by the loop
    if (found !== matched) return found
  }
  return matched
}
