import type { Notes } from '../../base/index.ts'
import type { AccessFacts } from '../access-facts.ts'
import type { AclSource, AclType, Matcher } from '../acl.ts'
import { matched } from '../match.ts'

/** Always matches, and leaves `key=value` with the request; `key+=value` adds to what is there. */
export const annotateTransaction = {
  fact: () => 'an annotation',
  compile: source => annotating(source, facts => [facts.noted()]),
} satisfies AclType

/** The same for the client's connection: its later requests have the annotation too. */
export const annotateClient = {
  fact: () => 'an annotation',
  compile: source => annotating(source, facts => [facts.notedOfClient(), facts.noted()]),
} satisfies AclType

const annotating = (source: AclSource, notesOf: (facts: AccessFacts) => readonly Notes[]): Matcher => {
  const written = source.definition.values.flatMap(({ text, at }) => {
    const found = /^([^=+]+)(\+?=)(.*)$/.exec(text)
    if (found === null) source.report('fatal', at, `'${text}' is no annotation`, 'write key=value or key+=value')
    return found === null ? [] : [{ key: found[1] ?? '', adds: found[2] === '+=', value: (found[3] ?? '').replace(/^"(.*)"$/, '$1') }]
  })
  return facts => {
    for (const notes of notesOf(facts)) {
      for (const { key, adds, value } of written) {
        if (adds && !notes.valuesOf(key).includes(value)) notes.add(key, value)
        else if (!adds) notes.set(key, value)
      }
    }
    return matched
  }
}
