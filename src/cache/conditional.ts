import { type Fields, ifNoneMatchNames, parseHttpDate } from '../http/index.ts'
import { headText, type StoredResponse } from './stored-response.ts'

// A client's own conditions, answered from a stored response that may be used for it (RFC 9111 4.3.2, RFC 9110 13).
// If-Match and If-Unmodified-Since are for the origin alone; `reuse` sends requests that have them forward.

export const conditionReasons = {
  'none': { kind: 'full', doc: 'the request has no condition' },
  'not-for-status': { kind: 'full', doc: 'conditions are about a representation, which only a 200 is' },
  'tag-differs': { kind: 'full', doc: 'If-None-Match does not name its entity tag' },
  'modified': { kind: 'full', doc: 'modified after If-Modified-Since' },
  'bad-date': { kind: 'full', doc: 'If-Modified-Since is not one HTTP-date: ignored' },
  'tag-named': { kind: 'not-modified', doc: 'If-None-Match names its entity tag' },
  'not-modified': { kind: 'not-modified', doc: 'not modified after If-Modified-Since' },
} as const

export type ConditionReason = keyof typeof conditionReasons

export interface Condition {
  readonly kind: 'full' | 'not-modified'
  readonly reason: ConditionReason
}

const answers = Object.fromEntries(
  Object.entries(conditionReasons).map(([reason, line]) => [reason, { kind: line.kind, reason }]),
) as Readonly<Record<ConditionReason, Condition>> // one entry per key of the table

/** For GET and HEAD. If-None-Match, where there is one, decides alone (RFC 9110 13.2.2). */
export const conditionOf = (stored: StoredResponse, fields: Fields): Condition => {
  const tags = fields.joined('if-none-match')
  const since = tags === undefined ? fields.get('if-modified-since') : undefined
  if (tags === undefined && since === undefined) return answers.none
  // RFC 9110 13.2.1: conditions are ignored where the answer without them would be no success
  if (stored.status !== 200) return answers['not-for-status']
  if (tags !== undefined) {
    return ifNoneMatchNames(tags, stored.etag ?? undefined) ? answers['tag-named'] : answers['tag-differs']
  }
  const asked = fields.count('if-modified-since') === 1 ? parseHttpDate(since ?? '', stored.responseTime) : null
  if (asked === null) return answers['bad-date']
  // RFC 9111 4.3.2: without Last-Modified its Date stands in, and what has no Date has the time it came
  const modified = stored.lastModified >= 0 ? stored.lastModified : stored.date
  return modified <= asked ? answers['not-modified'] : answers.modified
}

/**
 * The head of a 304 made from a stored 200, open at its end like StoredResponse.head. RFC 9110 15.4.5: what a client
 * needs to update its own copy; not what describes a content it is not sent.
 */
export const notModifiedHead = (stored: StoredResponse): string => {
  const fields = stored.fields()
  const pairs: string[] = []
  for (let i = 0; i < fields.size; i++) {
    const lower = fields.lowerAt(i)
    const kept = alwaysIn304.has(lower) || (lower === 'last-modified' && stored.etag === null)
    if (kept) pairs.push(fields.nameAt(i), fields.valueAt(i))
  }
  return headText(304, 'Not Modified', pairs)
}

const alwaysIn304 = new Set([
  'cache-control', 'content-location', 'date', 'etag', 'expires', 'vary',
  'via', // it came that way
  'set-cookie', // where the policy replays it, it is for 304 as for 200
])
