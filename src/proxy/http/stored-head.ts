import type { FieldView } from '../../base/index.ts'
import { fieldsOfHead, type StoredResponse } from '../../cache/index.ts'
import { actsAsOrigin } from './act-as-origin.ts'
import { connectionLine } from './response.ts'
import type { Transaction } from './transaction.ts'

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

/** The lines that end the head of this response alone, and what the record says of it. Its head leaves now. */
export const tailOf = (t: Transaction, stored: StoredResponse, status: number, head: string, bodyBytes: number): string => {
  const now = t.outcome.startedAt
  const o = t.outcome
  const tail =
    `${t.linesForOne}${actsAsOrigin(t) ? 'X-Cache-Age' : 'Age'}: ${stored.ageField(now)}\r\n${t.policy.responseViaLine}${t.cacheStatusLine(stored, now)}${connectionLine(t)}\r\n`
  t.headSent = true
  o.status = status
  o.contentType = stored.contentType
  o.responseFields = new HeadView(head)
  o.responseHeadBytes = head.length + tail.length
  o.responseBytes = o.responseHeadBytes + bodyBytes
  return tail
}
