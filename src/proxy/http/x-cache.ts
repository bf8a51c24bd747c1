import type { HttpPolicy } from './policy.ts'

// X-Cache and X-Cache-Lookup as Squid 3 and 4 wrote them: whether the client got what was stored, and whether something
// was stored at all. Cache-Status (RFC 9211) says more; scripts still look for these.

export type LookedUp = 'HIT' | 'MISS' | 'NONE'

export const xCacheLines = ({ xCache }: Pick<HttpPolicy, 'xCache'>, given: 'HIT' | 'MISS', looked: LookedUp): string =>
  xCache === null ? '' : `X-Cache: ${given} ${xCache.from}\r\nX-Cache-Lookup: ${looked} ${xCache.at}\r\n`
