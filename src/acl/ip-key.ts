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
    const groups = parseIPv6(address)
    this.family = groups === null ? 0 : 6
    this.a = wordAt(groups, 0)
    this.b = wordAt(groups, 2)
    this.c = wordAt(groups, 4)
    this.d = wordAt(groups, 6)
  }
}

const wordAt = (groups: readonly number[] | null, at: number): number =>
  groups === null ? 0 : (groups[at] ?? 0) * 65536 + (groups[at + 1] ?? 0)
