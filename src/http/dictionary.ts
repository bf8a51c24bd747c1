// Dictionaries of structured fields (RFC 9651 3.2), as far as we need them: which key has what kind of value. Read
// strictly, as the RFC wants it: one mistake anywhere, and there is no dictionary.

/** What a key has; lists, byte sequences, dates and display strings are told apart from the rest only. */
export type DictionaryValue =
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'token'; readonly value: string }
  | { readonly kind: 'other' }

/** Null: it is none. Of a key that is there twice the last value counts (3.2). */
export const parseDictionary = (text: string): ReadonlyMap<string, DictionaryValue> | null => {
  const found = new Map<string, DictionaryValue>()
  let at = behind(blanks, text, 0)
  while (at < text.length) {
    const keyEnd = behind(keyPattern, text, at)
    if (keyEnd === at) return null
    const key = text.slice(at, keyEnd)
    let value: DictionaryValue = yes
    at = keyEnd
    if (text.charCodeAt(at) === 61) {
      const end = behind(valuePattern, text, at + 1)
      if (end === at + 1) return null
      value = valueOf(text.slice(at + 1, end))
      at = end
    }
    at = behind(parametersPattern, text, at)
    found.set(key, value)
    at = behind(space, text, at)
    if (at === text.length) return found
    if (text.charCodeAt(at) !== 44) return null
    at = behind(space, text, at + 1)
    if (at === text.length) return null // a comma with nothing behind it
  }
  return found
}

const yes: DictionaryValue = { kind: 'boolean', value: true }

// The grammar of 9651 3: each of these can be matched in one way only, so none takes more than linear time.
const key = '[a-z*][a-z0-9_.*-]*'
const bare =
  '(?:-?[0-9]{1,15}(?![0-9.])|-?[0-9]{1,12}\\.[0-9]{1,3}(?![0-9])|"(?:[ !#-\\[\\]-~]|\\\\["\\\\])*"|[A-Za-z*][!#$%&\'*+.^_`|~0-9A-Za-z:/-]*' +
  '|:[A-Za-z0-9+/]*=*:|\\?[01]|@-?[0-9]{1,15}(?![0-9.])|%"(?:[ !#$&-~]|%[0-9a-f]{2})*")'
const parameters = `(?:; *${key}(?:=${bare})?)*`
const inner = `\\((?: *${bare}${parameters}(?= |\\)))* *\\)`

const blanks = / */y
const space = /[ \t]*/y
const keyPattern = new RegExp(key, 'y')
const valuePattern = new RegExp(`${bare}|${inner}`, 'y')
const parametersPattern = new RegExp(parameters, 'y')

/** Where the match that begins at `at` ends; `at` itself if there is none. */
const behind = (pattern: RegExp, text: string, at: number): number => {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}

const valueOf = (text: string): DictionaryValue => {
  const first = text.charCodeAt(0)
  if (first === 63) return { kind: 'boolean', value: text === '?1' }
  if (first === 34) return { kind: 'string', value: text.slice(1, -1).replace(/\\(["\\])/g, '$1') }
  if (/^-?[0-9]+$/.test(text)) return { kind: 'integer', value: Number(text) }
  return /^[A-Za-z*]/.test(text) ? { kind: 'token', value: text } : { kind: 'other' }
}
