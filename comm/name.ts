/**
 * A host name as DNS wants it (RFC 1035 2.3.4): lower case, no final dot, labels of 1 to 63 letters, digits, '-' and
 * '_', 253 in all. Null for everything else, also for what ends in a number: `127.1` and `0x7f.1` are addresses to some
 * programs, so they must not be names to us.
 */
export const canonicalName = (text: string): string | null => {
  const end = text.endsWith('.') ? text.length - 1 : text.length
  if (end < 1 || end > nameMax) return null
  let labelAt = 0
  let upper = false
  for (let i = 0; i < end; i++) {
    const c = text.charCodeAt(i)
    if (c === 46 /* . */) {
      if (i === labelAt || i - labelAt > labelMax) return null
      labelAt = i + 1
    } else if (c >= 65 && c <= 90) upper = true
    else if (!((c >= 97 && c <= 122) || (c >= 48 && c <= 57) || c === 45 /* - */ || c === 95) /* _ */) return null
  }
  if (end === labelAt || end - labelAt > labelMax) return null
  if (isDigit(text.charCodeAt(labelAt)) && number.test(text.slice(labelAt, end))) return null
  const name = end === text.length ? text : text.slice(0, end)
  return upper ? name.toLowerCase() : name
}

const nameMax = 253
const labelMax = 63
/** What an address parser of the inet_aton kind takes for a number. */
const number = /^(?:\d+|0[xX][\da-fA-F]*)$/

const isDigit = (c: number): boolean => c >= 48 && c <= 57
