import type { Made } from './pair.ts'

// What of two answers is compared. The differences that are meant, wherever they occur, are taken out here, each with
// its reason; those of single cases stand with the case.

export interface Compared {
  readonly status: number
  readonly result: string
  readonly asked: readonly string[] | null
  readonly response: readonly string[]
  readonly body: string
}

export const compared = (made: Made): Compared => {
  const isPage = made.response.some(field => field.startsWith('x-squid-error'))
  const response = merged(made.response.map(neutral)).filter(field => !left(field, notInResponses) && !(isPage && left(field, pageFields)))
  return {
    status: made.status,
    // what is no request is logged by Squid as none, once or twice, under pages of several names
    result: made.raw ? '' : sameResult(made.result),
    asked: made.asked === null ? null : merged(made.asked.map(neutral)).flatMap(askedField),
    // RFC 9110 15.4.5: a 304 carries the ETag the 200 would have had; Squid 5.7 leaves it out
    response: made.raw && isPage ? [] : made.status === 304 ? response.filter(field => !field.startsWith('etag: ')) : response,
    body: isPage ? '' : unchunked(made),
  }
}

/** Via names the program, the port of a run differs from the next. */
const neutral = (field: string): string =>
  field.replace(/\((?:squid|glassquid)\/[^)]*\)/, '(program)').replace(/\b127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')

/** RFC 9110 5.3: several lines of a list field are one; Squid joins Via and X-Forwarded-For, we leave what we were sent. */
const merged = (fields: readonly string[]): string[] => {
  const joined: string[] = []
  for (const field of fields) {
    const name = field.slice(0, field.indexOf(': ') + 2)
    const last = joined.length - 1
    if (/^(?:via|x-forwarded-for): /.test(name) && joined[last]?.startsWith(name)) joined[last] += `, ${field.slice(name.length)}`
    else joined.push(field)
  }
  return joined
}

const left = (field: string, names: readonly string[]): boolean => field === ': ' || names.some(name => field.startsWith(`${name}: `))

/**
 * Written by one of the two about itself: Cache-Status (RFC 9211) is ours, X-Cache Squid's. Date and Age tell seconds.
 * Warning is obsolete (RFC 9111 5.5). How content is framed to a client is each program's own business: we know the
 * length of what is stored, though it came in chunks.
 */
const notInResponses = ['cache-status', 'x-cache', 'x-cache-lookup', 'date', 'age', 'warning', 'transfer-encoding', 'content-length']

/** Error pages are ours; which page it is is compared. */
const pageFields = ['server', 'mime-version', 'vary', 'content-type', 'cache-control', 'content-language', 'expires']

/**
 * Squid adds max-age=MAX of refresh_pattern to each request, which only a parent cache could want; and validates what
 * has no Last-Modified by the Date it was sent, though it has an ETag, or changes every second.
 */
const askedField = (field: string): string[] => {
  if (/^cache-control: max-age=\d+$/.test(field)) return []
  if (field.startsWith('if-modified-since: ') && !field.endsWith('2000 00:00:00 GMT') && !field.endsWith('1999 00:00:00 GMT')) return []
  // undici keeps no connection on which a HEAD was sent
  if (field === 'connection: close') return ['connection: keep-alive']
  return [field.replace(/^cache-control: max-age=\d+, /, 'cache-control: ')]
}

/**
 * Squid's manual has codes for a reload (TCP_CLIENT_REFRESH_MISS) and for offline_mode (TCP_OFFLINE_HIT), which 5.7 does
 * not write; we do.
 */
const sameResult = (result: string): string => {
  if (result === 'NONE_NONE' || result === 'NONE') return ''
  if (result === 'TCP_CLIENT_REFRESH_MISS') return 'TCP_MISS'
  return result
}

const unchunked = ({ response, body }: Made): string =>
  response.includes('transfer-encoding: chunked') ? body.replace(/[0-9a-f]+\r\n([\s\S]*?)\r\n/g, '$1').trimEnd() : body
