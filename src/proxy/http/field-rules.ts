import type { AccessFacts, AccessList } from '../../acl/index.ts'
import type { Outcome } from '../../base/index.ts'
import { knownFields } from './known-fields.ts'
import type { Guarded } from './policy.ts'

// request_header_access, reply_header_access and what goes with them: which fields of a message go on, which are replaced,
// which are added. A field's rules are those of its name, else those of `Other` if Squid does not know it, else `All`.

export interface FieldRules {
  /** By name in lower case. */
  readonly named: ReadonlyMap<string, FieldRule>
  readonly other: FieldRule | null
  readonly all: FieldRule | null
  readonly added: readonly Guarded<AddedText>[]
}

export interface FieldRule {
  /** Null: only a replacement is there, so nothing is denied. */
  readonly access: AccessList | null
  /** Instead of being removed. */
  readonly replacement: string | null
}

export interface AddedText {
  readonly name: string
  readonly text: (outcome: Outcome) => string
}

/**
 * These say where a message ends and to whom it goes. Squid lets a conf remove them, and then sends requests no server
 * can read.
 */
const kept: ReadonlySet<string> = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'upgrade'])

/** name, value, name, value ... */
export const ruledPairs = (rules: FieldRules, pairs: readonly string[], facts: AccessFacts, outcome: Outcome): string[] => {
  const ruled: string[] = []
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const name = pairs[i] as string // i + 1 < length
    const value = pairs[i + 1] as string
    const rule = ruleFor(rules, name.toLowerCase())
    if (rule === null || rule.access === null || rule.access.checkFast(facts).allowed) ruled.push(name, value)
    else if (rule.replacement !== null) ruled.push(name, rule.replacement)
    else if (kept.has(name.toLowerCase())) ruled.push(name, value)
  }
  for (const { value, when } of rules.added) {
    if (when.holds(facts)) ruled.push(value.name, value.text(outcome))
  }
  return ruled
}

/** As Squid: a replacement alone hides a known field's rules from nobody, but takes an unknown one out of `Other`. */
const ruleFor = ({ named, other, all }: FieldRules, lower: string): FieldRule | null => {
  const own = named.get(lower)
  if (knownFields.has(lower)) return own !== undefined && own.access !== null ? own : all
  return own ?? other ?? all
}

/** The lines of a head, each with its CRLF, and the status line before them. */
export const ruledHead = (rules: FieldRules, head: string, facts: AccessFacts, outcome: Outcome): string => {
  const first = head.indexOf('\r\n') + 2
  const pairs: string[] = []
  let at = first
  while (at < head.length) {
    const end = head.indexOf('\r\n', at)
    if (end === at) break // the empty line
    const colon = head.indexOf(':', at)
    pairs.push(head.slice(at, colon), head.slice(colon + 1, end).trimStart())
    at = end + 2
  }
  const ruled = ruledPairs(rules, pairs, facts, outcome)
  let text = head.slice(0, first)
  for (let i = 0; i + 1 < ruled.length; i += 2) text += `${ruled[i]}: ${ruled[i + 1]}\r\n`
  return text + head.slice(at)
}
