import type { StoredResponse } from '../../cache/index.ts'
import { actsAsOrigin } from './act-as-origin.ts'
import { connectionLine } from './response.ts'
import { SentHead } from './sent-head.ts'
import type { Transaction } from './transaction.ts'

/** The lines that end the head of this response alone, and what the record says of it. Its head leaves now. */
export const tailOf = (t: Transaction, stored: StoredResponse, status: number, head: string, bodyBytes: number): string => {
  const now = t.outcome.startedAt
  const o = t.outcome
  const tail =
    `${t.linesForOne}${actsAsOrigin(t) ? 'X-Cache-Age' : 'Age'}: ${stored.ageField(now)}\r\n${t.policy.responseViaLine}${t.cacheStatusLine(stored, now)}${connectionLine(t)}\r\n`
  t.headSent = true
  o.status = status
  o.contentType = stored.contentType
  o.responseFields = new SentHead(head, tail)
  o.responseHeadBytes = head.length + tail.length
  o.responseBytes = o.responseHeadBytes + bodyBytes
  return tail
}
