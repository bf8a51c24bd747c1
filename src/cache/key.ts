import { type Endpoint, endpointText } from '../base/index.ts'

declare const keyMark: unique symbol

/** What stored responses are found by. The variants of one key differ in the request fields their Vary names. */
export type CacheKey = string & { readonly [keyMark]: true }

// A target URI has no spaces, so what is added with a space cannot collide with another URI, and the key of a plain
// GET is the URI itself: no string is built for a hit.

/** RFC 9111 2: method and target URI. `uri` is the normalised one. HEAD has its own key; POST stores for GET. */
export const cacheKey = (method: string, uri: string): CacheKey =>
  (method === 'HEAD' ? `HEAD ${uri}` : uri) as CacheKey

/**
 * The key where nobody could verify that Host belongs to the address the client had connected to: what such a server
 * says is only ever given to those who connect to the same address, so a forger poisons no one but himself.
 */
export const unverifiedKey = (method: string, uri: string, original: Endpoint): CacheKey =>
  `${cacheKey(method, uri)} ${endpointText(original)}` as CacheKey

/** Both keys a URI's responses may be under; what an unsafe method invalidates. */
export const keysOf = (uri: string): readonly [CacheKey, CacheKey] => [cacheKey('GET', uri), cacheKey('HEAD', uri)]
