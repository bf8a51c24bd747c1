import type { AddressWords, Prefix } from '../../base/index.ts'

// RFC 6052 2.2: an IPv4 address inside an IPv6 one.
//
//   bits      0        32       40       48       56   64  72      80      88      96      104        128
//   /32       prefix   |v4 (32)                         |u | suffix
//   /40       prefix            |v4 (24)                |u |v4 (8) | suffix
//   /48       prefix                     |v4 (16)       |u |v4 (16)        | suffix
//   /56       prefix                              |(8)  |u |v4 (24)                | suffix
//   /64       prefix                                    |u |v4 (32)                        | suffix
//   /96       prefix                                                              |v4 (32)
//
// u: bits 64 to 71 are zero (for /96 they belong to the prefix, and must be zero there too).

/** RFC 6052 3.1. */
export const wellKnownPrefix = '64:ff9b::/96'

export const embeddingLengths: readonly number[] = [32, 40, 48, 56, 64, 96]

/** The bytes of the IPv4 address, by the prefix's length: byte 8 is u and stays free. */
const placesOf = (length: number): readonly number[] => {
  const first = length / 8
  return length === 96 ? [12, 13, 14, 15] : [0, 1, 2, 3].map(i => (first + i < 8 ? first + i : first + i + 1))
}

/** Null: it can be used. Else why not. `prefix.written` may hold a suffix behind the IPv4 address. */
export const embeddingFault = (prefix: Prefix): string | null => {
  if (prefix.family !== 6) return 'the prefix must be IPv6'
  if (!embeddingLengths.includes(prefix.length)) return `RFC 6052 knows prefixes of ${embeddingLengths.join(', ')} bits`
  const bytes = bytesOf(prefix.written)
  if (bytes[8] !== 0) return 'bits 64 to 71 must be zero (RFC 6052 2.2)'
  if (placesOf(prefix.length).some(place => bytes[place] !== 0)) return 'there are bits where the IPv4 address goes'
  return null
}

/** The IPv4 address (one word) inside the prefix, with the prefix's suffix behind it. */
export const embed = (prefix: Prefix, address: AddressWords): AddressWords => {
  const bytes = bytesOf(prefix.written)
  const v4 = bytesOf(address)
  placesOf(prefix.length).forEach((place, i) => {
    bytes[place] = v4[i] ?? 0
  })
  return wordsOf(bytes)
}

/** The IPv4 address inside; the caller has seen that the prefix holds it. */
export const extract = (prefix: Prefix, address: AddressWords): AddressWords => {
  const bytes = bytesOf(address)
  return wordsOf(placesOf(prefix.length).map(place => bytes[place] ?? 0))
}

const bytesOf = (words: AddressWords): number[] =>
  words.flatMap(word => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255])

const wordsOf = (bytes: readonly number[]): AddressWords => {
  const words: number[] = []
  for (let i = 0; i < bytes.length; i += 4) {
    words.push((bytes[i] ?? 0) * 2 ** 24 + ((bytes[i + 1] ?? 0) << 16) + ((bytes[i + 2] ?? 0) << 8) + (bytes[i + 3] ?? 0))
  }
  return words
}
