import { chooseVariant, missed, PartialResponse, type RequestFacts, requestFacts, reuse, reuseAnswer, type Variants } from '../../cache/index.ts'
import type { Fields } from '../../http/index.ts'
import { CountHttp } from './counters.ts'
import { judgeParts } from './lookup-parts.ts'
import { keyOf } from './key-of.ts'
import type { HttpPort } from './policy.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'
import { hitDenied } from './send-hit.ts'
import { validateBehind } from './validate-behind.ts'

/** Is it stored, and may the stored response be used. */
export const lookup = (t: Transaction): Next | Promise<Next> => {
  t.asks = askedOfCache(t.client.port, t.fields)
  t.key = keyOf(t, 'GET')
  const variants = t.client.deps.store.lookup(t.key)
  return variants instanceof Promise ? variants.then(found => choose(t, found)) : choose(t, variants)
}

/** What the request says to a cache; null = nothing. */
export const askedOfCache = (port: HttpPort, fields: Fields): RequestFacts | null =>
  requestFacts(port.accel?.ignoreControl === true ? withoutControl(fields) : fields)

/** ignore-cc: what clients say to caches is not for this one. Their conditions and ranges are. */
const withoutControl = (fields: Fields): Fields => {
  const rest = fields.copy()
  rest.delete('cache-control')
  rest.delete('pragma')
  return rest
}

const choose = (t: Transaction, variants: Variants | null): Next | Promise<Next> => {
  const stored = variants === null ? null : chooseVariant(variants, t.fields)
  // a HEAD can be answered from what a GET has stored; what a HEAD stored has no content to give to a GET
  if (stored === null && t.head.method === 'HEAD') {
    const others = t.client.deps.store.lookup(keyOf(t, 'HEAD'))
    return others instanceof Promise ? others.then(found => judge(t, found)) : judge(t, others)
  }
  return judge(t, variants)
}

const judge = (t: Transaction, variants: Variants | null): Next => {
  if (t.over) return 'done'
  const stored = variants === null ? null : chooseVariant(variants, t.fields)
  if (variants !== null && t.policy.access.sendHit !== null && hitDenied(t, t.policy.access.sendHit, stored, variants)) return unusable(t)
  if (stored === null && variants !== null && t.head.method === 'GET') {
    const partial = PartialResponse.of(variants, t.fields)
    if (partial !== null) return judgeParts(t, variants, partial)
  }
  const answer =
    stored === null ? missed(variants !== null, t.asks) : reuse(stored, t.asks, t.policy.cache, t.outcome.startedAt)
  t.stored = stored
  t.variants = variants
  t.reuse = answer
  t.outcome.reuseReason = answer.reason
  switch (answer.kind) {
    case 'fresh':
    case 'stale':
      if (answer.reason === 'offline') t.outcome.result = 'TCP_OFFLINE_HIT'
      else if (answer.reason === 'while-revalidate' && stored !== null) validateBehind(t, stored)
      CountHttp.hits++
      return 'deliver'
    case 'validate':
      return 'validate'
    case 'no':
      if (answer.reason === 'only-if-cached') return t.refuse('only-if-cached', 'the request says only-if-cached')
      return 'fetch'
  }
}

/** send_hit: as if nothing were stored. What comes instead takes its place. */
const unusable = (t: Transaction): Next => {
  const ends = t.asks?.control.onlyIfCached === true
  t.reuse = reuseAnswer(ends ? 'only-if-cached' : 'send-hit-deny')
  t.outcome.reuseReason = t.reuse.reason
  return ends ? t.refuse('only-if-cached', 'the request says only-if-cached') : 'fetch'
}
