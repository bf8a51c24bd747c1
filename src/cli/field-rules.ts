import { type AclTable, compileAccessList, compileCondition } from '../acl/index.ts'
import type { Config, Diagnostic } from '../conf/index.ts'
import { compileText } from '../log/index.ts'
import type { FieldRule, FieldRules } from '../proxy/index.ts'

/** Null: the conf says nothing of fields of this side. */
export const fieldRules = (config: Config, side: 'request' | 'reply', acls: AclTable, problems: Diagnostic[]): FieldRules | null => {
  const access = config[`${side}_header_access`]
  const replaced = config[`${side}_header_replace`]
  const added = config[`${side}_header_add`]
  if (access.length + replaced.length + added.length === 0) return null
  const rules = new Map<string, FieldRule>()
  for (const name of new Set([...access.map(line => line.subject), ...replaced.map(line => line.name)].map(n => n.toLowerCase()))) {
    const lines = access.filter(line => line.subject.toLowerCase() === name)
    const replacement = replaced.findLast(line => line.name.toLowerCase() === name)?.value ?? null
    rules.set(name, { access: lines.length === 0 ? null : compileAccessList(lines, acls, 'allow'), replacement })
  }
  const take = (name: string): FieldRule | null => {
    const rule = rules.get(name) ?? null
    rules.delete(name)
    return rule !== null && rule.access !== null ? rule : null
  }
  return {
    all: take('all'),
    other: take('other'),
    named: rules,
    added: added.map(line => {
      const compiled = line.isFormat ? compileText(line.value) : null
      for (const problem of compiled?.problems ?? []) {
        problems.push({ severity: problem.severity, at: line.at, message: `${side}_header_add: ${problem.message}`, hint: '' })
      }
      return { value: { name: line.name, text: compiled?.text ?? (() => line.value) }, when: compileCondition(line.acls, acls, line.at) }
    }),
  }
}
