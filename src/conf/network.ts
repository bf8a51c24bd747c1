import { canonicalAddress, parseIPv4 } from '../base/index.ts'

/** `127.0.0.1`, `127.0.0.1/32` and `127.0.0.1/255.255.255.255` as the same text; null if it is no plain network. */
export const canonicalNetwork = (text: string): string | null => {
  const slash = text.indexOf('/')
  const address = canonicalAddress(slash < 0 ? text : text.slice(0, slash))
  if (address === null) return null
  const whole = address.includes(':') ? 128 : 32
  const bits = slash < 0 ? whole : prefixLength(text.slice(slash + 1), whole)
  return bits === null ? null : `${address}/${bits}`
}

const prefixLength = (mask: string, whole: number): number | null => {
  if (/^\d{1,3}$/.test(mask)) return Number(mask) <= whole ? Number(mask) : null
  const dotted = parseIPv4(mask)
  if (dotted < 0) return null
  const zeros = Math.clz32(~dotted >>> 0) // leading ones of the mask
  return dotted === (zeros === 0 ? 0 : (0xffffffff << (32 - zeros)) >>> 0) ? zeros : null
}
