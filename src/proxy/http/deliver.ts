import { conditionOf, notModifiedHead, type StoredResponse } from '../../cache/index.ts'
import { contentRangeText, fieldLines, parseRange, satisfiable, statusLine, strongMatch, parseHttpDate } from '../../http/index.ts'
import type { ResultCode } from '../../base/index.ts'
import { ReadStored } from './read-stored.ts'
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
  const hit = stored.fromDisk || stored.content !== null ? 'TCP_HIT' : 'TCP_MEM_HIT'
  if (stored.fromDisk) stored.fromDisk = false
  if (t.asks !== null) {
    if (conditionOf(stored, t.fields).kind === 'not-modified') {
      t.outcome.result = hitCode(t, t.fields.has('if-none-match') ? 'TCP_INM_HIT' : 'TCP_IMS_HIT')
      return send(t, stored, 304, notModifiedHead(stored), none, 0)
    }
    t.outcome.result = hitCode(t, hit)
    if (t.asks.range && stored.status === 200 && t.head.method === 'GET' && rangeApplies(t, stored)) {
      const answered = part(t, stored)
      if (answered !== null) return answered
    }
  } else t.outcome.result = hitCode(t, stored.status >= 400 ? 'TCP_NEGATIVE_HIT' : hit)
  if (t.head.method === 'HEAD') return send(t, stored, stored.status, stored.head, none, 0)
  return stored.content === null
    ? send(t, stored, stored.status, stored.head, stored.body, stored.contentLength)
    : read(t, stored, stored.status, stored.head, 0, stored.contentLength)
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
  const tail = tailOf(t, stored, status, head, bodyBytes)
  const { client } = t
  let taken: boolean
  if (body.length <= 1) taken = client.write(head, tail, body[0] ?? null)
  else {
    taken = client.write(head, tail)
    for (const piece of body) taken = client.write(piece)
  }
  if (!taken) t.limit(t.policy.timeouts.write)
  return 'finish'
}

/** Content [from, to), from where it lies. */
const read = async (
  t: Transaction,
  stored: StoredResponse,
  status: number,
  head: string,
  from: number,
  to: number,
): Promise<Next> => {
  const reader = (await stored.content?.open()) ?? null
  if (t.over || t.client.gone) {
    reader?.close()
    return t.over ? 'done' : 'finish'
  }
  if (reader === null) return gone(t)
  const end = await new Promise<Next | 'unread'>(resolve => {
    new ReadStored(t, stored, status, head, reader, from, to, resolve).begin()
  })
  return end === 'unread' ? gone(t) : end
}

/** The store has let go of it between the look and the reading: as if it had not been there. */
const gone = (t: Transaction): Next => {
  t.stored = null
  t.variants = null
  t.outcome.result = 'NONE_NONE'
  if (t.asks?.control.onlyIfCached === true) return t.refuse('only-if-cached', 'what was stored is gone')
  return 'fetch'
}

/** RFC 9110 13.1.5: a part is wanted only if it is a part of what the client has. */
const rangeApplies = (t: Transaction, stored: StoredResponse): boolean => {
  const condition = t.fields.get('if-range')
  if (condition === undefined) return true
  if (condition.startsWith('"')) return stored.etag !== null && strongMatch(stored.etag, condition)
  const date = parseHttpDate(condition, t.outcome.startedAt)
  return date !== null && stored.lastModified === date
}

/** One range of a stored 200; several at once are answered with the whole, as RFC 9110 14.2 allows. */
const part = (t: Transaction, stored: StoredResponse): Next | Promise<Next> | null => {
  const specs = parseRange(t.fields.joined('range') ?? '')
  if (specs === null || specs.length !== 1) return null
  const length = stored.contentLength
  const range = satisfiable(specs, length)[0]
  const fields = stored.fields()
  if (range === undefined) {
    const pairs = ['Content-Range', contentRangeText(null, length), 'Content-Length', '0', 'Date', fields.get('date') ?? '']
    return send(t, stored, 416, statusLine(416) + fieldLines(pairs), none, 0)
  }
  const bytes = range.last - range.first + 1
  fields.set('Content-Length', String(bytes))
  fields.set('Content-Range', contentRangeText(range, length))
  const head = statusLine(206) + fieldLines(fields.pairs)
  return stored.content === null
    ? send(t, stored, 206, head, cut(stored.body, range.first, range.last + 1), bytes)
    : read(t, stored, 206, head, range.first, range.last + 1)
}

const cut = (body: readonly Buffer[], from: number, to: number): Buffer[] => {
  const pieces: Buffer[] = []
  let at = 0
  for (const piece of body) {
    const start = Math.max(from - at, 0)
    const end = Math.min(to - at, piece.length)
    if (start < end) pieces.push(piece.subarray(start, end))
    at += piece.length
  }
  return pieces
}
