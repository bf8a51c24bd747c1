// What a byte may be, as tables: one look-up per byte instead of a chain of comparisons.

const table = (allowed: (code: number) => number): Uint8Array => {
  const t = new Uint8Array(256)
  for (let code = 0; code < 256; code++) t[code] = allowed(code)
  return t
}

const marks = "!#$%&'*+-.^_`|~"
const isDigit = (c: number): boolean => c >= 48 && c <= 57
const isUpper = (c: number): boolean => c >= 65 && c <= 90
const isLower = (c: number): boolean => c >= 97 && c <= 122

/** RFC 9110 5.6.2 tchar: 1, everything else 0. */
export const tokenByte = table(c =>
  isDigit(c) || isUpper(c) || isLower(c) || marks.includes(String.fromCharCode(c)) ? 1 : 0,
)

/** RFC 9110 5.5 field-vchar (obs-text too), SP and HTAB: 1. Controls, CR, LF, NUL and DEL: 0. */
export const valueByte = table(c => (c === 9 || (c >= 32 && c !== 127) ? 1 : 0))

/**
 * What a request target is made of. Wider than RFC 3986, since browsers send `|`, `"`, `{` and the like as they are.
 * Refused: spaces, controls, bytes above 127, and '#', which one server takes for a path and the next for a fragment.
 */
export const targetByte = table(c => (c > 32 && c < 127 && c !== 35 ? 1 : 0))

/** The value of a hexadecimal digit plus one; 0 = not a digit. */
export const hexDigit = table(c => {
  if (isDigit(c)) return c - 48 + 1
  const lower = c | 32
  return lower >= 97 && lower <= 102 ? lower - 97 + 10 + 1 : 0
})

/** RFC 9110 5.6.2: one or more tchar. */
export const isToken = (text: string): boolean => {
  if (text === '') return false
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c > 127 || tokenByte[c] === 0) return false
  }
  return true
}

/** The same as `valueByte`, on text; all above latin1 too, which would be cut to who knows what (U+010D to CR). */
const notInValue = /[^\t -~\x80-\xff]/

/** May stand in a field value that goes out as latin1. A RegExp takes half the time of a loop over charCodeAt here. */
export const isFieldValue = (text: string): boolean => !notInValue.test(text)
