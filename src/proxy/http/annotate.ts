import type { Outcome } from '../../base/index.ts'
import type { Guarded } from './policy.ts'
import type { Transaction } from './transaction.ts'

// The note lines of the conf: asked when the transaction is over, as in Squid, so that they may be about its response too.

/** Of the lines with one name, the first that matches gives the value. */
export interface NoteRule {
  readonly name: string
  readonly values: readonly Guarded<(outcome: Outcome) => string>[]
}

export const annotate = (t: Transaction, rules: readonly NoteRule[]): void => {
  if (t.target === null) return // nothing was asked that could be asked about
  const { facts, outcome } = t
  facts.responseStatus = outcome.status
  facts.responseFields = outcome.responseFields
  for (const { name, values } of rules) {
    const found = values.find(({ when }) => when.holds(facts))
    if (found !== undefined) facts.noted().add(name, found.value(outcome))
  }
}
