import { isToken } from './characters.ts'
import type { Fields } from './fields.ts'

// Lists of RFC 9110 5.6.1: members between commas, white space around them, empty members skipped. A comma inside a
// quoted string does not separate.

const COMMA = 44
const QUOTE = 34
const BACKSLASH = 92

/** Where the member that begins at `from` ends: the index of its comma, or the length. Quoted strings count as one. */
export const memberEnd = (text: string, from: number, separator = COMMA): number => {
  let i = from
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === separator) return i
    if (c === QUOTE) {
      const close = quoteEnd(text, i)
      if (close < 0) return text.length // never closed: the rest is one broken member
      i = close
    }
  }
  return i
}

/** The index of the closing quote of the quoted-string that begins at `open`, or -1. */
export const quoteEnd = (text: string, open: number): number => {
  for (let i = open + 1; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === QUOTE) return i
    if (c === BACKSLASH) i++
  }
  return -1
}

/** text[from, to) without SP and HTAB at its ends. */
export const trimmed = (text: string, from: number, to: number): string => {
  let start = from
  let end = to
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return start === 0 && end === text.length ? text : text.slice(start, end)
}

const isSpace = (c: number): boolean => c === 32 || c === 9

/** The members of a list, trimmed, without the empty ones. */
export const splitList = (text: string): string[] => {
  const members: string[] = []
  for (let i = 0; i <= text.length; ) {
    const end = memberEnd(text, i)
    const member = trimmed(text, i, end)
    if (member !== '') members.push(member)
    i = end + 1
  }
  return members
}

/** Whether a list of tokens has that one; `lower` in lower case. Allocates nothing. */
export const listHas = (text: string, lower: string): boolean => {
  let i = 0
  while (i <= text.length) {
    const end = memberEnd(text, i)
    let start = i
    let stop = end
    while (start < stop && isSpace(text.charCodeAt(start))) start++
    while (stop > start && isSpace(text.charCodeAt(stop - 1))) stop--
    if (stop - start === lower.length && sameIgnoringCase(text, start, lower)) return true
    i = end + 1
  }
  return false
}

const sameIgnoringCase = (text: string, from: number, lower: string): boolean => {
  for (let i = 0; i < lower.length; i++) {
    let c = text.charCodeAt(from + i)
    if (c >= 65 && c <= 90) c |= 32
    if (c !== lower.charCodeAt(i)) return false
  }
  return true
}

/** Whether any line of that field lists the token. */
export const fieldLists = (fields: Fields, lowerName: string, lowerToken: string): boolean => {
  for (let i = fields.indexOf(lowerName); i >= 0; i = fields.indexOf(lowerName, i + 1)) {
    if (listHas(fields.valueAt(i), lowerToken)) return true
  }
  return false
}

/** The content of a quoted-string (RFC 9110 5.6.4), the text itself where it is not one, null where it is broken. */
export const unquoted = (text: string): string | null => {
  if (text.charCodeAt(0) !== QUOTE) return text
  if (quoteEnd(text, 0) !== text.length - 1) return null
  let content = ''
  for (let i = 1; i < text.length - 1; i++) {
    if (text.charCodeAt(i) === BACKSLASH) i++
    content += text.charAt(i)
  }
  return content
}

/** A token as it is, anything else as a quoted-string. */
export const quotedIfNeeded = (text: string): string => (isToken(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`)

/** The lower-case options of Connection (RFC 9110 7.6.1). */
export const connectionOptions = (fields: Fields): string[] => {
  const value = fields.joined('connection')
  return value === undefined ? [] : splitList(value).map(option => option.toLowerCase())
}

/** The lower-case names in Vary, each once; '*' if any member is `*` or no field name (RFC 9110 12.5.5). */
export const varyMembers = (fields: Fields): readonly string[] | '*' => {
  const value = fields.joined('vary')
  if (value === undefined) return []
  const names = new Set<string>()
  for (const member of splitList(value)) {
    if (member === '*' || !isToken(member)) return '*'
    names.add(member.toLowerCase())
  }
  return [...names]
}
