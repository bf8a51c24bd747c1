import { type Match, matched, mismatched } from '../match.ts'
import { automaton } from './automaton.ts'
import { emitJs } from './emit.ts'
import { armRegexGuard } from './guard.ts'
import { type Node, parsePosixRegex, type PosixTree, type RegexError, type RegexRemark } from './posix-regex.ts'
import { steppedMatcher } from './stepped.ts'

export type Matching = (subject: string) => Match

export interface PosixRegex {
  readonly ok: true
  /** `untold` = the pattern ran out of steps (back references, giant repetitions). Does not hang. */
  readonly test: Matching
  /** For those who need no third answer: what cannot be told does not match. */
  readonly matches: (subject: string) => boolean
  readonly remarks: readonly RegexRemark[]
}

/** One pattern of refresh_pattern or the like. Subjects are latin1 strings. */
export const compilePosixRegex = (pattern: string, caseInsensitive: boolean): PosixRegex | RegexError => {
  const tree = parsePosixRegex(pattern, caseInsensitive)
  if (!tree.ok) return tree
  const run = compileTree(tree)
  return { ok: true, test: run, matches: subject => run(subject) === matched, remarks: tree.remarks }
}

/**
 * V8 is ten times faster than anything written in JS, but only promises not to be exponential. So it gets the patterns
 * it can compile and, if they repeat anything, subjects so short that their square does not matter (0.1 ms at worst).
 * Everything else is read by our own automaton, byte by byte; what does not fit into it either, in counted steps.
 */
export const compileTree = (tree: PosixTree): Matching => {
  const native = nativeMatching(tree)
  if (native !== null && !repeats(tree.root)) return native
  let bounded: Matching | null = null
  const own: Matching = subject => {
    bounded ??= automaton(tree) ?? steppedMatcher(tree)
    return bounded(subject)
  }
  return native === null ? own : subject => (subject.length <= nativeLengthMax ? native : own)(subject)
}

const nativeLengthMax = 256

/**
 * V8 compiles what can be skipped once with it and once without: its time doubles with a few of them in a row (tried:
 * 15 take 4 ms, 32 take 0.3 s, 60 take 45 s; some nested repetitions end the process).
 */
const skippableMax = 10
const sourceLengthMax = 5000

const nativeMatching = (tree: PosixTree): Matching | null => {
  if (tree.references || skippable(tree.root) > skippableMax) return null
  const source = emitJs(tree)
  if (source.length > sourceLengthMax || !armRegexGuard().linear(source)) return null
  const regex = new RegExp(source, 's')
  return subject => (regex.test(subject) ? matched : mismatched)
}

const repeats = (node: Node): boolean => {
  switch (node.kind) {
    case 'group':
      return repeats(node.body)
    case 'sequence':
      return node.parts.some(repeats)
    case 'choice':
      return node.branches.some(repeats)
    case 'repeat':
      return node.max > 1 || repeats(node.body)
    default:
      return false
  }
}

/** How many parts may match nothing, copies counted. */
const skippable = (node: Node): number => {
  switch (node.kind) {
    case 'group':
      return skippable(node.body)
    case 'sequence':
      return node.parts.reduce((sum, part) => sum + skippable(part), 0)
    case 'choice':
      return node.branches.reduce((sum, branch) => sum + skippable(branch), node.branches.some(isEmpty) ? 1 : 0)
    case 'repeat': {
      const copies = node.max === Number.POSITIVE_INFINITY ? node.min + 1 : node.max
      return skippable(node.body) * copies + (copies - node.min)
    }
    default:
      return 0
  }
}

const isEmpty = (node: Node): boolean => node.kind === 'empty'
