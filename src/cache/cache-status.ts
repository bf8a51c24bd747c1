import { msToSeconds, type WallMs } from '../base/index.ts'
import type { CacheStatus } from '../http/index.ts'
import type { ReuseReason } from './reuse.ts'
import { reuseReasons, timeToLive } from './reuse.ts'
import type { StoredResponse } from './stored-response.ts'

// RFC 9211: the reasons of the rules, as the parameters other people's tools read. `detail` carries our own word, so
// that a client sees what the log and `explain` say.

/** Answered from the cache without going forward. */
export const hitStatus = (stored: StoredResponse, reason: ReuseReason, now: WallMs): CacheStatus => {
  const ttl = msToSeconds(timeToLive(stored, now))
  return reason === 'fresh' ? { hit: true, ttl } : { hit: true, ttl, detail: reason }
}

export interface Forwarded {
  readonly reason: ReuseReason
  /** Status of the answer; 0 = none came. */
  readonly serverStatus: number
  /** The answer was stored, or has updated what was. */
  readonly stored: boolean
  /** It was the fetch of another request. */
  readonly collapsed: boolean
  /** Why it was not stored, or what else is worth telling; '' = nothing. */
  readonly detail: string
}

/** Went forward to a server, for that reason. */
export const forwardStatus = (forwarded: Forwarded): CacheStatus => ({
  fwd: reuseReasons[forwarded.reason].fwd ?? 'miss',
  ...(forwarded.serverStatus > 0 ? { fwdStatus: forwarded.serverStatus } : {}),
  stored: forwarded.stored,
  collapsed: forwarded.collapsed,
  ...(forwarded.detail === '' ? {} : { detail: forwarded.detail }),
})

/** Answered by ourselves without going forward and without a stored response: only-if-cached. */
export const refusedStatus = (reason: ReuseReason): CacheStatus => ({ detail: reason })
