import { type Fields, type ResponseCacheControl, responseCacheControl, surrogateControl, targetedCacheControl } from '../http/index.ts'
import type { CachePolicy } from './policy.ts'

/** What a response says to this cache: its CDN-Cache-Control or Surrogate-Control where we are such a cache, else its Cache-Control. */
export const controlOf = (fields: Fields, policy: CachePolicy): Readonly<ResponseCacheControl> => {
  const control =
    (policy.isCdn ? targetedCacheControl(fields, 'cdn-cache-control') : null) ??
    (policy.surrogate === null ? null : surrogateControl(fields, policy.surrogate)) ??
    responseCacheControl(fields)
  return policy.varyIgnoreExpire && expiresAtOnce(fields) ? { ...control, expiresIgnored: true } : control
}

/**
 * vary_ignore_expire: servers that gave what varies an Expires of the moment it was sent, since HTTP/1.0 knows no Vary
 * and must not keep it. As in Squid only where Expires is the Date itself.
 */
const expiresAtOnce = (fields: Fields): boolean => {
  const expires = fields.get('expires')
  return expires !== undefined && fields.has('vary') && expires.trim() === fields.get('date')?.trim()
}
