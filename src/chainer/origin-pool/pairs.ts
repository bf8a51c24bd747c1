import { isFieldValue } from '../../http/index.ts'

/** Node's own fast path under toString('latin1'), which its types leave out. */
interface Latin1Slice {
  latin1Slice(start: number, end: number): string
}

export const noPairs: readonly string[] = []

/** undici's raw fields as text: order and spelling as received, the space around a value away (RFC 9112 5.1). */
export const textPairs = (raw: unknown): readonly string[] => {
  if (!Array.isArray(raw) || raw.length === 0) return noPairs
  const pairs = new Array<string>(raw.length)
  for (let i = 0; i < raw.length; i++) {
    const bytes = raw[i] as Buffer & Latin1Slice // a name or value undici's parser cut out of what came in
    let end = bytes.length
    while (end > 0 && (bytes[end - 1] === 32 || bytes[end - 1] === 9)) end--
    pairs[i] = bytes.latin1Slice(0, end)
  }
  return pairs
}

/**
 * undici takes a reason phrase for UTF-8 where it takes fields as bytes: here it becomes the bytes again, as text of one
 * character each. What had not been UTF-8 cannot be told any more, and what has control characters must not go on; such
 * a phrase is left out (RFC 9112 4: nobody is to go by it).
 */
export const reasonText = (reason: string): string => {
  const text = isAscii(reason) ? reason : reason.includes('\ufffd') ? '' : Buffer.from(reason).toString('latin1')
  return isFieldValue(text) ? text : ''
}

const isAscii = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}
