import type { WallMs } from '../../base/index.ts'
import {
  type Admission, admit, afterHead, type Asking, brokenOff, freshened, invalidatedUris, keysOf, keepFreshened, mayStayStored, mergeParts,
  namedBy304, type Opened, partStatus, sameRepresentation, type StoredResponse, type StoreReason, supersedesStored, type Update,
  type Validation, type Variants, type Writer,
} from '../../cache/index.ts'
import type { Fields } from '../../http/index.ts'
import { keyOf } from './key-of.ts'
import { responseDenied } from './send-hit.ts'
import { storeIdOf } from './store-id.ts'
import type { Transaction } from './transaction.ts'

// What the head of a response does to the store, whoever it was fetched for: a client, or nobody.

export interface Arrival {
  readonly status: number
  readonly reason: string
  readonly fields: Fields
  readonly requestTime: WallMs
  readonly responseTime: WallMs
  /** Its URI was changed after this was asked for: it may be older than the change. */
  readonly outdated: boolean
}

/** A request whose response may be stored is about to be sent; null = it may not. */
export const askingFor = (t: Transaction): Asking | null =>
  t.mayCache ? t.client.deps.collapse.asking(keyOf(t, t.head.method === 'HEAD' ? 'HEAD' : 'GET')) : null

/** Whether it is to be stored; null = that was not even asked. What is stored already is brought up to date. */
export const admitArrival = (t: Transaction, arrival: Arrival): Admission | null => {
  const { method } = t.head
  const { status, fields } = arrival
  if (t.target === null) return null
  invalidate(t, status, fields)
  if (!t.mayCache || t.peer?.line.proxyOnly === true) {
    t.outcome.storeReason = t.mayCache ? 'proxy-only' : whyNever(t)
    return null
  }
  const length = fields.get('content-length')
  const admission = admit(
    {
      method, uri: t.storeId === '' ? t.outcome.uri : t.storeId, target: t.target, requestFields: t.completing === null ? t.fields : withoutIfRange(t), status, reasonPhrase: arrival.reason, fields,
      contentLength: length === undefined || method === 'HEAD' ? -1 : Number(length),
      requestTime: arrival.requestTime, responseTime: arrival.responseTime,
      denied: false, unverified: false, // the one is mayCache, the other has a key of its own
    },
    keyOf(t, method === 'HEAD' ? 'HEAD' : 'GET'),
    t.cachePolicy,
  )
  if (method === 'HEAD' && status === 200 && !arrival.outdated && !forOneClient.has(admission.reason)) updateAfterHead(t, arrival)
  if (admission.kind === 'store' && t.policy.access.storeMiss !== null && responseDenied(t, t.policy.access.storeMiss, status, fields)) {
    t.outcome.storeReason = 'store-miss-deny'
    if (!arrival.outdated) supersede(t, status)
    return { kind: 'no', reason: 'store-miss-deny' }
  }
  t.outcome.storeReason = admission.reason
  if (admission.kind === 'store' && status === 206 && isOfWhole(t, admission.response)) {
    t.outcome.storeReason = 'partial-of-stored'
    if (!arrival.outdated && t.stored !== null) renew(t, t.stored, arrival)
    return { kind: 'no', reason: 'partial-of-stored' }
  }
  if (admission.kind === 'no' && !arrival.outdated) supersede(t, status)
  return admission
}

/** What says it was for its client alone; nothing of it may be given to others, nor update what is (RFC 9111 3.5, 5.2.1.5). */
const forOneClient: ReadonlySet<StoreReason> = new Set(['authorization', 'request-no-store'])

/** Why the cache has no part in this transaction. */
const whyNever = ({ head: { method, framing } }: Transaction): StoreReason => {
  if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') return 'method'
  return method !== 'POST' && framing.kind !== 'none' ? 'request-content' : 'cache-deny'
}

/** What is put together has all fields, whatever the client has. */
const withoutIfRange = (t: Transaction): Fields => {
  const fields = t.fields.copy()
  fields.delete('if-range')
  return fields
}

/** A part of what is stored whole, and was only too old (RFC 9111 3.4). */
const isOfWhole = (t: Transaction, part: StoredResponse): boolean =>
  t.stored !== null && t.partial === null && t.stored.status === 200 && sameRepresentation(part, t.stored)

/** A response whose content goes no further than it has come: what is there is kept as a part, if it may be one. */
export const keepBroken = (t: Transaction, writer: Writer): void => {
  // what is stored whole may be stale, but it is whole
  const part = t.stored === null || t.partial !== null ? brokenOff(writer.response, writer.bytes) : null
  const stored = part === null ? null : writer.completeAs(part)
  writer.abandon()
  if (stored !== null) mergeParts(t.client.deps.store, stored, t.fields)
}

/** The content is complete. Null: it is not stored all the same. */
export const keepComplete = (t: Transaction, writer: Writer): StoredResponse | null => {
  const stored = writer.complete()
  if (stored?.status === partStatus) mergeParts(t.client.deps.store, stored, t.fields)
  return stored
}

/** A place in the store for the content; where there is none, what is stored is over all the same. */
export const openFor = (t: Transaction, response: StoredResponse, arrival: Arrival): Opened => {
  if (arrival.outdated) return tooLate
  const opened = t.client.deps.store.open(response, t.fields)
  if (!opened.ok) supersede(t, arrival.status)
  return opened
}

const tooLate: Opened = { ok: false, reason: 'invalidated' }

/** RFC 9111 4.4: what a changed resource makes of stored responses. */
const invalidate = (t: Transaction, status: number, fields: Fields): void => {
  if (t.target === null) return
  const uris = invalidatedUris(t.head.method, status, t.target, fields)
  if (uris.length === 0) return
  const rules = t.policy.storeIds
  const ids = rules.length === 0 ? [] : uris.map(uri => storeIdOf(rules, uri, t.client.facts)).filter(id => id !== '')
  if (t.storeId !== '') ids.push(t.storeId) // a program's word
  const keys = [...uris, ...ids].flatMap(uri => keysOf(uri))
  const { store, collapse } = t.client.deps
  // a forged Host must not empty the cache of the site it names
  for (const key of t.unverified ? [keyOf(t, 'GET'), keyOf(t, 'HEAD')] : keys) {
    store.invalidate(key)
    collapse.invalidate(key)
  }
}

/** What is stored is over when the origin says something else that is not stored. */
export const supersede = (t: Transaction, status: number): void => {
  if (t.key !== null && supersedesStored(t.head.method, status)) t.client.deps.store.invalidate(t.key)
}

/** RFC 9111 4.3.5: what a HEAD shows about what a GET has stored. */
const updateAfterHead = (t: Transaction, update: Update): void => {
  const { store } = t.client.deps
  const variants = store.peek(keyOf(t, 'GET'))
  const updateAll = (stored: Variants | null): void => {
    for (const one of stored ?? none) {
      const after = afterHead(one, t.fields, update, t.cachePolicy)
      if (after === one) continue
      if (mayStayStored(after, t.cachePolicy)) store.replace(one, after)
      else store.remove(one) // HEAD says no-store, or private, of what a GET would bring
    }
  }
  if (variants instanceof Promise) void variants.then(updateAll)
  else updateAll(variants)
}

const none: readonly never[] = []

/** RFC 9111 4.3.4: the stored response that a 304 confirms, as it is now; null = it is about nothing we have. */
export const confirmedBy = (t: Transaction, validation: Validation, update: Update): StoredResponse | null => {
  const named = namedBy304(validation, update)
  if (named.kind === 'no') return null
  if (t.partial === null || named.stored !== t.partial.whole) return renew(t, named.stored, update)
  t.partial = t.partial.renewed(renew(t, t.partial.newest, update))
  return t.partial.whole
}

const renew = (t: Transaction, stored: StoredResponse, update: Update): StoredResponse => {
  const updated = freshened(stored, update, t.fields, t.cachePolicy)
  keepFreshened(t.client.deps.store, stored, updated, t.fields, t.cachePolicy)
  return updated
}
