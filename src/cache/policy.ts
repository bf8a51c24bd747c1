import { type DurationMs, ms } from '../base/index.ts'
import type { Surrogate } from '../http/index.ts'
import { RefreshPatterns } from './refresh-pattern.ts'
import type { TagPolicy } from './tags.ts'

/** What a shared cache does with Set-Cookie; each choice is right by RFC 9111, and each has surprised somebody. */
export const setCookiePolicies = {
  strip: 'stored without the field, so that no client gets the cookie of another (Squid, ATS)',
  refuse: 'the response is not stored (nginx, Varnish)',
  replay: 'stored and given to everyone (Apache, HAProxy); right where origins mean their Cache-Control',
} as const

export type SetCookiePolicy = keyof typeof setCookiePolicies

/** What the operator decides about the rules. Replaced as a whole by a reload. */
export interface CachePolicy {
  readonly refresh: RefreshPatterns
  /** max_stale: how far beyond its freshness a response may be used at all when the origin fails. */
  readonly maxStale: DurationMs
  readonly reloadIntoIms: boolean
  /** refresh_all_ims: conditional requests of clients are always answered by asking the origin. */
  readonly refreshAllIms: boolean
  readonly setCookie: SetCookiePolicy
  /** negative_ttl: freshness of errors that say nothing about theirs; 0 = none but what RFC 9111 gives them. */
  readonly negativeTtl: DurationMs
  /** offline_mode: what would be validated is used as it is. */
  readonly offline: boolean
  readonly tags: TagPolicy
  /** minimum_expiry_time: fresh for less than this, and without a validator, is not worth storing. */
  readonly minimumExpiry: DurationMs
  /** vary_ignore_expire: beside a Vary, an Expires that is the Date says nothing. */
  readonly varyIgnoreExpire: boolean
  /** On accel ports: what Surrogate-Control says to it counts before Cache-Control. */
  readonly surrogate: Surrogate | null
  /** cdn_cache_control: CDN-Cache-Control is for us (RFC 9213). */
  readonly isCdn: boolean
}

/** Squid's defaults. */
export const defaultPolicy: CachePolicy = {
  refresh: new RefreshPatterns([]),
  maxStale: ms(7 * 24 * 3600 * 1000),
  reloadIntoIms: false,
  refreshAllIms: false,
  setCookie: 'strip',
  negativeTtl: ms(0),
  offline: false,
  tags: 'keep',
  minimumExpiry: ms(0),
  varyIgnoreExpire: false,
  surrogate: null,
  isCdn: false,
}
