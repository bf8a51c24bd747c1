/** `text` with its %XX decoded to bytes (latin1); `text` itself when there are none or one of them is malformed. */
export const decodedOrRaw = (text: string): string => {
  let at = text.indexOf('%')
  if (at < 0) return text
  let decoded = ''
  let from = 0
  for (; at >= 0; at = text.indexOf('%', from)) {
    const high = hexValue(text.charCodeAt(at + 1))
    const low = hexValue(text.charCodeAt(at + 2))
    if (high < 0 || low < 0) return text
    decoded += text.slice(from, at) + String.fromCharCode(high * 16 + low)
    from = at + 3
  }
  return decoded + text.slice(from)
}

const hexValue = (code: number): number => {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1 // NaN | 32 is 32: past the end is no digit
}
