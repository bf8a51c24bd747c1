import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'
import { patternMatcher } from '../value/patterns.ts'

/** The cache_peer a request goes to; until one is tried nothing matches. */
export const peername = {
  fact: facts => peerText(facts.outcome?.peer),
  compile: source => {
    const names = new Set(source.definition.values.map(({ text }) => text.toLowerCase()))
    return facts => (names.has((facts.outcome?.peer ?? '').toLowerCase()) ? matched : mismatched)
  },
} satisfies AclType

export const peernameRegex = {
  fact: facts => peerText(facts.outcome?.peer),
  compile: source => patternMatcher(source, facts => facts.outcome?.peer || undefined),
} satisfies AclType

const peerText = (peer = ''): string => (peer === '' ? 'no peer' : `the peer ${peer}`)
