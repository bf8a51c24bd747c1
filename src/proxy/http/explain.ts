import { AccessFacts, type AccessNames, type Explanation } from '../../acl/index.ts'
import { type Endpoint, type HierarchyCode, type WallMs } from '../../base/index.ts'
import {
  admit, cacheKey, type CacheKey, chooseVariant, type Collapse, type ExplainedStored, explainStored, missed, PartialResponse,
  type RequestFacts, reuse, type Reuse, reuseAnswer, type ReuseKind, type ReuseReason, type Store, type StoreReason, storeReasons, reuseReasons, type Variants,
} from '../../cache/index.ts'
import { defaultPort, Fields, httpDate, type TargetUri, uriText } from '../../http/index.ts'
import type { ExplainedPeers } from '../../router/index.ts'
import { tellFacts } from './admit.ts'
import { askedOfCache } from './lookup.ts'
import { reuseOfParts, wantedOf } from './lookup-parts.ts'
import type { HttpPolicy, HttpPort } from './policy.ts'
import { withResponse } from './send-hit.ts'
import { isHierarchical } from './server-ways.ts'
import { storeIdOf } from './store-id.ts'

// What would become of a request, and why: the lists and rules that a request meets are asked in its order, with their
// reasons. Nothing is fetched, and looking at what is stored does not count as a use.

export interface Question {
  readonly method: string
  readonly target: TargetUri
  readonly fields: Fields
  readonly client: Endpoint
  readonly port: HttpPort
  readonly portName: string
  readonly local: Endpoint
  /** A response one would like to know about: may it be stored. */
  readonly response: { readonly status: number; readonly fields: Fields } | null
}

export interface RunningParts {
  readonly store: Store
  readonly collapse: Collapse
  /** The tiers that have the key. */
  readonly whereIs: (key: CacheKey) => readonly string[]
  /** What is remembered of the last response that was not stored. */
  readonly refused: (uri: string) => LastRefused | null
}

export interface LastRefused {
  readonly at: string
  readonly status: number
  readonly reason: string
  readonly doc: string
}

export interface ExplainParts {
  readonly policy: HttpPolicy
  /** Null: no proxy runs, there is a conf only. */
  readonly running: RunningParts | null
  readonly names: AccessNames | null
  readonly now: WallMs
}

export interface Explained {
  readonly at: string
  readonly running: boolean
  readonly method: string
  readonly uri: string
  readonly client: string
  readonly port: string
  readonly httpAccess: Explanation
  /** The `cache` list. */
  readonly cacheAccess: Explanation
  readonly key: string
  /** The line of store_id_rule that made the key; '' = none. */
  readonly keyRule: string
  /** `file:line: ` and the line. */
  readonly refreshPattern: string
  /** Null: the store is not looked at for such a request. */
  readonly reuse: { readonly kind: string; readonly reason: string; readonly doc: string } | null
  readonly verdict: string
  /** send_hit, about what is stored; null: no line, or nothing is. */
  readonly sendHit: Explanation | null
  /** Whom a miss would be fetched from; null: it is none. */
  readonly fetching: ExplainedFetch | null
  readonly where: readonly string[]
  readonly variants: readonly ExplainedVariant[]
  /** Somebody is fetching it at this moment. */
  readonly beingFetched: boolean
  readonly storing: { readonly response: string; readonly kind: 'store' | 'no'; readonly reason: StoreReason; readonly doc: string }
  /** store_miss, about that response; null: no line. */
  readonly storeMiss: Explanation | null
  readonly lastRefused: LastRefused | null
}

export interface ExplainedFetch {
  /** Null: no line. */
  readonly missAccess: Explanation | null
  /** In order; peer '' = the origin. */
  readonly ways: readonly { readonly peer: string; readonly code: HierarchyCode }[]
  /** Null: there is no cache_peer this could go to. */
  readonly peers: ExplainedPeers | null
}

export interface ExplainedVariant extends ExplainedStored {
  /** The one that would answer. */
  readonly chosen: boolean
}

export const explain = async (parts: ExplainParts, question: Question): Promise<Explained> => {
  const { policy, running, now } = parts
  const { method, target, fields, port } = question
  const uri = uriText(target.scheme, target.host, target.port, target.path)
  const facts = factsOf(question, uri, parts)
  const httpAccess = await policy.access.http.explain(facts)
  const cacheAccess = await policy.access.cache.explain(facts)
  const id = storeIdOf(policy.storeIds, uri, facts)
  const stored = id === '' ? uri : id
  const key = cacheKey('GET', stored)
  const reads = method === 'GET' || method === 'HEAD'
  const looks = reads && httpAccess.decision.allowed && cacheAccess.decision.allowed
  const asks = askedOfCache(port, fields)
  const found = running === null ? null : await lookedUp(running.store, key, cacheKey('HEAD', stored), method, fields)
  const use = usedOf(found, { method, fields, asks, policy, now })
  const judged = use.used[0] ?? found?.find(one => one.status === 206)
  const { sendHit } = policy.access
  const hit = judged === undefined || sendHit === null ? null : await withResponse(facts, judged.status, judged.fields(), () => sendHit.explain(facts))
  const answer = hit?.decision.allowed === false ? reuseAnswer('send-hit-deny') : use.answer
  const ends = asks?.control.onlyIfCached === true && answer.kind === 'no'
  const variants = (found ?? []).map(one => ({ ...explainStored(one, asks, policy.cache, now), chosen: use.used.includes(one) }))
  const storing = await storingOf(question, stored, key, parts, facts)
  const told = !looks || running === null ? null : explainedReuse(ends ? reuseAnswer('only-if-cached') : answer)
  const fetching = httpAccess.decision.allowed && isFetched(told) ? await fetchingOf(question, uri, facts, policy, told?.kind === 'validate' || asks?.reload === true) : null
  return {
    at: new Date(now).toISOString(),
    running: running !== null,
    method, uri,
    client: question.client.address,
    port: `${question.portName} (${port.mode})`,
    httpAccess, cacheAccess,
    key,
    keyRule: id === '' ? '' : (policy.storeIds.find(({ value, when }) => when.holds(facts) && value.idOf(uri) === id)?.value.text ?? ''),
    refreshPattern: policy.cache.refresh.ruleFor(stored).text,
    reuse: told,
    verdict: verdictOf(httpAccess, cacheAccess, reads, running !== null, told?.kind ?? null, told?.reason ?? null, fetching),
    sendHit: hit, fetching,
    where: running === null ? [] : running.whereIs(key),
    variants,
    beingFetched: running !== null && running.collapse.keys().includes(key),
    storing: storing.verdict,
    storeMiss: storing.storeMiss,
    lastRefused: running?.refused(uri) ?? null,
  }
}

const factsOf = ({ method, target, fields, client, local, port, portName }: Question, uri: string, { names, now, policy }: ExplainParts): AccessFacts => {
  const facts = new AccessFacts(client, local, portName)
  facts.names = names
  const intercepted = port.mode === 'intercept' || port.mode === 'tproxy'
  tellFacts(facts, method, target, uri, target.port === 0 ? defaultPort(target.scheme) : target.port, fields, now)
  facts.pinned = intercepted && policy.clientDstPassthru
  return facts
}

/** As the step `lookup` does: a HEAD may be answered by what a GET has stored, and then by what a HEAD has. */
const lookedUp = async (store: Store, key: CacheKey, headKey: CacheKey, method: string, fields: Fields): Promise<Variants | null> => {
  const found = await store.peek(key)
  if (method !== 'HEAD' || (found !== null && chooseVariant(found, fields) !== null)) return found
  return (await store.peek(headKey)) ?? found
}

interface Asked {
  readonly method: string
  readonly fields: Fields
  readonly asks: RequestFacts | null
  readonly policy: HttpPolicy
  readonly now: WallMs
}

/** As `lookup` decides: what would answer, if anything, and whether it may. Of parts the newest has the fields of all. */
const usedOf = (found: Variants | null, { method, fields, asks, policy, now }: Asked): { readonly answer: Reuse; readonly used: Variants } => {
  const chosen = found === null ? null : chooseVariant(found, fields)
  if (chosen !== null) return { answer: reuse(chosen, asks, policy.cache, now), used: [chosen] }
  const partial = found === null || method !== 'GET' ? null : PartialResponse.of(found, fields)
  if (partial === null) return { answer: missed(found !== null, asks), used: [] }
  const answer = reuseOfParts(partial, wantedOf(asks, fields, partial, now), asks, policy.cache, now)
  const others = partial.parts.map(part => part.stored).filter(one => one !== partial.newest)
  return { answer, used: answer.reason === 'part' ? [] : [partial.newest, ...others] }
}

/** Unless it is answered from the cache, or not at all. */
const isFetched = (told: Explained['reuse']): boolean =>
  told === null || told.kind === 'validate' || (told.kind === 'no' && told.reason !== 'only-if-cached')

/** As `fetchFrom` decides. */
const fetchingOf = async (question: Question, uri: string, facts: AccessFacts, policy: HttpPolicy, freshOnly: boolean): Promise<ExplainedFetch> => {
  const { method, target, fields, port } = question
  const missAccess = (await policy.access.miss?.explain(facts)) ?? null
  if (policy.peers === null || port.pinned) return { missAccess, ways: [{ peer: '', code: facts.pinned ? 'ORIGINAL_DST' : 'HIER_DIRECT' }], peers: null }
  const peers = await policy.peers.explain({
    facts, method, uri, freshOnly,
    scheme: target.scheme,
    host: target.host,
    port: facts.port,
    path: target.path,
    hierarchical: isHierarchical(method, fields) && !fields.has('upgrade'),
    neverDirect: port.accel?.allowDirect === false,
    user: '',
  })
  return { missAccess, ways: peers.ways, peers }
}

const explainedReuse = ({ kind, reason }: Reuse) => ({ kind, reason, doc: reuseReasons[reason].doc })

const verdictOf = (
  http: Explanation,
  cache: Explanation,
  reads: boolean,
  runs: boolean,
  kind: ReuseKind | null,
  reason: ReuseReason | null,
  fetching: ExplainedFetch | null,
): string => {
  if (!http.decision.allowed) return 'refused: http_access denies it'
  const asked = fetching === null ? '' : askedFirst(fetching)
  if (asked.startsWith('refused')) return asked
  if (!reads) return 'forwarded: what is stored answers GET and HEAD only'
  if (!cache.decision.allowed) return 'forwarded: the cache list denies it, it is neither answered from the cache nor stored'
  if (!runs) return 'not known: no proxy runs with this conf, so nothing is known of what is stored'
  switch (kind) {
    case 'fresh':
    case 'stale':
      return 'hit: answered from the cache'
    case 'validate':
      return `validated: ${asked} whether what is stored still holds`
    default:
      return reason === 'only-if-cached' ? 'refused: 504, for nothing stored will do and the request says only-if-cached' : `miss: ${asked}`
  }
}

const askedFirst = ({ missAccess, ways, peers }: ExplainedFetch): string => {
  if (missAccess?.decision.allowed === false) return 'refused: 403, miss_access denies it'
  const [first] = ways
  if (first !== undefined) return first.peer === '' ? 'the origin is asked' : `cache_peer ${first.peer} is asked`
  return peers?.askedByIcp.length ? 'peers are asked by ICP' : 'refused: 503, no cache_peer that may be used is up, and the origin may not be asked'
}

/** May a response to this request be stored: that which is asked about, or one that says nothing against it. */
const storingOf = async (question: Question, uri: string, key: CacheKey, { policy, now }: ExplainParts, facts: AccessFacts): Promise<{
  readonly verdict: Explained['storing']
  readonly storeMiss: Explanation | null
}> => {
  const { method, target, fields, response } = question
  const told = response?.fields.copy() ?? Fields.from(['Cache-Control', 'max-age=3600'])
  if (!told.has('date')) told.append('Date', httpDate(now))
  const length = told.get('content-length')
  const admission = admit(
    {
      method, uri, target, requestFields: fields, status: response?.status ?? 200, reasonPhrase: '', fields: told,
      contentLength: length === undefined ? -1 : Number(length),
      requestTime: now, responseTime: now, denied: false, unverified: false,
    },
    key,
    question.port.accel === null ? policy.cache : policy.acceleratedCache,
  )
  const list = policy.access.storeMiss
  const storeMiss = list === null ? null : await withResponse(facts, response?.status ?? 200, told, () => list.explain(facts))
  const denied = admission.kind === 'store' && storeMiss?.decision.allowed === false
  const reason = denied ? 'store-miss-deny' : admission.reason
  const verdict = {
    response: response === null ? '200 with Cache-Control: max-age=3600' : `the ${response.status} asked about`,
    kind: denied ? ('no' as const) : admission.kind,
    reason,
    doc: storeReasons[reason].doc,
  }
  return { verdict, storeMiss }
}
