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
