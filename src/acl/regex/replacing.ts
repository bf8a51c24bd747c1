import { emitJs } from './emit.ts'
import { armRegexGuard } from './guard.ts'
import { parsePosixRegex, type RegexError } from './posix-regex.ts'

// A POSIX regex with a text made of what it found: `$1` to `$9` are its groups, `$0` is all of it, `$$` is a dollar. Only
// patterns that V8 can run in linear time, whatever the subject, and always run so. Where POSIX wants the longest of
// several alternatives, a group holds what the first of them found.

export interface Replacing {
  readonly ok: true
  /** Null: it does not match. */
  readonly replaced: (subject: string) => string | null
}

export const compileReplacing = (pattern: string, caseInsensitive: boolean, replacement: string): Replacing | RegexError => {
  const tree = parsePosixRegex(pattern, caseInsensitive)
  if (!tree.ok) return tree
  const source = emitJs(tree, 'groups')
  if (tree.references || !armRegexGuard().linear(source)) {
    return { ok: false, position: 1, message: 'it cannot be run in linear time', hint: 'leave out back references and large repetitions' }
  }
  const parts = partsOf(replacement)
  const groups = new RegExp(`${source}|`, 'sl').exec('')?.length ?? 1
  const missing = parts.find(part => typeof part === 'number' && part >= groups)
  if (missing !== undefined) return { ok: false, position: 1, message: `$${missing} is written, and the pattern has ${groups - 1} groups`, hint: '' }
  const regex = new RegExp(source, 'sl')
  return {
    ok: true,
    replaced(subject) {
      const found = regex.exec(subject)
      if (found === null) return null
      return parts.map(part => (typeof part === 'number' ? (found[part] ?? '') : part)).join('')
    },
  }
}

/** Texts, and numbers of groups. */
const partsOf = (replacement: string): readonly (string | number)[] =>
  replacement
    .split(/(\$[0-9$])/)
    .filter(part => part !== '')
    .map(part => (part === '$$' ? '$' : /^\$\d$/.test(part) ? Number(part.slice(1)) : part))
