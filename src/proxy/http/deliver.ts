import { conditionOf, fieldsOfHead, notModifiedHead, type StoredResponse } from '../../cache/index.ts'
import { contentRangeText, fieldLines, parseRange, satisfiable, statusLine, strongMatch, parseHttpDate } from '../../http/index.ts'
import type { FieldView, ResultCode } from '../../base/index.ts'
import { connectionLine } from './response.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'

/** The stored response to the client: its head as kept, the lines that change, its content, in one write. */
export const deliver = (t: Transaction): Next => {
  const stored = t.stored
  if (stored === null) return t.refuse('internal', 'nothing to deliver')
  if (t.client.gone) return 'finish'
  if (t.asks !== null) {
    if (conditionOf(stored, t.fields).kind === 'not-modified') {
      t.outcome.result = hitCode(t, t.fields.has('if-none-match') ? 'TCP_INM_HIT' : 'TCP_IMS_HIT')
      return send(t, stored, 304, notModifiedHead(stored), none, 0)
    }
    t.outcome.result = hitCode(t, 'TCP_MEM_HIT')
    if (t.asks.range && stored.status === 200 && t.head.method === 'GET' && rangeApplies(t, stored)) {
      const answered = part(t, stored)
      if (answered !== null) return answered
    }
  } else t.outcome.result = hitCode(t, stored.status >= 400 ? 'TCP_NEGATIVE_HIT' : 'TCP_MEM_HIT')
  return t.head.method === 'HEAD'
    ? send(t, stored, stored.status, stored.head, none, 0)
    : send(t, stored, stored.status, stored.head, stored.body, stored.contentLength)
}

const none: readonly Buffer[] = []

/** The fields of a serialised head, read only if a log line asks for one. */
class HeadView implements FieldView {
  readonly #head: string
  #fields: FieldView | null = null

  constructor(head: string) {
    this.#head = head
  }

  get #read(): FieldView {
    this.#fields ??= fieldsOfHead(this.#head)
    return this.#fields
  }

  get pairs(): readonly string[] {
    return this.#read.pairs
  }

  get(lowerName: string): string | undefined {
    return this.#read.get(lowerName)
  }

  joined(lowerName: string): string | undefined {
    return this.#read.joined(lowerName)
  }
}

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
  const now = t.outcome.startedAt
  const o = t.outcome
  const tail =
    `${t.linesForOne}Age: ${stored.ageField(now)}\r\n${t.policy.responseViaLine}${t.cacheStatusLine(stored, now)}${connectionLine(t)}\r\n`
  t.headSent = true
  o.status = status
  o.contentType = stored.contentType
  o.responseFields = new HeadView(head)
  o.responseHeadBytes = head.length + tail.length
  o.responseBytes = o.responseHeadBytes + bodyBytes
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

/** RFC 9110 13.1.5: a part is wanted only if it is a part of what the client has. */
const rangeApplies = (t: Transaction, stored: StoredResponse): boolean => {
  const condition = t.fields.get('if-range')
  if (condition === undefined) return true
  if (condition.startsWith('"')) return stored.etag !== null && strongMatch(stored.etag, condition)
  const date = parseHttpDate(condition, t.outcome.startedAt)
  return date !== null && stored.lastModified === date
}

/** One range of a stored 200; several at once are answered with the whole, as RFC 9110 14.2 allows. */
const part = (t: Transaction, stored: StoredResponse): Next | null => {
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
  return send(t, stored, 206, statusLine(206) + fieldLines(fields.pairs), cut(stored.body, range.first, range.last + 1), bytes)
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
