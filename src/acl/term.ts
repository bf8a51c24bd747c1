import type { AccessFacts } from './access-facts.ts'
import type { Acl } from './acl.ts'
import { type Match, matched, mismatched, unnamed } from './match.ts'

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
    if (found === unnamed) return failsAnyway(terms, i, facts) < 0 ? unnamed : mismatched
    if (found !== matched) return found
  }
  return matched
}

/** Left to right up to the first that matches. */
export const matchAny = (terms: readonly Term[], facts: AccessFacts): Match => {
  let otherwise: Match = mismatched
  for (let i = 0; i < terms.length; i++) {
    const found = matchTerm(terms[i] as Term, facts) // within by the loop
    if (found === unnamed) otherwise = unnamed
    else if (found !== mismatched) return found
  }
  return otherwise
}

/** Behind a term that waits for a name: the number of the first that does not match whatever that name is; -1 = there is none. */
export const failsAnyway = (terms: readonly Term[], waiting: number, facts: AccessFacts): number => {
  for (let i = waiting + 1; i < terms.length; i++) {
    if (matchTerm(terms[i] as Term, facts) === mismatched) return i // within by the loop
  }
  return -1
}
