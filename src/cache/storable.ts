import type { WallMs } from '../base/index.ts'
import {
  type Fields, heuristicallyCacheable, parseContentRange, type ResponseCacheControl, requestCacheControl, resolveReference, type TargetUri,
  uriText, varyMembers,
} from '../http/index.ts'
import { negativeTtlOf } from './freshness.ts'
import type { PartRange } from './parts.ts'
import type { CachePolicy } from './policy.ts'
import type { RefreshOptions } from './refresh-pattern.ts'
import { tagsOf } from './tags.ts'

// RFC 9111 3: may this response be stored. What is forbidden comes before what is pointless, so that the reason tells
// the first thing that would have to change.

interface Line {
  readonly kind: 'store' | 'no'
  readonly doc: string
}

export const storeReasons = {
  'explicit': { kind: 'store', doc: 'it says how long it is fresh' },
  'heuristic': { kind: 'store', doc: 'fresh by heuristic, by a refresh_pattern or by negative_ttl' },
  'validator': { kind: 'store', doc: 'stale already, but the origin can be asked whether it still holds' },
  'stale-window': { kind: 'store', doc: 'stale already, but may be used stale for a while' },
  'store-stale': { kind: 'store', doc: 'stale already; store-stale of its refresh_pattern' },

  'tunnel': { kind: 'no', doc: 'bytes are relayed: CONNECT, or another protocol by Upgrade' },
  'no-response': { kind: 'no', doc: 'what the server sent could not be used' },
  'request-content': { kind: 'no', doc: 'the request had content: no other request is like it' },
  'method': { kind: 'no', doc: 'neither GET nor HEAD, nor a POST that says where to GET its result' },
  'too-short': { kind: 'no', doc: 'fresh for less than minimum_expiry_time, and nothing to validate it with' },
  'store-miss-deny': { kind: 'no', doc: 'a store_miss line of the conf said no' },
  'proxy-only': { kind: 'no', doc: 'it came from a cache_peer with proxy-only' },
  'cache-deny': { kind: 'no', doc: 'a cache line of the conf said no' },
  'host-unverified': { kind: 'no', doc: 'intercepted, and Host could not be verified' },
  'not-final': { kind: 'no', doc: 'an interim response (1xx)' },
  'not-modified': { kind: 'no', doc: '304: it updates a stored response, it is none' },
  'partial': { kind: 'no', doc: '206 that does not say which bytes of how many it is, or is several parts at once' },
  'partial-length': { kind: 'no', doc: '206 whose length is not that of the range it claims to be' },
  'partial-if-range': { kind: 'no', doc: '206 to If-Range: it leaves out the fields its client has already (RFC 9110 15.3.7)' },
  'partial-of-stored': { kind: 'no', doc: '206 of what is stored whole: it brings the fields of that up to date' },
  'of-request': { kind: 'no', doc: '412 or 416: what it says is about this request alone' },
  'status': { kind: 'no', doc: '428, 429, 431 or 511: never stored (RFC 6585)' },
  'request-no-store': { kind: 'no', doc: 'the request says no-store' },
  'must-understand': { kind: 'no', doc: 'must-understand, and the status has no meaning to us' },
  'no-store': { kind: 'no', doc: 'the response says no-store' },
  'private': { kind: 'no', doc: 'the response says private' },
  'authorization': { kind: 'no', doc: 'asked with Authorization, and not public, must-revalidate or s-maxage' },
  'vary-star': { kind: 'no', doc: 'Vary: *, or a Vary that cannot be read: no request would match it' },
  'vary-too-many': { kind: 'no', doc: 'Vary names more fields than we compare at each lookup' },
  'set-cookie': { kind: 'no', doc: 'Set-Cookie, and the policy is to refuse it' },
  'too-many-tags': { kind: 'no', doc: 'more than 1000 tags, or 16 KB of them: a purge by tag would miss it' },
  'endless': { kind: 'no', doc: 'multipart/x-mixed-replace: a stream of pictures that does not end' },
  'no-freshness': { kind: 'no', doc: 'no explicit freshness, and no heuristic is allowed for the status' },
  'stale-without-validator': { kind: 'no', doc: 'stale already, and nothing to validate it with' },
} as const satisfies Record<string, Line>

export type StoreReason = keyof typeof storeReasons

export interface StoreVerdict {
  readonly kind: 'store' | 'no'
  readonly reason: StoreReason
}

const verdicts = Object.fromEntries(
  Object.entries(storeReasons).map(([reason, line]) => [reason, { kind: line.kind, reason }]),
) as Readonly<Record<StoreReason, StoreVerdict>> // one entry per key of the table

export const storeVerdict = (reason: StoreReason): StoreVerdict => verdicts[reason]

/** A request and the head of its response, with what only the proxy knows. */
export interface Exchange {
  readonly method: string
  /** Normalised target URI, also as its parts. */
  readonly uri: string
  readonly target: TargetUri
  readonly requestFields: Fields
  readonly status: number
  readonly reasonPhrase: string
  /** As received, hop-by-hop fields too. */
  readonly fields: Fields
  /** Bytes of content if known, else -1. */
  readonly contentLength: number
  /** When the request was sent to the server and when the head of the response had come. */
  readonly requestTime: WallMs
  readonly responseTime: WallMs
  /** `cache deny` matched. */
  readonly denied: boolean
  /** Host of an intercepted request could not be verified, and the key does not hold the original destination. */
  readonly unverified: boolean
}

/** null = nothing forbids it. Whether it is worth storing is `admit`'s question. */
export const forbidden = (
  exchange: Exchange,
  control: Readonly<ResponseCacheControl>,
  policy: CachePolicy,
): StoreReason | null => {
  const options = policy.refresh.ruleFor(exchange.uri).options
  return (
    forbiddenByRequest(exchange, options) ??
    forbiddenByStatus(exchange) ??
    forbiddenByControl(exchange, control, options) ??
    forbiddenByFields(exchange.fields, policy) ??
    forbiddenWithoutFreshness(exchange, control, policy)
  )
}

const forbiddenByRequest = (exchange: Exchange, options: RefreshOptions): StoreReason | null => {
  const { method, requestFields } = exchange
  if (method !== 'GET' && method !== 'HEAD' && !answersLaterGet(exchange)) return 'method'
  if (exchange.denied) return 'cache-deny'
  if (exchange.unverified) return 'host-unverified'
  // RFC 9111 5.2.1.5
  if (requestFields.has('cache-control') && requestCacheControl(requestFields).noStore && !options.ignoreNoStore) {
    return 'request-no-store'
  }
  return null
}

/** RFC 9110 9.3.3: a POST whose response is, by its own Content-Location, what a GET of the same URI would give. */
const answersLaterGet = ({ method, status, fields, target, uri }: Exchange): boolean => {
  if (method !== 'POST' || status !== 200) return false
  const location = fields.get('content-location')
  if (location === undefined) return false
  const resolved = resolveReference(location, target)
  return resolved !== null && uri === uriOf(resolved)
}

const forbiddenByStatus = (exchange: Exchange): StoreReason | null => {
  const { status } = exchange
  if (status < 200) return 'not-final'
  switch (status) {
    case 206:
      return forbiddenAsPart(exchange)
    case 412:
    case 416:
      return 'of-request'
    case 304:
      return 'not-modified'
    case 428:
    case 429:
    case 431:
    case 511:
      return 'status'
    default:
      return null
  }
}

/** RFC 9111 3.3. A part is only kept where its place is beyond doubt. */
const forbiddenAsPart = ({ method, fields, contentLength, requestFields }: Exchange): StoreReason | null => {
  const told = partTold(fields)
  if (method !== 'GET' || told === null) return 'partial'
  if (contentLength >= 0 && contentLength !== told.last - told.first + 1) return 'partial-length'
  return requestFields.has('if-range') ? 'partial-if-range' : null
}

/** The one range a 206 says it is, of a length it knows. */
export const partTold = (fields: Fields): PartRange | null => {
  const told = fields.count('content-range') === 1 ? parseContentRange(fields.get('content-range') ?? '') : null
  if (told === null || told.range === null || told.length === null) return null
  return { first: told.range.first, last: told.range.last, length: told.length }
}

const forbiddenByControl = (
  exchange: Exchange,
  control: Readonly<ResponseCacheControl>,
  options: RefreshOptions,
): StoreReason | null => {
  // RFC 9111 5.2.2.3: whoever understands the status ignores the no-store beside must-understand
  if (control.mustUnderstand && !understood(exchange.status)) return 'must-understand'
  if (control.noStore && !control.mustUnderstand && !options.ignoreNoStore) return 'no-store'
  if (control.private && !options.ignorePrivate) return 'private'
  // RFC 9111 3.5
  const shared = control.public || control.mustRevalidate || control.sMaxage !== null
  return !shared && exchange.requestFields.has('authorization') ? 'authorization' : null
}

/** Every name costs a look at every lookup; sites have two or three, and ten is odd. */
const varyNamesMax = 32

const forbiddenByFields = (fields: Fields, policy: CachePolicy): StoreReason | null => {
  if (fields.has('vary')) {
    const names = varyMembers(fields)
    if (names === '*') return 'vary-star'
    if (names.length > varyNamesMax) return 'vary-too-many'
  }
  if (policy.setCookie === 'refuse' && fields.has('set-cookie')) return 'set-cookie'
  if (policy.tags !== 'off' && tagsOf(fields) === null) return 'too-many-tags'
  const type = fields.get('content-type')
  return type !== undefined && type.toLowerCase().startsWith('multipart/x-mixed-replace') ? 'endless' : null
}

/** RFC 9111 3, the last condition. A POST needs explicit freshness, whatever its status (RFC 9110 9.3.3). */
const forbiddenWithoutFreshness = (
  exchange: Exchange,
  control: Readonly<ResponseCacheControl>,
  policy: CachePolicy,
): StoreReason | null => {
  if (control.maxAge !== null || control.sMaxage !== null) return null
  if (!control.expiresIgnored && exchange.fields.has('expires')) return null
  const heuristic = exchange.method !== 'POST' && mayUseHeuristic(exchange.status, control)
  if (heuristic) return null
  const negative = exchange.method !== 'POST' && negativeTtlOf(exchange.status, policy.refresh.ruleFor(exchange.uri), policy) > 0
  return negative ? null : 'no-freshness'
}

/** RFC 9111 4.2.2; 451 by RFC 7725. */
export const mayUseHeuristic = (status: number, control: Readonly<ResponseCacheControl>): boolean =>
  control.public || status === 451 || heuristicallyCacheable(status)

/** RFC 9111 3: a status whose meaning for caches we follow; the rest of the registry asks nothing of them. */
const understood = (status: number): boolean =>
  (status >= 200 && status <= 205) ||
  (status >= 300 && status <= 303) ||
  status === 307 ||
  status === 308 ||
  (status >= 400 && status <= 417) ||
  status === 421 ||
  status === 422 ||
  status === 426 ||
  status === 451 ||
  (status >= 500 && status <= 505)

const uriOf = (target: TargetUri): string => uriText(target.scheme, target.host, target.port, target.path)
