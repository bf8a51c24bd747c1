import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** How the server was chosen, by Squid's hierarchy codes; NONE (HIER_NONE) while none has been. */
export const hierCode = {
  fact: facts => `server chosen as ${facts.outcome?.hierarchy ?? 'HIER_NONE'}`,
  compile: source => {
    const held = new Set<string>()
    for (const { text, at } of source.definition.values) {
      const name = text.toUpperCase()
      if (known.has(name)) held.add(name)
      else source.report('fatal', at, `'${text}' is no hierarchy code`, 'for example HIER_DIRECT or ORIGINAL_DST')
    }
    return facts => (held.has(facts.outcome?.hierarchy ?? 'HIER_NONE') ? matched : mismatched)
  },
} satisfies AclType

/** Squid's; those of peers are never met while there are none. */
const known: ReadonlySet<string> = new Set([
  'HIER_NONE', 'HIER_DIRECT', 'SIBLING_HIT', 'PARENT_HIT', 'DEFAULT_PARENT', 'SINGLE_PARENT', 'FIRSTUP_PARENT',
  'FIRST_PARENT_MISS', 'CLOSEST_PARENT_MISS', 'CLOSEST_PARENT', 'CLOSEST_DIRECT', 'NO_DIRECT_FAIL', 'SOURCE_FASTEST',
  'ROUNDROBIN_PARENT', 'CD_PARENT_HIT', 'CD_SIBLING_HIT', 'CARP', 'ANY_OLD_PARENT', 'USERHASH_PARENT', 'SOURCEHASH_PARENT',
  'PINNED', 'ORIGINAL_DST', 'STANDBY_POOL',
])
