import type { WallMs } from '../../base/index.ts'
import { notModifiedHead, type StoredResponse, withoutTags } from '../../cache/index.ts'
import { contentRangeText, endToEndFields, Fields, httpDate, isEtag, parseHttpDate, statusLine, fieldLines } from '../../http/index.ts'
import { ContentCut } from './content-cut.ts'
import { type Ranged, rangeApplies, rangesWanted } from './range-answer.ts'
import { connectionLine, headText, sendHead } from './response.ts'
import type { Transaction } from './transaction.ts'

// Clients that get less than the response their fetch brings: the range they asked for of a whole that is fetched
// (range_offset_limit), or a 304, since they have it.

/** Sends the head of the client's range and sets t.cut. False: it gets the whole, as it comes. `stored`: the whole is. */
export const cutWhole = (t: Transaction, status: number, fields: Fields, now: WallMs, stored: boolean): boolean => {
  const length = Number(fields.get('content-length') ?? -1)
  // several ranges at once: the order they are asked in is not that of the bytes as they come
  if (status !== 200 || length < 0 || t.outcome.versionMinor === 0 || !rangeApplies(t.fields, rangedBy(fields, now), t.outcome.startedAt)) return false
  const wanted = rangesWanted(t, length)
  if (wanted === 'whole') return false
  if (wanted === 'unsatisfiable') {
    const pairs = ['Content-Range', contentRangeText(null, length), 'Content-Length', '0', 'Date', httpDate(now)]
    send(t, 416, statusLine(416) + fieldLines(pairs), fields, true, stored)
    t.cut = nothing()
    return true
  }
  const [range] = wanted
  if (range === undefined || wanted.length > 1) return false
  const sent = endToEndFields(fields)
  withoutTags(sent, t.policy.cache.tags)
  if (!sent.has('date')) sent.append('Date', httpDate(now))
  sent.set('Content-Length', String(range.last - range.first + 1))
  sent.set('Content-Range', contentRangeText(range, length))
  t.framing = 'length'
  t.cut = new ContentCut(range)
  send(t, 206, headText(206, 'Partial Content', sent.pairs), fields, false, stored)
  return true
}

const nothing = (): ContentCut => new ContentCut({ first: 0, last: -1 })

const rangedBy = (fields: Fields, now: WallMs): Ranged => {
  const etag = fields.get('etag')
  const modified = fields.get('last-modified')
  return {
    etag: etag !== undefined && isEtag(etag) ? etag : null,
    lastModified: (modified === undefined ? null : parseHttpDate(modified, now)) ?? -1,
    date: parseHttpDate(fields.get('date') ?? '', now) ?? now,
  }
}

const send = (t: Transaction, status: number, head: string, fields: Fields, alone: boolean, stored: boolean): void => {
  if (alone) t.framing = 'none'
  t.outcome.status = status
  t.outcome.responseFields = fields
  t.outcome.contentType = fields.get('content-type') ?? ''
  sendHead(t, `${head}${t.policy.responseViaLine}${t.forwardStatusLine(stored)}${connectionLine(t)}\r\n`)
  t.limit(t.policy.timeouts.write)
}

/** The client has what has just come already. */
export const sendNotModified = (t: Transaction, response: StoredResponse, stored: boolean): void => {
  t.framing = 'none'
  t.outcome.status = 304
  t.outcome.responseFields = response.fields()
  const age = `Age: ${response.ageField(t.client.deps.clock.wall())}\r\n`
  sendHead(t, `${notModifiedHead(response)}${age}${t.policy.responseViaLine}${t.forwardStatusLine(stored)}${connectionLine(t)}\r\n`)
  t.limit(t.policy.timeouts.write)
}
