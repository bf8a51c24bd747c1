import type { AclType } from '../acl.ts'
import { unlearned } from '../match.ts'
import { readPatterns } from '../value/patterns.ts'

/** The client's name, as srcdomain, by regex. */
export const srcdomRegex = {
  fact: facts => `client ${facts.client.address}, named ${facts.clientName() || '-'}`,
  compile: source => {
    const patterns = readPatterns(source)
    return facts => {
      const name = facts.clientName()
      if (name === null) return unlearned
      return patterns.test(name === '' ? 'none' : name)
    }
  },
} satisfies AclType
