import type { AclSource, AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** By chance: 0.3, 1/3, or 3:5 (three that match to five that do not). */
export const random = {
  fact: () => 'chance',
  compile: source => {
    const chance = readChance(source)
    return () => (source.random() < chance ? matched : mismatched)
  },
} satisfies AclType

const readChance = (source: AclSource): number => {
  const values = source.definition.values
  const value = values[values.length - 1]
  if (value === undefined) return 0
  if (values.length > 1) source.report('warning', value.at, `only the last value of ACL '${source.definition.name}' counts`)
  const chance = chanceOf(value.text)
  if (chance > 0 && chance < 1) return chance
  source.report('fatal', value.at, `'${value.text}' is no chance between 0 and 1`, 'write 0.3, 1/3 or 3:5')
  return 0
}

const chanceOf = (text: string): number => {
  const ratio = /^(\d+)([/:])(\d+)$/.exec(text)
  if (ratio === null) return /^\d*\.\d+$/.test(text) ? Number(text) : Number.NaN
  const [a, b] = [Number(ratio[1]), Number(ratio[3])]
  return ratio[2] === '/' ? a / b : a / (a + b)
}
