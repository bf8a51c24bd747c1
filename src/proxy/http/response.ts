import { chunkHead, Fields, fieldLines, lastChunk, statusLine } from '../../http/index.ts'
import { CountHttp } from './counters.ts'
import { ruledHead } from './field-rules.ts'
import { SentHead } from './sent-head.ts'
import type { Transaction } from './transaction.ts'

// How a response leaves: its head, then content framed as the client can read it.

export type ResponseFraming =
  | 'length' // the head says how long
  | 'chunked'
  | 'close' // the end of the connection is the end of the content (HTTP/1.0)
  | 'none' // HEAD, 204, 304

/** RFC 9112 9.3: what the Connection field must say for this client. */
export const connectionLine = (t: Transaction): string => {
  if (!t.keepAlive) return 'Connection: close\r\n'
  return t.outcome.versionMinor === 0 ? 'Connection: keep-alive\r\n' : ''
}

/** The status line and the field lines, without the empty line. */
export const headText = (status: number, reason: string, pairs: readonly string[]): string =>
  statusLine(status, reason) + fieldLines(pairs)

/** A whole response of our own in one write. `pairs` hold Content-Length already. */
export const sendWhole = (
  t: Transaction,
  status: number,
  reason: string,
  pairs: readonly string[],
  content: Buffer,
): void => {
  t.outcome.status = status
  const head = asRuled(t, `${headText(status, reason, pairs)}${t.policy.responseViaLine}${connectionLine(t)}\r\n`)
  const body = t.parsed !== null && t.head.method === 'HEAD' ? null : content
  t.headSent = true
  t.outcome.responseFields = new SentHead('', head)
  t.outcome.responseHeadBytes = head.length
  t.outcome.responseBytes = head.length + (body?.length ?? 0)
  t.client.write(head, body)
  t.limit(t.policy.timeouts.write)
}

/** The head of a response whose content follows piece by piece. */
export const sendHead = (t: Transaction, whole: string): void => {
  const head = asRuled(t, whole)
  t.headSent = true
  t.outcome.responseFields = new SentHead('', head)
  t.outcome.responseHeadBytes = head.length
  t.outcome.responseBytes = head.length
  t.client.write(head)
}

/** The head as reply_header_* wants it; t.outcome has the response already. Costs a look where none is configured. */
export const asRuled = (t: Transaction, head: string): string => {
  const rules = t.policy.responseFields
  if (rules === null) return head
  // a request that could not be read has told nothing that could be asked about
  const facts = t.facts
  facts.responseStatus = t.outcome.status
  facts.responseFields = t.outcome.responseFields
  const ruled = ruledHead(rules, head, facts, t.outcome)
  t.outcome.responseFields = new SentHead('', ruled) // the record has what the client was told
  return ruled
}

/** RFC 9112 6.3, from the sender's side. */
export const contentFraming = (t: Transaction, status: number, lengthKnown: boolean): ResponseFraming => {
  if (t.head.method === 'HEAD' || status === 204 || status === 304) return 'none'
  if (lengthKnown) return 'length'
  if (t.outcome.versionMinor === 1) return 'chunked'
  t.keepAlive = false
  return 'close'
}

/**
 * RFC 9112 7: a transfer coding of the origin's that we cannot undo, or null. What is under it is not the content, and
 * must not be passed on or stored as if it were. `identity` is none (RFC 2616 had it, and some still say it).
 */
export const undecodable = (fields: Fields): string | null => {
  const coding = fields.joined('transfer-encoding')
  if (coding === undefined) return null
  const lower = coding.toLowerCase()
  return lower === 'chunked' || lower === 'identity' ? null : coding
}

/** A piece of content, framed as t.framing says. False: stop until the client has drained. */
export const writeContent = (t: Transaction, whole: Buffer): boolean => {
  const piece = t.cut === null ? whole : t.cut.of(whole)
  if (t.framing === 'none' || piece.length === 0) return true
  t.contentLeft -= piece.length
  if (t.contentLeft < 0) return true // whoever gives it sees that, and breaks off
  t.outcome.responseBytes += piece.length
  t.limit(t.policy.timeouts.write)
  const { client } = t
  return t.framing === 'chunked' ? client.write(chunkHead(piece.length), piece, '\r\n') : client.write(piece)
}

export const endContent = (t: Transaction, trailers: readonly string[]): void => {
  if (t.framing === 'chunked') t.client.write(lastChunk(Fields.from(trailers)))
}

/** Ends a response that cannot be completed, so that the client can tell. */
export const breakOff = (t: Transaction): void => {
  t.keepAlive = false
  CountHttp.aborted++
  // where the close is the end mark, only a reset says that the end was not reached
  if (t.framing === 'close') t.client.connection.resetClose('aborted')
  else t.client.connection.close('aborted')
}
