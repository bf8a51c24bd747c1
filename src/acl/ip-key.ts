import { parseIPv4, parseIPv6 } from '../base/index.ts'

/** An address as unsigned 32-bit words, so that sets can be searched without text. Reused: one per connection. */
export class IpKey {
  /** 0 = none. */
  family: 0 | 4 | 6 = 0
  /** The whole IPv4 address, or the first quarter of an IPv6 one. */
  a = 0
  b = 0
  c = 0
  d = 0

  constructor(address: string) {
    this.set(address)
  }

  /** `address` in canonical text; anything else is "no address", which is in no set. */
  set(address: string): void {
    const v4 = parseIPv4(address)
    if (v4 >= 0) {
      this.family = 4
      this.a = v4
      this.b = this.c = this.d = 0
      return
    }
    // names and addresses in unusual spelling go the slow way, which knows all of them
    const groups = readCanonical(address) ? canonical : parseIPv6(address)
    this.family = groups === null ? 0 : 6
    this.a = wordAt(groups, 0)
    this.b = wordAt(groups, 2)
    this.c = wordAt(groups, 4)
    this.d = wordAt(groups, 6)
  }
}

/** Written by readCanonical: a client's address is read for each of its connections, and shall leave nothing behind. */
const canonical = new Uint16Array(8)

/** True: the groups are in `canonical`. False: it is not the usual spelling (lower case, no dots), or none at all. */
const readCanonical = (text: string): boolean => {
  let count = 0
  let gap = -1
  let value = 0
  let digits = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c !== 58) {
      const digit = c >= 48 && c <= 57 ? c - 48 : c >= 97 && c <= 102 ? c - 87 : -1
      if (digit < 0 || ++digits > 4) return false
      value = value * 16 + digit
      continue
    }
    if (count === 8 || (digits === 0 && i > 0)) return false
    if (digits > 0) canonical[count++] = value
    value = 0
    digits = 0
    if (text.charCodeAt(i + 1) === 58) {
      if (gap >= 0) return false
      gap = count
      i++
    } else if (i === 0 || i + 1 === text.length) return false
  }
  if (digits > 0) {
    if (count === 8) return false
    canonical[count++] = value
  }
  if (gap < 0) return count === 8
  if (count === 8) return false
  canonical.copyWithin(8 - count + gap, gap, count)
  canonical.fill(0, gap, 8 - count + gap)
  return true
}

const wordAt = (groups: ArrayLike<number> | null, at: number): number =>
  groups === null ? 0 : (groups[at] ?? 0) * 65536 + (groups[at + 1] ?? 0)
