import { trimmed } from './lists.ts'

// Entity tags (RFC 9110 8.8.3). They stay as text, `"x"` or `W/"x"`: two tags are compared far more often than read.
// A quoted-pair has no meaning in them, and a comma inside does not separate.

/** Where the entity tag that begins at `from` ends (behind its quote), or -1. */
const etagEnd = (text: string, from: number): number => {
  const open = text.startsWith('W/', from) ? from + 2 : from
  if (text.charCodeAt(open) !== 34) return -1
  for (let i = open + 1; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 34) return i + 1
    if (c < 33 || c === 127) return -1
  }
  return -1
}

export const isEtag = (text: string): boolean => etagEnd(text, 0) === text.length

export const isStrongEtag = (text: string): boolean => text.charCodeAt(0) === 34 && isEtag(text)

/** RFC 9110 8.8.3.2: both strong and equal. */
export const strongMatch = (a: string, b: string): boolean => a === b && isStrongEtag(a)

/** Equal, be either weak. */
export const weakMatch = (a: string, b: string): boolean =>
  isEtag(a) && isEtag(b) && opaque(a) === opaque(b)

const opaque = (etag: string): string => (etag.startsWith('W/') ? etag.slice(2) : etag)

/** The tags of If-None-Match or If-Match: `*`, or a list; null if it is neither. */
export const parseEtagList = (text: string): readonly string[] | '*' | null => {
  if (trimmed(text, 0, text.length) === '*') return '*'
  const tags: string[] = []
  let i = 0
  for (;;) {
    while (i < text.length && isSeparator(text.charCodeAt(i))) i++
    if (i === text.length) return tags.length === 0 ? null : tags
    const end = etagEnd(text, i)
    if (end < 0) return null
    tags.push(text.slice(i, end))
    i = end
    while (i < text.length && (text.charCodeAt(i) === 32 || text.charCodeAt(i) === 9)) i++
    if (i < text.length && text.charCodeAt(i) !== 44) return null
  }
}

const isSeparator = (c: number): boolean => c === 44 || c === 32 || c === 9

/**
 * If-None-Match names the tag, by weak comparison (RFC 9110 13.1.2); `*` names any response there is. `etag`
 * undefined = the response has none. A list that cannot be read names nothing.
 */
export const ifNoneMatchNames = (text: string, etag: string | undefined): boolean => {
  const list = parseEtagList(text)
  if (list === null) return false
  if (list === '*') return true
  if (etag === undefined || !isEtag(etag)) return false
  const bare = opaque(etag)
  for (const tag of list) if (opaque(tag) === bare) return true
  return false
}

/** If-Match names the tag, by strong comparison (RFC 9110 13.1.1). */
export const ifMatchNames = (text: string, etag: string | undefined): boolean => {
  const list = parseEtagList(text)
  if (list === null) return false
  if (list === '*') return true
  return etag !== undefined && isStrongEtag(etag) && list.includes(etag)
}
