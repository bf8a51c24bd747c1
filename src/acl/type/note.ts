import type { AccessFacts } from '../access-facts.ts'
import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** An annotation of that name is there, with one of these values if any are given. `-m`: its value is a list. */
export const note = {
  fact: facts => `annotations ${shown([...(facts.notes?.pairs ?? []), ...(facts.clientNotes?.pairs ?? [])]) || '-'}`,
  compile: source => {
    const { argument, flags, at, values } = source.definition
    const name = argument?.text ?? ''
    if (name === '') source.report('fatal', at, 'note needs the name of an annotation first')
    const held = new Set(values.map(value => value.text))
    const list = flags.find(flag => flag.startsWith('-m'))
    const between = list === undefined ? '' : list.slice('-m='.length) || ','
    return facts => {
      const noted = valuesOf(facts, name)
      if (noted.length === 0) return mismatched
      if (held.size === 0) return matched
      const found = noted.some(value => held.has(value) || (between !== '' && parts(value, between).some(part => held.has(part))))
      return found ? matched : mismatched
    }
  },
} satisfies AclType

const shown = (pairs: readonly string[]): string => pairs.map((text, i) => (i % 2 === 0 ? `${i === 0 ? '' : ' '}${text}=` : text)).join('')

const valuesOf = ({ notes, clientNotes }: AccessFacts, name: string): readonly string[] => {
  const own = notes?.valuesOf(name) ?? []
  return own.length > 0 ? own : (clientNotes?.valuesOf(name) ?? [])
}

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
