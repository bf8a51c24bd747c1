import { type Family, formatIPv4, formatIPv6, parseIPv4, parseIPv6 } from './address.ts'

// Networks as numbers: an address is one unsigned 32-bit word (IPv4) or four (IPv6), most significant first.

export type AddressWords = readonly number[]

/** `10.0.0.0/8`, `2001:db8::/32`; an address alone is the network of all its bits. */
export interface Prefix {
  readonly family: Family
  /** Masked. */
  readonly words: AddressWords
  /** Bits of the mask, 0…32 or 0…128. */
  readonly length: number
  /** The words as written, bits behind the mask included. */
  readonly written: AddressWords
}

/** Words of an address in any accepted spelling, or null; v4-mapped IPv6 counts as IPv4. */
export const addressWords = (text: string): AddressWords | null => {
  const v4 = parseIPv4(text)
  if (v4 >= 0) return [v4]
  const groups = text.includes(':') ? parseIPv6(text) : null
  if (groups === null) return null
  const words = wordsOfGroups(groups)
  return isMapped(words) ? [words[3] ?? 0] : words
}

/** Canonical text. */
export const addressOfWords = (words: AddressWords): string =>
  words.length === 1 ? formatIPv4(words[0] ?? 0) : formatIPv6(words.flatMap(word => [word >>> 16, word & 0xffff]))

/** An address, or an address and the length of its mask; null = it is none. Bits behind the mask do not count. */
export const parsePrefix = (text: string): Prefix | null => {
  const slash = text.indexOf('/')
  const v4 = parseIPv4(slash < 0 ? text : text.slice(0, slash))
  if (v4 >= 0) {
    const length = slash < 0 ? 32 : maskLength(text, slash, 32)
    return length < 0 ? null : { family: 4, words: [(v4 & maskWord(length)) >>> 0], length, written: [v4] }
  }
  const groups = text.includes(':') ? parseIPv6(slash < 0 ? text : text.slice(0, slash)) : null
  const length = slash < 0 ? 128 : maskLength(text, slash, 128)
  if (groups === null || length < 0) return null
  const written = wordsOfGroups(groups)
  if (!isMapped(written)) return { family: 6, words: masked(written, length), length, written }
  const last = written[3] ?? 0
  return length < 96 ? null : { family: 4, words: masked([last], length - 96), length: length - 96, written: [last] }
}

export const prefixText = (prefix: Prefix): string => `${addressOfWords(prefix.words)}/${prefix.length}`

export const masked = (words: AddressWords, length: number): AddressWords =>
  words.map((word, i) => (word & maskWord(length - 32 * i)) >>> 0)

export const prefixHolds = (prefix: Prefix, address: AddressWords): boolean => {
  const { words, length } = prefix
  if (words.length !== address.length) return false
  for (let i = 0; i < words.length; i++) {
    const mask = maskWord(length - 32 * i)
    if (mask === 0) return true
    if ((((words[i] ?? 0) ^ (address[i] ?? 0)) & mask) !== 0) return false
  }
  return true
}

/** A mask of so many leading ones; less than none is none, more than 32 is all. */
export const maskWord = (ones: number): number => (ones <= 0 ? 0 : ones >= 32 ? 0xffffffff : (0xffffffff << (32 - ones)) >>> 0)

const maskLength = (text: string, slash: number, most: number): number => {
  let length = 0
  const digits = text.length - slash - 1
  if (digits < 1 || digits > 3) return -1
  for (let i = slash + 1; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
  }
  return length <= most ? length : -1
}

const wordsOfGroups = (groups: readonly number[]): AddressWords => [
  wordAt(groups, 0), wordAt(groups, 2), wordAt(groups, 4), wordAt(groups, 6),
]

const wordAt = (groups: readonly number[], at: number): number => (groups[at] ?? 0) * 65536 + (groups[at + 1] ?? 0)

const isMapped = (words: AddressWords): boolean => words[0] === 0 && words[1] === 0 && words[2] === 0xffff
