import type { AccessFacts } from '../access-facts.ts'
import type { AclSource, AclType, Matcher } from '../acl.ts'
import { matched } from '../match.ts'

/** Of one transaction or connection: more is a conf that appends without an end. */
const noteCharsMax = 4096

/** Always matches, and leaves `key=value` with the request; `key+=value` adds to what is there. */
export const annotateTransaction = {
  fact: () => 'an annotation',
  compile: source => annotating(source, facts => (facts.notes ??= new Map())),
} satisfies AclType

/** The same for the client's connection: its later requests have the annotation too. */
export const annotateClient = {
  fact: () => 'an annotation',
  compile: source => annotating(source, facts => (facts.clientNotes ??= new Map())),
} satisfies AclType

const annotating = (source: AclSource, notesOf: (facts: AccessFacts) => Map<string, string>): Matcher => {
  const notes = source.definition.values.flatMap(({ text, at }) => {
    const found = /^([^=+]+)(\+?=)(.*)$/.exec(text)
    if (found === null) source.report('fatal', at, `'${text}' is no annotation`, 'write key=value or key+=value')
    return found === null ? [] : [{ key: found[1] ?? '', adds: found[2] === '+=', value: (found[3] ?? '').replace(/^"(.*)"$/, '$1') }]
  })
  return facts => {
    const held = notesOf(facts)
    for (const { key, adds, value } of notes) {
      const before = adds ? held.get(key) : undefined
      held.set(key, (before === undefined ? value : `${before},${value}`).slice(0, noteCharsMax))
    }
    return matched
  }
}
