import { Fields } from './fields.ts'
import { connectionOptions } from './lists.ts'

// RFC 9110 7.6.1: fields that are about one connection never pass; those Connection lists neither. The framing fields
// are among them: whoever sends the message on frames it anew.

const never = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])

/**
 * Fields that Connection cannot take away. A client that lists them could have a cache store an answer to another
 * question than the origin was asked, or strip what the origin relies on (RFC 9110 7.6.1 forbids listing them).
 */
const cannotBeListed = new Set([
  'age',
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expires',
  'forwarded',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'max-forwards',
  'pragma',
  'range',
  'set-cookie',
  'vary',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
])

export const isHopByHop = (lower: string): boolean => never.has(lower)

/** The fields that may be sent on or stored, in order: a copy. */
export const endToEndFields = (fields: Fields): Fields => {
  const listed = fields.has('connection') ? new Set(connectionOptions(fields)) : none
  const pairs: string[] = []
  const lowers: string[] = []
  for (let i = 0; i < fields.size; i++) {
    const lower = fields.lowerAt(i)
    if (never.has(lower) || (listed.has(lower) && !cannotBeListed.has(lower))) continue
    pairs.push(fields.nameAt(i), fields.valueAt(i))
    lowers.push(lower)
  }
  return new Fields(pairs, lowers)
}

const none: ReadonlySet<string> = new Set()

/** Whether Connection may name fields of this message that an origin is then not to see. */
export const listsFields = (fields: Fields): boolean => {
  for (let i = fields.indexOf('connection'); i >= 0; i = fields.indexOf('connection', i + 1)) {
    const value = fields.valueAt(i)
    if (value === 'keep-alive' || value === 'Keep-Alive' || value === 'close') continue
    if (connectionOptions(fields).some(option => option !== 'close' && !never.has(option) && !cannotBeListed.has(option))) return true
  }
  return false
}

/** Max-Forwards (RFC 9110 7.6.2), which counts for TRACE and OPTIONS only; null if absent or no number. */
export const maxForwards = (fields: Fields): number | null => {
  const value = fields.get('max-forwards')
  return value !== undefined && /^[0-9]{1,9}$/.test(value) ? Number(value) : null
}
