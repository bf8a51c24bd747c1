import type { CacheKey } from './key.ts'

// Which of all that is stored is meant: what a purge of many goes by.

export interface Selection {
  /** Only what has this tag; a store that knows its tags need not look at the rest. Null = tags do not matter. */
  readonly tag: string | null
  /** Of keys, and the tags of one response under it. Pure. */
  readonly selects: (key: CacheKey, tags: readonly string[]) => boolean
}

/** `host` as in dstdomain: `.example.com` is the name and all below it. */
export const byHost = (host: string): Selection => {
  const name = host.toLowerCase()
  const below = name.startsWith('.')
  const bare = below ? name.slice(1) : name
  return everywhere(uri => {
    const found = hostOf(uri)
    return found === bare || (below && found.endsWith(name))
  })
}

export const byPrefix = (prefix: string): Selection => everywhere(uri => uri.startsWith(prefix))

export const byPattern = (matches: (uri: string) => boolean): Selection => everywhere(matches)

export const byTag = (tag: string): Selection => ({ tag, selects: (_key, tags) => tags.includes(tag) })

const everywhere = (of: (uri: string) => boolean): Selection => ({ tag: null, selects: key => of(uriOfKey(key)) })

/** The URI in a key: without the method before it and the address behind it. */
export const uriOfKey = (key: CacheKey): string => {
  const from = key.startsWith('HEAD ') ? 5 : 0
  const to = key.indexOf(' ', from)
  return key.slice(from, to < 0 ? key.length : to)
}

/** Without port; IPv6 without brackets. */
const hostOf = (uri: string): string => {
  const from = uri.indexOf('://') + 3
  if (uri.charCodeAt(from) === 91) return uri.slice(from + 1, uri.indexOf(']', from))
  let to = from
  for (; to < uri.length; to++) {
    const c = uri.charCodeAt(to)
    if (c === 47 || c === 58 || c === 63) break
  }
  return uri.slice(from, to)
}
