import { type AclTable, compileCondition } from '../acl/index.ts'
import type { Outcome } from '../base/index.ts'
import type { Config, Diagnostic } from '../conf/index.ts'
import { compileText } from '../log/index.ts'
import type { Guarded, NoteRule } from '../proxy/index.ts'

/** note lines, by name; null = there are none. */
export const notesOf = (config: Config, acls: AclTable, problems: Diagnostic[]): readonly NoteRule[] | null => {
  if (config.note.length === 0) return null
  const byName = new Map<string, Guarded<(outcome: Outcome) => string>[]>()
  for (const { name, value, isFormat, acls: uses, at } of config.note) {
    const compiled = isFormat ? compileText(value) : null
    for (const { severity, message } of compiled?.problems ?? []) problems.push({ severity, at, message: `note: ${message}`, hint: '' })
    const values = byName.get(name) ?? []
    values.push({ value: compiled?.text ?? (() => value), when: compileCondition(uses, acls, at) })
    byName.set(name, values)
  }
  return Array.from(byName, ([name, values]) => ({ name, values }))
}
