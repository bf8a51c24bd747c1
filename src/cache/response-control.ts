import { type Fields, type ResponseCacheControl, responseCacheControl, targetedCacheControl } from '../http/index.ts'
import type { CachePolicy } from './policy.ts'

/** What a response says to this cache: its CDN-Cache-Control where we are such a cache, else its Cache-Control. */
export const controlOf = (fields: Fields, policy: CachePolicy): Readonly<ResponseCacheControl> =>
  (policy.isCdn ? targetedCacheControl(fields, 'cdn-cache-control') : null) ?? responseCacheControl(fields)
