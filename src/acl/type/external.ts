import type { AccessFacts } from '../access-facts.ts'
import type { AclType } from '../acl.ts'
import type { HelperWord } from '../external.ts'
import { type Match, matched, mismatched, unlearned, untold } from '../match.ts'
import { provenUser } from '../users.ts'

/** A helper program decides. What it says besides yes or no is noted for the log, for pages and for ACLs behind it. */
export const external = {
  fact: facts => `what a helper says (user ${facts.helperUser || '-'}, tag ${facts.tag || '-'})`,
  compile: source => {
    const { definition, users } = source
    const named = definition.argument
    const asked = named === null ? undefined : source.external(named.text)
    if (asked === undefined) {
      const at = named?.at ?? definition.at
      source.report('fatal', at, `there is no external_acl_type '${named?.text ?? ''}'`, 'define it above this line')
      return () => mismatched
    }
    const words = definition.values.map(value => value.text)
    return facts => {
      if (asked.needsUser) {
        const found = provenUser(users, facts)
        if (found !== matched) return found
      }
      const line = asked.lineFor(facts, definition.name, words)
      const known = facts.helperAnswers?.get(definition)
      if (known !== undefined && known.line === line) return said(facts, known)
      const answer = asked.ask(line)
      if (!(answer instanceof Promise)) return said(facts, answer)
      facts.expect(answer, word => {
        facts.helperAnswers ??= new Map()
        facts.helperAnswers.set(definition, word)
      })
      return unlearned
    }
  },
} satisfies AclType

const said = (facts: AccessFacts, word: HelperWord): Match => {
  if (word.user !== '') facts.helperUser = word.user
  if (word.tag !== '') facts.tag = word.tag
  if (word.notes.length > 0) facts.noted().take(word.notes)
  const { outcome } = facts
  if (outcome !== null) {
    if (word.user !== '') outcome.helperUser = word.user
    if (word.tag !== '') outcome.tag = word.tag
    if (word.log !== '') outcome.helperLog = word.log
    if (word.message !== '') outcome.helperMessage = word.message
  }
  // as Squid: what cannot be decided lets nobody in, with or without `!`
  return word.matches === null ? untold : word.matches ? matched : mismatched
}
