import type { DurationMs, WallMs } from '../base/index.ts'
import {
  type Fields, parseAge, parseHttpDate, varyMembers, weakMatch,
} from '../http/index.ts'
import { fromFields, keptFields, keptTags, sharedNames } from './admit.ts'
import { judge } from './freshness.ts'
import { alsoLent } from './lent-content.ts'
import { lengthOfWhole } from './parts.ts'
import type { CachePolicy } from './policy.ts'
import { controlOf } from './response-control.ts'
import type { Store } from './store/store.ts'
import { detached, flag, reasonPhraseOf, StoredResponse } from './stored-response.ts'
import { type Selecting, selectingFields, selects } from './vary.ts'
import type { Validation } from './validation.ts'

// What a 304 and a HEAD do to stored responses (RFC 9111 3.2, 4.3.4, 4.3.5).

/** A response that brings fields without content. */
export interface Update {
  readonly fields: Fields
  readonly requestTime: WallMs
  readonly responseTime: WallMs
}

export const freshenReasons = {
  'named': { kind: 'update', doc: 'the 304 names it by its entity tag or date' },
  'only-one': { kind: 'update', doc: 'the 304 names none, and only one was asked about' },
  'other-validator': { kind: 'no', doc: 'the 304 names something that is not stored: ask again without conditions' },
  'ambiguous': { kind: 'no', doc: 'the 304 names none, and several were asked about: ask again without conditions' },
} as const

export type FreshenReason = keyof typeof freshenReasons

export type Freshened =
  | { readonly kind: 'update'; readonly reason: FreshenReason; readonly stored: StoredResponse }
  | { readonly kind: 'no'; readonly reason: FreshenReason }

/** RFC 9111 4.3.4: which stored response a 304 is about. Candidates are newest first. */
export const namedBy304 = (validation: Validation, update: Update): Freshened => {
  const { candidates } = validation
  const etag = update.fields.get('etag')
  if (etag !== undefined) {
    const found = candidates.find(stored => sameTag(stored, etag))
    return found === undefined ? no('other-validator') : yes('named', found)
  }
  const [first] = candidates
  if (first === undefined || candidates.length > 1) return no('ambiguous')
  const text = update.fields.get('last-modified')
  if (text === undefined) {
    // Stricter reading: only what has no validator itself may be updated so. But the condition we sent named exactly
    // one response, and servers that leave the validator out of their 304s are many.
    return yes('only-one', first)
  }
  const modified = parseHttpDate(text, update.responseTime)
  // a tag in ours and a date in the 304 can both be right; a different date cannot
  return first.lastModified >= 0 && modified !== first.lastModified ? no('other-validator') : yes('named', first)
}

/** Of strong tags the same; a weak one may name what has the same opaque part. */
const sameTag = (stored: StoredResponse, etag: string): boolean => stored.etag !== null && weakMatch(stored.etag, etag)

const yes = (reason: FreshenReason, stored: StoredResponse): Freshened => ({ kind: 'update', reason, stored })
const no = (reason: FreshenReason): Freshened => ({ kind: 'no', reason })

/**
 * RFC 9111 3.2: the stored response with the fields of the update in place of its own, and both clocks set anew. The
 * content is shared. It is then for requests like `request`, be it that the 304 chose a variant for a request that did
 * not fit before, or that it names other fields in Vary.
 */
export const freshened = (
  stored: StoredResponse,
  update: Update,
  request: Fields,
  policy: CachePolicy,
): StoredResponse => {
  const fields = merged(stored.fields(), update.fields, policy)
  const names = varyMembers(fields)
  const control = controlOf(fields, policy)
  const gone = names === '*'
  const updated = fromFields(
    {
      key: stored.key,
      uri: stored.uri,
      status: stored.status,
      reasonPhrase: reasonPhraseOf(stored.head),
      fields,
      age: parseAge(update.fields),
      contentLength: stored.contentLength,
      requestTime: update.requestTime,
      responseTime: update.responseTime,
      selecting: names === '*' ? null : selectingAfter(stored, names, request),
      tags: keptTags(update.fields, policy) ?? stored.tags,
      flags: (stored.flags & flag.headOnly) | (gone ? flag.noStore : 0),
    },
    control,
    stored.body,
    stored.content,
  )
  alsoLent(stored, updated)
  judge(updated, policy, update.responseTime) // it may be given to its client before it is looked up again
  return updated
}

const selectingAfter = (stored: StoredResponse, names: readonly string[], request: Fields): Selecting | null => {
  const before = stored.selecting
  const same = before === null ? names.length === 0 : before.names.join() === names.join()
  return same && selects(before, request) ? before : selectingFields(sharedNames(names), request, detached)
}

/** Whether it may stay stored: a 304 can say no-store or private. It may answer the request it was asked for anyway. */
export const mayStayStored = (stored: StoredResponse, policy: CachePolicy): boolean => {
  const { ignoreNoStore, ignorePrivate } = policy.refresh.ruleFor(stored.uri).options
  return (ignoreNoStore || !stored.has(flag.noStore)) && (ignorePrivate || !stored.has(flag.private))
}

/**
 * Fields the stored content depends on. RFC 9111 3.2 leaves Content-Length out by name; a different coding or range
 * cannot become true of bytes that stay the same.
 */
const keptFromUpdate = new Set(['content-length', 'content-encoding', 'content-range'])

const merged = (own: Fields, update: Fields, policy: CachePolicy): Fields => {
  const brought = keptFields(update, controlOf(update, policy), policy)
  // the Date of the update even if it has none: fromFields then dates it by its arrival (RFC 9110 6.6.1)
  own.delete('date')
  const replaced = new Set<string>()
  for (let i = 0; i < brought.size; i++) {
    const lower = brought.lowerAt(i)
    if (keptFromUpdate.has(lower)) continue
    if (replaced.has(lower)) own.append(brought.nameAt(i), brought.valueAt(i))
    else own.set(brought.nameAt(i), brought.valueAt(i))
    replaced.add(lower)
  }
  return own
}

/**
 * Puts a freshened response where it belongs: in the place of the old one, beside it where the 304 chose another
 * client's variant, or nowhere. Answers whether it is stored now.
 */
export const keepFreshened = (
  store: Store,
  old: StoredResponse,
  updated: StoredResponse,
  request: Fields,
  policy: CachePolicy,
): boolean => {
  if (!mayStayStored(updated, policy)) {
    store.remove(old)
    return false
  }
  if (selects(old.selecting, request)) return store.replace(old, updated)
  // what was invalidated while the origin was asked must not come back in the place of another
  const variants = store.peek(old.key)
  if (variants === null || (!(variants instanceof Promise) && !variants.includes(old))) return false
  return store.put(updated, request)
}

/** RFC 9111 4.3.5: what a 200 to HEAD shows about a stored GET response. */
export const headAgrees = (stored: StoredResponse, fields: Fields, now: WallMs): boolean => {
  const etag = fields.get('etag')
  if (etag !== undefined && etag !== stored.etag) return false
  const text = fields.get('last-modified')
  if (text !== undefined && parseHttpDate(text, now) !== stored.lastModified) return false
  const length = fields.get('content-length')
  return length === undefined || Number(length) === lengthOfWhole(stored)
}

/** Still stored, but from `now` on to be validated before each use. */
export const outdated = (stored: StoredResponse, now: WallMs): StoredResponse => {
  const lifetime = Math.max(0, now - stored.bornAt)
  const later = new StoredResponse(
    {
      ...stored,
      flags: stored.flags | flag.outdated,
      lifetime: (stored.lifetime >= 0 ? Math.min(stored.lifetime, lifetime) : lifetime) as DurationMs,
    },
    stored.body,
    stored.content,
  )
  alsoLent(stored, later)
  return later
}

/** Each stored response a HEAD for the same request could have been answered with, as it is after that HEAD. */
export const afterHead = (
  stored: StoredResponse,
  request: Fields,
  update: Update,
  policy: CachePolicy,
): StoredResponse => {
  if (!selects(stored.selecting, request)) return stored
  return headAgrees(stored, update.fields, update.responseTime)
    ? freshened(stored, update, request, policy)
    : outdated(stored, update.responseTime)
}
