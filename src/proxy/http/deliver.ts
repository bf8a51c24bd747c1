import { conditionOf, type ContentSource, lendableBytesMin, moveToLent, notModifiedHead, type StoredResponse } from '../../cache/index.ts'
import type { ResultCode } from '../../base/index.ts'
import { rangeAnswer, rangeApplies, rangesWanted, unsatisfiable } from './range-answer.ts'
import { ReadStored } from './read-stored.ts'
import { actsAsOrigin, headOfOrigin } from './act-as-origin.ts'
import { judgeResponse } from './judge-response.ts'
import { markResponse } from './packets.ts'
import { asRuled } from './response.ts'
import type { Next } from './steps.ts'
import { tailOf } from './stored-head.ts'
import type { Transaction } from './transaction.ts'

/**
 * The stored response to the client: its head as kept, the lines that change, its content. What is in memory goes in one
 * write, what is not is read first.
 */
export const deliver = (t: Transaction): Next | Promise<Next> => {
  const stored = t.stored
  if (stored === null) return t.refuse('internal', 'nothing to deliver')
  if (t.client.gone) return 'finish'
  if (t.policy.judgesResponses && !t.judged) return judge(t, stored)
  if (t.policy.packets !== null) markResponse(t, t.policy.packets, 'stored')
  if (stored.status >= 400 && !t.policy.persistentAfterError) t.keepAlive = false
  const hit = stored.status >= 400 ? 'TCP_NEGATIVE_HIT' : stored.fromDisk || stored.content !== null ? 'TCP_HIT' : 'TCP_MEM_HIT'
  if (stored.fromDisk) stored.fromDisk = false
  if (t.asks !== null) {
    if (conditionOf(stored, t.fields).kind === 'not-modified') {
      t.outcome.result = hitCode(t, t.fields.has('if-none-match') ? 'TCP_INM_HIT' : 'TCP_IMS_HIT')
      return send(t, stored, 304, notModifiedHead(stored), none, 0)
    }
    t.outcome.result = hitCode(t, hit)
    if (t.asks.range && stored.status === 200 && t.head.method === 'GET' && rangeApplies(t.fields, stored, t.outcome.startedAt)) {
      const answered = inRanges(t, stored)
      if (answered !== null) return answered
    }
  } else t.outcome.result = hitCode(t, hit)
  if (t.head.method === 'HEAD') return send(t, stored, stored.status, stored.head, none, 0)
  return stored.content === null
    ? send(t, stored, stored.status, stored.head, stored.body, stored.contentLength)
    : read(t, stored, stored.status, stored.head, stored.content, stored.contentLength)
}

/** May the client have it. A 304 tells it nothing it has not. */
const judge = (t: Transaction, stored: StoredResponse): Next | Promise<Next> => {
  t.judged = true
  if (t.asks !== null && conditionOf(stored, t.fields).kind === 'not-modified') return deliver(t)
  const verdict = judgeResponse(t, stored.status, stored.fields(), stored.contentLength)
  if (verdict instanceof Promise) return verdict.then(may => (t.over ? 'done' : may ? deliver(t) : 'refuse'))
  return verdict ? deliver(t) : 'refuse'
}

/** Null: the Range is ignored. */
const inRanges = (t: Transaction, stored: StoredResponse): Next | Promise<Next> | null => {
  const wanted = rangesWanted(t, stored.contentLength)
  if (wanted === 'whole') return null
  const answer = wanted === 'unsatisfiable' ? unsatisfiable(stored.fields(), stored.contentLength) : rangeAnswer(stored, wanted)
  return answer.content === null
    ? send(t, stored, answer.status, answer.head, answer.body, answer.length)
    : read(t, stored, answer.status, answer.head, answer.content, answer.length)
}

const none: readonly Buffer[] = []

/** A validation has set a code already, which says more. */
const hitCode = (t: Transaction, code: ResultCode): ResultCode =>
  t.outcome.result === 'NONE_NONE' ? code : t.outcome.result

const send = (
  t: Transaction,
  stored: StoredResponse,
  status: number,
  head: string,
  body: readonly Buffer[],
  bodyBytes: number,
): Next => {
  if (t.client.port.accel !== null && actsAsOrigin(t)) head = headOfOrigin(head, t.outcome.startedAt)
  let tail = tailOf(t, stored, status, head, bodyBytes)
  if (t.policy.responseFields !== null) {
    tail = asRuled(t, head + tail)
    head = ''
  }
  const { client } = t
  let taken: boolean
  if (body.length <= 1) taken = client.write(head, tail, body[0] ?? null)
  else {
    taken = client.write(head, tail)
    for (const piece of body) taken = client.write(piece)
  }
  if (bodyBytes >= lendableBytesMin && client.connection.takesPages === true && client.deps.lend !== null) {
    moveToLent(stored, client.deps.lend)
  }
  if (!taken) t.limit(t.policy.timeouts.write)
  // nobody validates it, so that this was all that it had been looked up for
  else if (stored.lone && t.reuse?.kind === 'fresh' && bodyBytes > 0 && bodyBytes <= (client.connection.copiedMax ?? 0)) {
    t.stored = null
    stored.release()
  }
  return 'finish'
}

/** So many bytes of content, from where they lie. */
const read = async (
  t: Transaction,
  stored: StoredResponse,
  status: number,
  head: string,
  content: ContentSource,
  bytes: number,
): Promise<Next> => {
  const reader = await content.open()
  if (t.over || t.client.gone) {
    reader?.close()
    return t.over ? 'done' : 'finish'
  }
  if (reader === null) return gone(t)
  if (actsAsOrigin(t)) head = headOfOrigin(head, t.outcome.startedAt)
  const end = await new Promise<Next | 'unread'>(resolve => {
    new ReadStored(t, stored, status, head, reader, bytes, resolve).begin()
  })
  return end === 'unread' ? gone(t) : end
}

/** The store has let go of it between the look and the reading: as if it had not been there. */
const gone = (t: Transaction): Next => {
  t.stored = null
  t.variants = null
  t.partial = null
  t.outcome.result = 'NONE_NONE'
  if (t.asks?.control.onlyIfCached === true) return t.refuse('only-if-cached', 'what was stored is gone')
  return 'fetch'
}
