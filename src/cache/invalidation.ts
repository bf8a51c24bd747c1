import { type Fields, isSafe, resolveReference, type TargetUri, uriText } from '../http/index.ts'
import { type CacheKey, keysOf } from './key.ts'

// RFC 9111 4.4. What an unsafe request changed is no longer what we have stored: its own URI, and what the response
// names in Location and Content-Location, if of the same origin; another origin's word is not taken, or a site could
// empty the cache of its neighbours.

/** URIs to invalidate, all variants and both methods of each; empty for safe methods and for errors. */
export const invalidatedUris = (
  method: string,
  status: number,
  target: TargetUri,
  fields: Fields,
): readonly string[] => {
  if (isSafe(method) || status < 200 || status > 399) return none
  const uris = [textOf(target)]
  for (const name of ['location', 'content-location']) {
    const reference = fields.get(name)
    const named = reference === undefined ? null : resolveReference(reference, target)
    if (named === null || !sameOrigin(named, target)) continue
    const uri = textOf(named)
    if (!uris.includes(uri)) uris.push(uri)
  }
  return uris
}

/** The same as keys. */
export const invalidatedKeys = (
  method: string,
  status: number,
  target: TargetUri,
  fields: Fields,
): readonly CacheKey[] => invalidatedUris(method, status, target, fields).flatMap(uri => keysOf(uri))

const none: readonly string[] = []

const textOf = (target: TargetUri): string => uriText(target.scheme, target.host, target.port, target.path)

/** `uriText` leaves the scheme's own port out, so equal origins are equal texts. */
const sameOrigin = (a: TargetUri, b: TargetUri): boolean =>
  uriText(a.scheme, a.host, a.port, '/') === uriText(b.scheme, b.host, b.port, '/')

/**
 * A response to GET that may not be stored still tells that what is stored is over: the origin has just said something
 * else. Errors do not: they pass (as Squid has it).
 */
export const supersedesStored = (method: string, status: number): boolean => {
  if (method !== 'GET' || status === 206 || status === 304) return false
  return (status >= 200 && status <= 399) || status === 404 || status === 410
}
