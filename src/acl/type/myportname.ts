import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The listening port's `name=`, or its address as the conf has it. */
export const myportname = {
  fact: facts => `listening port ${facts.portName}`,
  compile: source => {
    const names = new Set(source.definition.values.map(value => value.text))
    return facts => (names.has(facts.portName) ? matched : mismatched)
  },
} satisfies AclType
