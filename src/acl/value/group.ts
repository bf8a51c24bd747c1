import type { AclSource } from '../acl.ts'
import type { Term } from '../term.ts'

/** The members of any-of and all-of, line by line. A member must have been defined before, so groups cannot be circular. */
export const readGroup = (source: AclSource): readonly Term[][] => {
  const read = known.get(source) ?? linesOf(source)
  known.set(source, read)
  return read
}

/** A group is read for what it matches and for where it stops: once, so that what is wrong with it is said once. */
const known = new WeakMap<AclSource, readonly Term[][]>()

const linesOf = (source: AclSource): readonly Term[][] => {
  const lines = new Map<string, Term[]>()
  for (const { text, at } of source.definition.values) {
    const negated = text.startsWith('!')
    const acl = source.acl({ name: negated ? text.slice(1) : text, negated }, at)
    if (acl === null) continue
    const key = `${at.file}:${at.line}`
    const terms = lines.get(key) ?? []
    terms.push({ acl, negated })
    lines.set(key, terms)
  }
  return [...lines.values()]
}
