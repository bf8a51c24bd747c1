import { type Match, matched, mismatched } from '../match.ts'
import { emitJs } from './emit.ts'
import { armRegexGuard } from './guard.ts'
import { parsePosixRegex, type PosixTree, type RegexError, type RegexRemark } from './posix-regex.ts'
import { steppedMatcher } from './stepped.ts'

export type Matching = (subject: string) => Match

export interface PosixRegex {
  readonly ok: true
  /** `untold` = the pattern ran out of steps (back references, giant repetitions). Does not hang. */
  readonly test: Matching
  readonly remarks: readonly RegexRemark[]
}

/** One pattern of refresh_pattern or the like. Subjects are latin1 strings. */
export const compilePosixRegex = (pattern: string, caseInsensitive: boolean): PosixRegex | RegexError => {
  const tree = parsePosixRegex(pattern, caseInsensitive)
  return tree.ok ? { ok: true, test: compileTree(tree), remarks: tree.remarks } : tree
}

/** V8 where it can promise to end, our own counting matcher where it cannot. */
export const compileTree = (tree: PosixTree): Matching => {
  const regex = tree.references ? null : nativeRegex(tree)
  return regex === null ? steppedMatcher(tree) : subject => (regex.test(subject) ? matched : mismatched)
}

const nativeRegex = (tree: PosixTree): RegExp | null => {
  const guard = armRegexGuard()
  for (const unrolled of [false, true]) {
    const source = emitJs(tree, unrolled)
    if (source !== null && guard.linear(source)) return new RegExp(source, 's')
  }
  return null
}
