import type { AuthLink, Proof } from '../auth/scheme.ts'
import type { AccessFacts } from './access-facts.ts'
import { type Match, matched, mismatched, unlearned, unproven } from './match.ts'

export type { AuthLink, Proof }

/** Who clients are; the auth room, seen from access lists. */
export interface AclUsers {
  /** From the field `facts.credentials` names. Never rejects. */
  prove(facts: AccessFacts): Proof | Promise<Proof>
  /** Notes where the user comes from; true: from too many addresses now. */
  tooManyAddresses(facts: AccessFacts, max: number, strict: boolean): boolean
  /** An ACL wants to know who somebody is who cannot be asked (interception): for the log. */
  cannotAsk(facts: AccessFacts): void
}

/** `matched`: facts.user is who asks. */
export const provenUser = (users: AclUsers | null, facts: AccessFacts): Match => {
  if (facts.user !== '') return matched
  if (users === null) return mismatched
  if (facts.credentials === null) {
    users.cannotAsk(facts)
    return mismatched
  }
  if (facts.proof === null) {
    const proof = users.prove(facts)
    if (proof instanceof Promise) {
      facts.expect(proof, known => keepProof(facts, known))
      return unlearned
    }
    keepProof(facts, proof)
  }
  // written by keepProof
  return (facts.user as string) === '' ? unproven : matched
}

const keepProof = (facts: AccessFacts, proof: Proof): void => {
  facts.proof = proof
  if (proof.state !== 'proven') return
  facts.user = proof.user
  if (proof.notes !== undefined && proof.notes.length > 0) facts.noted().take(proof.notes)
  if (facts.outcome !== null) facts.outcome.user = proof.user
}
