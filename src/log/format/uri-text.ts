/**
 * `%ru`: one word whatever the client sent. The query is cut behind its `?` (strip_query_terms), user information goes,
 * blanks and control characters are escaped; the rest stays as it came, as in Squid.
 */
export const loggedUri = (uri: string, stripQuery: boolean): string => {
  const query = stripQuery ? uri.indexOf('?') : -1
  const text = query < 0 ? uri : uri.slice(0, query + 1)
  return needsCare(text) ? escaped(withoutUser(text)) : text
}

const needsCare = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code <= 32 || code === 127 || code === 64) return true
  }
  return false
}

/** Passwords never get into a log: not the user's, nor the manager's (cache_object://HOST/PAGE@PASSWORD, as squidclient). */
const withoutUser = (text: string): string => {
  const bare = text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1')
  return bare.startsWith('cache_object:') ? bare.replace(/@.*$/s, '@***') : bare
}

const escaped = (text: string): string =>
  text.replace(/[\0-\x20\x7f]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)

/** `%mt`: the media type without its parameters. */
export const mediaType = (contentType: string): string => {
  const end = contentType.search(/[;\t ]/)
  return end < 0 ? contentType : contentType.slice(0, end)
}
