import { type DurationMs, ms, type Seconds, secondsToMs, type WallMs, wallMs } from '../base/index.ts'
import {
  endToEndFields, type Fields, httpDate, isEtag, parseAge, parseHttpDate, type ResponseCacheControl,
  varyMembers,
} from '../http/index.ts'
import { bornAt } from './age.ts'
import type { ContentSource } from './content-source.ts'
import { explicitLifetime, judge, staleWhileRevalidateOf } from './freshness.ts'
import type { CacheKey } from './key.ts'
import { partStatus, placed } from './parts.ts'
import type { CachePolicy, SetCookiePolicy } from './policy.ts'
import { controlOf } from './response-control.ts'
import { type Exchange, forbidden, mayUseHeuristic, partTold, type StoreReason, storeReasons } from './storable.ts'
import { detached, flag, headText, StoredResponse } from './stored-response.ts'
import { noTags, tagFields, tagsOf, withoutTags } from './tags.ts'
import { type Selecting, selectingFields } from './vary.ts'

// From the head of a response to what the store keeps of it, or the reason why not.

export type Admission =
  /** Without content yet: open a writer for it. */
  | { readonly kind: 'store'; readonly reason: StoreReason; readonly response: StoredResponse }
  | { readonly kind: 'no'; readonly reason: StoreReason }

export const admit = (exchange: Exchange, key: CacheKey, policy: CachePolicy): Admission => {
  const control = controlOf(exchange.fields, policy)
  const why = forbidden(exchange, control, policy)
  if (why !== null) return { kind: 'no', reason: why }
  const response = storedResponse(exchange, control, key, policy)
  judge(response, policy, exchange.responseTime)
  const reason = worth(response, exchange.responseTime, policy)
  return storeReasons[reason].kind === 'store' ? { kind: 'store', reason, response } : { kind: 'no', reason }
}

/** What it can be used for from `now` on. */
const worth = (response: StoredResponse, now: WallMs, policy: CachePolicy): StoreReason => {
  const short = response.hitUntil - now < policy.minimumExpiry && !response.hasValidator && !response.rule.options.storeStale
  if (short && now < response.hitUntil) return 'too-short'
  if (now < response.hitUntil) return response.lifetime >= 0 ? 'explicit' : 'heuristic'
  if (response.hasValidator) return 'validator'
  if (Math.max(0, now - response.staleAt) < staleWindowOf(response)) return 'stale-window'
  return response.rule.options.storeStale ? 'store-stale' : 'stale-without-validator'
}

/** How long it may be used stale, for whatever cause; 0 = not at all. */
const staleWindowOf = (response: StoredResponse): number =>
  response.has(flag.noCache | flag.mustRevalidate)
    ? 0
    : Math.max(staleWhileRevalidateOf(response), response.staleIfError)

const storedResponse = (
  exchange: Exchange,
  control: Readonly<ResponseCacheControl>,
  key: CacheKey,
  policy: CachePolicy,
): StoredResponse => {
  const names = varyMembers(exchange.fields)
  const uri = detached(exchange.uri)
  const part = exchange.status === partStatus ? partTold(exchange.fields) : null
  const fields = keptFields(exchange.fields, control, policy)
  // RFC 9111 3.3: "bytes=0-" is how players ask for the whole; what has all bytes is the whole
  const whole = part !== null && part.first === 0 && part.last === part.length - 1
  if (part !== null) {
    placed(fields, part)
    if (whole) fields.delete('content-range')
  }
  const selecting = names === '*' ? null : selectingFields(sharedNames(names), exchange.requestFields, detached)
  return fromFields(
    {
      key: key === exchange.uri ? (uri as CacheKey) : (detached(key) as CacheKey), // the same text, cut loose
      uri,
      status: whole ? 200 : exchange.status,
      reasonPhrase: whole ? 'OK' : exchange.reasonPhrase,
      fields,
      age: parseAge(exchange.fields),
      contentLength: part !== null ? part.last - part.first + 1 : exchange.status === 204 ? 0 : exchange.contentLength,
      requestTime: exchange.requestTime,
      responseTime: exchange.responseTime,
      selecting,
      tags: keptTags(exchange.fields, policy) ?? noTags,
      flags: exchange.method === 'HEAD' ? flag.headOnly : 0,
    },
    control,
    [],
  )
}

export interface HeadFacts {
  readonly key: CacheKey
  readonly uri: string
  readonly status: number
  readonly reasonPhrase: string
  /** What is kept; taken over: Date and Content-Length are put right here. */
  readonly fields: Fields
  /** Of the message that brought the fields. */
  readonly age: Seconds | null
  readonly contentLength: number
  readonly requestTime: WallMs
  readonly responseTime: WallMs
  readonly selecting: Selecting | null
  readonly tags: readonly string[]
  /** Beyond those that follow from the fields. */
  readonly flags: number
}

/** The numbers and the serialised head that follow from fields; for a new response, and for one a 304 has updated. */
export const fromFields = (
  facts: HeadFacts,
  control: Readonly<ResponseCacheControl>,
  body: readonly Buffer[],
  content: ContentSource | null = null,
): StoredResponse => {
  const { fields, responseTime } = facts
  const date = settledDate(fields, responseTime)
  settleLength(fields, facts)
  const { lifetime, source } = explicitLifetime(control, fields, date, responseTime)
  const etag = fields.get('etag')
  const modified = fields.get('last-modified')
  return new StoredResponse(
    {
      key: facts.key,
      uri: facts.uri,
      status: facts.status,
      head: headText(facts.status, facts.reasonPhrase, fields.pairs),
      contentLength: facts.contentLength,
      contentType: sharedText(fields.get('content-type') ?? ''),
      responseTime,
      bornAt: bornAt({ requestTime: facts.requestTime, responseTime, date, age: facts.age ?? (0 as Seconds) }),
      date,
      lifetime,
      lifetimeSource: source,
      flags: facts.flags | flagsOf(facts.status, control),
      staleWhileRevalidate: orUnsaid(control.staleWhileRevalidate),
      staleIfError: orUnsaid(control.staleIfError),
      etag: etag !== undefined && isEtag(etag) ? detached(etag) : null,
      lastModified: (modified === undefined ? null : parseHttpDate(modified, responseTime)) ?? wallMs(-1),
      selecting: facts.selecting,
      tags: facts.tags,
    },
    body,
    content,
  )
}

const flagsOf = (status: number, control: Readonly<ResponseCacheControl>): number =>
  // private is here only by ignore-private, and then validated at each use, as Squid does
  (control.noCache || control.private ? flag.noCache : 0) |
  (control.noStore && !control.mustUnderstand ? flag.noStore : 0) |
  (control.private ? flag.private : 0) |
  // RFC 9111 5.2.2.2, .8 and .10: s-maxage means proxy-revalidate too
  (control.mustRevalidate || control.proxyRevalidate || control.sMaxage !== null ? flag.mustRevalidate : 0) |
  (control.immutable ? flag.immutable : 0) |
  (mayUseHeuristic(status, control) ? flag.heuristic : 0)

const orUnsaid = (value: Seconds | null): DurationMs => (value === null ? ms(-1) : secondsToMs(value))

/** RFC 9110 6.6.1: without a Date that can be read, the time it came is its Date. */
const settledDate = (fields: Fields, responseTime: WallMs): WallMs => {
  const text = fields.get('date')
  const date = text === undefined ? null : parseHttpDate(text, responseTime)
  if (date !== null) return date
  fields.set('Date', httpDate(responseTime))
  return responseTime
}

/** What goes out with our content: its real length, however it came in. 204 has neither, HEAD keeps the field. */
const settleLength = (fields: Fields, facts: HeadFacts): void => {
  if ((facts.flags & flag.headOnly) !== 0) return
  if (facts.status === 204 || facts.contentLength < 0) fields.delete('content-length')
  else fields.set('Content-Length', String(facts.contentLength))
}

/** RFC 9111 3.1, and the fields that no-cache="…" and private="…" name (5.2.2.4, 5.2.2.7). */
export const keptFields = (
  fields: Fields,
  control: Readonly<ResponseCacheControl>,
  policy: CachePolicy,
): Fields => {
  const kept = endToEndFields(fields)
  kept.delete('age') // made anew at each use
  kept.delete('trailer') // trailers are not kept
  for (const name of namesForOne(control, policy.setCookie)) kept.delete(name)
  withoutTags(kept, policy.tags)
  return kept
}

/** Null: it has too many, or says nothing of any. */
export const keptTags = (fields: Fields, policy: CachePolicy): readonly string[] | null => {
  if (policy.tags === 'off' || !tagFields.some(name => fields.has(name))) return null
  return tagsOf(fields)?.map(sharedText) ?? null
}

/** What a response has for the client it was asked for alone, in order: given to that one, not kept. */
export const fieldsForOne = (fields: Fields, policy: CachePolicy): readonly string[] => {
  const names = namesForOne(controlOf(fields, policy), policy.setCookie)
  if (!names.some(name => fields.has(name))) return none
  const sent = endToEndFields(fields)
  const pairs: string[] = []
  for (let i = 0; i < sent.size; i++) if (names.includes(sent.lowerAt(i))) pairs.push(sent.nameAt(i), sent.valueAt(i))
  return pairs
}

const namesForOne = (control: Readonly<ResponseCacheControl>, setCookie: SetCookiePolicy): readonly string[] => {
  // with `refuse` too: a 304 may bring a cookie for what was stored without one
  const cookies = setCookie === 'replay' ? none : cookieFields
  const { noCacheFields, privateFields } = control
  return noCacheFields === null && privateFields === null ? cookies : [...cookies, ...(noCacheFields ?? none), ...(privateFields ?? none)]
}

// Set-Cookie2 is none any more: nobody has read it since RFC 6265
const cookieFields: readonly string[] = ['set-cookie']
const none: readonly string[] = []

// Half a million responses have a dozen different Vary and Content-Type fields: equal ones are one object.
const sharedMax = 512
/** Longer ones are rare, and not worth keeping after the last response that had them. */
const sharedLengthMax = 256
const sharedLists = new Map<string, readonly string[]>()
const sharedTexts = new Map<string, string>()

/** One array for all responses with an equal list. */
export const sharedNames = (names: readonly string[]): readonly string[] => {
  if (names.length === 0) return names
  const text = names.join()
  if (text.length > sharedLengthMax) return names.map(detached)
  const known = sharedLists.get(text)
  if (known !== undefined) return known
  if (sharedLists.size >= sharedMax) sharedLists.clear()
  const kept = names.map(sharedText)
  sharedLists.set(detached(text), kept)
  return kept
}

/** One string for all responses with an equal short text. */
export const sharedText = (text: string): string => {
  if (text.length > sharedLengthMax) return detached(text)
  const known = sharedTexts.get(text)
  if (known !== undefined) return known
  if (sharedTexts.size >= sharedMax) sharedTexts.clear()
  const kept = detached(text)
  sharedTexts.set(kept, kept)
  return kept
}

/** The same response once its content is there: with its length, and its content or where to read it. */
export const completed = (
  response: StoredResponse,
  body: readonly Buffer[],
  length: number,
  content: ContentSource | null = null,
): StoredResponse => {
  if (response.has(flag.headOnly) || response.contentLength === length) return new StoredResponse(response, body, content)
  const head = response.status === 204 ? response.head : `${response.head}Content-Length: ${length}\r\n`
  return new StoredResponse({ ...response, head: detached(head), contentLength: length }, body, content)
}
