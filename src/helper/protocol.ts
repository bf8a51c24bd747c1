// Squid's line protocol (3.4 and later). A question is a line of fields, an answer is
//
//   [ID ]OK|ERR|BH [key=value ...] [text]
//
// with values as they are and %-escaped, or in quotes with backslashes. Lines are bytes, held as latin1.

export interface HelperReply {
  /** 'OK', 'ERR', 'BH'; '' = none of them: what old helpers say stands in `text`. */
  readonly result: string
  /** Of a key that comes twice, the first. */
  readonly values: ReadonlyMap<string, string>
  /** All of them: key, value, key, value ... */
  readonly pairs: readonly string[]
  /** What follows the pairs. */
  readonly text: string
}

const results = /^(OK|ERR|BH)(?: +|$)/

export const parseReply = (line: string): HelperReply => {
  const found = results.exec(line)
  if (found === null) return { result: '', values: none, pairs: [], text: line }
  const values = new Map<string, string>()
  const pairs: string[] = []
  let at = found[0].length
  for (;;) {
    const pair = pairAt(line, at)
    if (pair === null) break
    if (!values.has(pair.key)) values.set(pair.key, pair.value)
    pairs.push(pair.key, pair.value)
    at = pair.end
    while (line.charAt(at) === ' ') at++
  }
  return { result: found[1] ?? '', values, pairs, text: line.slice(at).trim() }
}

const none: ReadonlyMap<string, string> = new Map()
const key = /[A-Za-z0-9_-]+=/y

const pairAt = (line: string, at: number): { readonly key: string; readonly value: string; readonly end: number } | null => {
  key.lastIndex = at
  const name = key.exec(line)?.[0]
  if (name === undefined) return null
  const begin = at + name.length
  if (line.charAt(begin) !== '"') {
    const blank = line.indexOf(' ', begin)
    const end = blank < 0 ? line.length : blank
    return { key: name.slice(0, -1), value: unescapeField(line.slice(begin, end)), end }
  }
  let value = ''
  let i = begin + 1
  for (; i < line.length && line.charAt(i) !== '"'; i++) {
    if (line.charAt(i) === '\\' && i + 1 < line.length) i++
    value += line.charAt(i)
  }
  return { key: name.slice(0, -1), value, end: Math.min(i + 1, line.length) }
}

/** RFC 1738: what could end a field or a line, and what is no ASCII. */
export const escapeField = (text: string): string =>
  text.replace(/[^!$&()*+,\-./0-9:;=?@A-Z_a-z]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)

/** `"text"`, with backslashes (digest). */
export const quoteField = (text: string): string => `"${text.replace(/["\\]/g, '\\$&').replace(/[\r\n]/g, ' ')}"`

/** What is not %XX stays as it is. */
export const unescapeField = (text: string): string =>
  text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
