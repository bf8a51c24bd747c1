import { msToSeconds, type WallMs } from '../base/index.ts'
import type { CacheStatus, ForwardReason } from '../http/index.ts'
import type { ReuseReason } from './reuse.ts'
import { timeToLive } from './reuse.ts'
import type { StoredResponse } from './stored-response.ts'

// RFC 9211: the reasons of the rules, as the parameters other people's tools read. `detail` carries our own word, so
// that a client sees what the log and `explain` say.

/** Answered from the cache without going forward. */
export const hitStatus = (stored: StoredResponse, reason: ReuseReason, now: WallMs): CacheStatus => {
  const ttl = ttlOf(stored, now)
  return reason === 'fresh' ? { hit: true, ttl } : { hit: true, ttl, detail: reason }
}

export interface Forwarded {
  readonly fwd: ForwardReason
  /** Status of the server's answer; 0 = none came. */
  readonly serverStatus: number
  /** Status of ours. */
  readonly status: number
  /** The answer was stored, or has updated what was. */
  readonly stored: boolean
  /** It was the fetch of another request. */
  readonly collapsed: boolean
  /** Why it was not stored, or what else is worth telling; '' = nothing. */
  readonly detail: string
}

/** Went forward to a server, for that reason. Without fwd-status the server's status is the one of the response (2.3). */
export const forwardStatus = ({ fwd, serverStatus, status, stored, collapsed, detail }: Forwarded): CacheStatus => ({
  fwd,
  ...(serverStatus > 0 && serverStatus !== status ? { fwdStatus: serverStatus } : {}),
  stored,
  collapsed,
  ...(detail === '' || detail === fwd ? {} : { detail }),
})

/** The same, where the stored response is what the client gets. */
export const validatedStatus = (stored: StoredResponse, forwarded: Forwarded, now: WallMs): CacheStatus => ({
  ...forwardStatus(forwarded),
  ttl: ttlOf(stored, now),
})

const ttlOf = (stored: StoredResponse, now: WallMs): number => msToSeconds(timeToLive(stored, now))
