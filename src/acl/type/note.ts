import type { AccessFacts } from '../access-facts.ts'
import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** An annotation of that name is there, with one of these values if any are given. `-m`: its value is a list. */
export const note = {
  fact: facts => `annotations ${[...(facts.notes ?? []), ...(facts.clientNotes ?? [])].map(([name, value]) => `${name}=${value}`).join(' ') || '-'}`,
  compile: source => {
    const { argument, flags, at, values } = source.definition
    const name = argument?.text ?? ''
    if (name === '') source.report('fatal', at, 'note needs the name of an annotation first')
    const held = new Set(values.map(value => value.text))
    const list = flags.find(flag => flag.startsWith('-m'))
    const between = list === undefined ? '' : list.slice('-m='.length) || ','
    return facts => {
      const value = noteOf(facts, name)
      if (value === undefined) return mismatched
      if (held.size === 0 || held.has(value)) return matched
      if (between === '') return mismatched
      return parts(value, between).some(part => held.has(part)) ? matched : mismatched
    }
  },
} satisfies AclType

export const noteOf = (facts: AccessFacts, name: string): string | undefined =>
  facts.notes?.get(name) ?? facts.clientNotes?.get(name)

/** Each character of `between` ends a part. */
const parts = (value: string, between: string): string[] => {
  const found: string[] = []
  let from = 0
  for (let i = 0; i <= value.length; i++) {
    if (i < value.length && !between.includes(value[i] ?? '')) continue
    found.push(value.slice(from, i).trim())
    from = i + 1
  }
  return found
}
