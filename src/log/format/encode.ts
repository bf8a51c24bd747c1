// How a value is made safe for its place in a line. Each as Squid 5.7 writes it (tried byte by byte), with one
// difference: control characters other than CR, LF and tab, which Squid puts raw into quoted strings, are \xNN here.

export type Encoding = 'default' | 'quoted' | 'log' | 'url' | 'shell' | 'raw' | 'json'

export const encode = (text: string, encoding: Encoding): string => {
  switch (encoding) {
    case 'default':
      return unsafe.test(text) ? text.replace(unsafeAll, percentUpper) : text
    case 'url':
      return unsafeOrPercent.test(text) ? text.replace(unsafeOrPercentAll, percentUpper) : text
    case 'quoted':
      return quotable.test(text) ? text.replace(quotableAll, backslashed) : text
    case 'log':
      return bracketable.test(text) ? text.replace(bracketableAll, bracketed) : text
    case 'shell':
      return shellWord(text)
    case 'raw':
      return text
    case 'json':
      return jsonSafe(text)
  }
}

// RFC 1738's unsafe characters and what is not printable ASCII; `%` stands for itself except in 'url'
const unsafe = /[^!$&()*+,\-./0-9:;=?@A-Z_a-z%]/
const unsafeAll = new RegExp(unsafe.source, 'g')
const unsafeOrPercent = /[^!$&()*+,\-./0-9:;=?@A-Z_a-z]/
const unsafeOrPercentAll = new RegExp(unsafeOrPercent.source, 'g')
const quotable = /["\\\0-\x1f\x7f]/
const quotableAll = new RegExp(quotable.source, 'g')
const bracketable = /[\0-\x1f\x7f-\xff%[\]\\]/
const bracketableAll = new RegExp(bracketable.source, 'g')

const hex = (c: string): string => c.charCodeAt(0).toString(16).padStart(2, '0')

const percentUpper = (c: string): string => `%${hex(c).toUpperCase()}`

const backslashed = (c: string): string =>
  c === '"' || c === '\\' ? `\\${c}` : c === '\n' ? '\\n' : c === '\r' ? '\\r' : c === '\t' ? '\\t' : `\\x${hex(c)}`

const bracketed = (c: string): string => (c === '\\' ? '\\\\' : c === '\n' ? '\\n' : c === '\r' ? '\\r' : `%${hex(c)}`)

const shellWord = (text: string): string => {
  const escaped = text.replace(/["\\\n\r]/g, c => (c === '\n' ? '\\n' : c === '\r' ? '\\r' : `\\${c}`))
  return text.includes(' ') ? `"${escaped}"` : escaped
}

/** Fit to stand between the quotes of a JSON string. Bytes that are no UTF-8 become U+FFFD: a line is always valid. */
export const jsonSafe = (text: string): string => {
  if (!beyondJson.test(text)) return text
  const bytes = /[\x80-\xff]/.test(text) ? Buffer.from(Buffer.from(text, 'latin1').toString('utf8'), 'utf8').toString('latin1') : text
  return bytes.replace(jsonEscaped, c => (c === '"' || c === '\\' ? `\\${c}` : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`))
}

const beyondJson = /["\\\0-\x1f\x7f-\xff]/
const jsonEscaped = /["\\\0-\x1f\x7f]/g
