import type { Kind } from './directive.ts'
import { needWord } from './kinds.ts'

// lru | heap LRU | heap LFUDA | heap GDSF, as Squid names them. Its two LRUs differ in how they are kept, not in what goes.

export type RemovalPolicyName = 'lru' | 'lfuda' | 'gdsf'

/** A Map: `constructor` and its like are words a conf may hold, and no policies. */
const heaps: ReadonlyMap<string, RemovalPolicyName> = new Map([
  ['lru', 'lru'],
  ['lfuda', 'lfuda'],
  ['gdsf', 'gdsf'],
])

export const removalPolicy: Kind<RemovalPolicyName> = {
  grammar: 'lru|heap LRU|heap LFUDA|heap GDSF',
  limits: '',
  initial: 'lru',
  read(line) {
    const word = needWord(line, "'lru', 'heap LRU', 'heap LFUDA' or 'heap GDSF'")
    if (word === undefined) return undefined
    if (word.text === 'lru') return 'lru'
    if (word.text !== 'heap') {
      const heap = heaps.get(word.text.toLowerCase())
      line.fatal(
        `${line.name}: expecting lru or heap, got '${word.text}'`,
        word,
        heap === undefined ? '' : `did you mean heap ${heap.toUpperCase()}?`,
      )
      return undefined
    }
    const which = needWord(line, "'LRU', 'LFUDA' or 'GDSF' behind 'heap'")
    if (which === undefined) return undefined
    const policy = heaps.get(which.text.toLowerCase())
    if (policy === undefined) line.fatal(`${line.name}: expecting LRU, LFUDA or GDSF behind heap, got '${which.text}'`, which)
    return policy
  },
  write: policy => [policy === 'lru' ? 'lru' : `heap ${policy.toUpperCase()}`],
}
