import { canonicalAddress, formatIPv4, parseIPv4, parseIPv6 } from '../../base/index.ts'

/**
 * Reads the values of src, dst and localip: `a.b.c.d[/bits|/mask]`, `a-b[/mask]`, the same in IPv6, `all`, `ipv4`,
 * `ipv6`, `none`, host names. One reader is used for a whole list: the answer lies in its fields until the next read.
 */
export class IpValue {
  kind: 'v4' | 'v6' | 'all' | 'none' | 'name' | 'bad' = 'bad'
  /** v4 */
  start = 0
  end = 0
  /** v6: first and last address. */
  readonly range = new Uint32Array(8)
  /** What is worth a remark though it can be read, or why it cannot: '' = nothing. */
  remark: '' | Remark = ''
  hint = ''

  read(text: string): void {
    this.kind = 'bad'
    this.remark = ''
    this.hint = ''
    const word = words[text.toLowerCase()]
    if (word !== undefined) return this.#word(word, text)
    const slash = text.indexOf('/')
    const addresses = slash < 0 ? text : text.slice(0, slash)
    const mask = slash < 0 ? '' : text.slice(slash + 1)
    const dash = addresses.indexOf('-')
    const first = dash < 0 ? addresses : addresses.slice(0, dash)
    const last = dash < 0 ? first : addresses.slice(dash + 1)
    if (slash >= 0 && mask === '') return this.#refuse('bad-mask', `write ${addresses}, or a mask behind the slash`)
    const v4 = parseIPv4(first)
    if (v4 >= 0) return this.#v4(text, v4, parseIPv4(last), mask)
    if (first.includes(':')) return this.#v6(text, first, last, mask)
    this.#other(text, slash >= 0)
  }

  #word(word: 'all' | 'none' | 'ipv4' | 'ipv6' | 'old all', text: string): void {
    if (word === 'ipv4') {
      this.kind = 'v4'
      this.start = 0
      this.end = 0xffffffff
    } else if (word === 'ipv6') {
      this.kind = 'v6'
      this.range.fill(0, 0, 4).fill(0xffffffff, 4)
    } else {
      this.kind = word === 'none' ? 'none' : 'all'
      if (word === 'old all') this.#say('old-all', `write 'all' instead of '${text}'`)
    }
  }

  #v4(text: string, first: number, last: number, maskText: string): void {
    if (last < 0) return this.#refuse('bad-range', '')
    const mask = maskText === '' ? 0xffffffff : this.#maskV4(maskText)
    if (mask < 0) return this.#refuse('bad-mask', 'a mask is 0 to 32, or such as 255.255.0.0')
    const rest = 0xffffffff - mask
    this.start = (first & mask) >>> 0
    this.end = (last & mask) >>> 0
    // the mask also widens a range: the whole last network is meant
    if (this.start !== first || this.end !== last) this.#say('host-bits', `'${text}' covers ${this.#spanText(rest)}`)
    this.end += rest
    if (this.start > this.end) return this.#refuse('reversed', '')
    this.kind = 'v4'
  }

  #spanText(rest: number): string {
    return `${formatIPv4(this.start)} to ${formatIPv4(this.end + rest)}`
  }

  /** -1 = none. */
  #maskV4(text: string): number {
    if (/^\d{1,2}$/.test(text)) return Number(text) > 32 ? -1 : maskOfBits(Number(text))
    const mask = parseIPv4(text)
    const bits = mask < 0 ? -1 : Math.clz32(~mask)
    if (mask < 0 || maskOfBits(bits) !== mask) return -1
    this.#say('dotted-mask', `write /${bits}`)
    return mask
  }

  #v6(text: string, first: string, last: string, maskText: string): void {
    const from = parseIPv6(first)
    const to = last === first ? from : parseIPv6(last)
    if (from === null) return this.#refuse('bad-address', '')
    if (to === null) return this.#refuse('bad-range', '')
    const bits = maskText === '' ? 128 : maskBitsV6(maskText)
    if (bits < 0) return this.#refuse('bad-mask', 'a mask is 0 to 128')
    if (from[5] === 0xffff && from[0] === 0) {
      const canonical = canonicalAddress(first)
      if (canonical !== null && !canonical.includes(':')) return this.#mapped(text, canonical, canonicalAddress(last), bits)
    }
    for (let i = 0; i < 4; i++) {
      const mask = maskOfBits(Math.min(32, Math.max(0, bits - 32 * i)))
      const low = (from[2 * i] ?? 0) * 65536 + (from[2 * i + 1] ?? 0)
      const high = (to[2 * i] ?? 0) * 65536 + (to[2 * i + 1] ?? 0)
      const whole = (low & mask) >>> 0 === low && (high & mask) >>> 0 === high
      if (!whole) this.#say('host-bits', `the part beyond /${bits} is ignored`)
      this.range[i] = low & mask
      this.range[i + 4] = (high & mask) >>> 0 | ~mask
    }
    for (let i = 0; i < 4; i++) {
      const difference = (this.range[i] ?? 0) - (this.range[i + 4] ?? 0)
      if (difference > 0) return this.#refuse('reversed', '')
      if (difference < 0) break
    }
    this.kind = 'v6'
  }

  /** `::ffff:192.0.2.0/120`: peers are never shown in that form, so the set must hold IPv4. */
  #mapped(text: string, first: string, last: string | null, bits: number): void {
    const from = parseIPv4(first)
    const to = last === null ? -1 : parseIPv4(last)
    if (bits < 96) return this.#refuse('bad-mask', first)
    this.#v4(text, from, to, String(bits - 96))
  }

  #other(text: string, masked: boolean): void {
    if (/^[\d.]+$/.test(text.replace(/\/.*$/, ''))) return this.#refuse('octets', fourOctets(text))
    if (masked || !/^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?$/i.test(text)) return this.#refuse('bad-address', '')
    this.kind = 'name'
  }

  #say(remark: Remark, hint: string): void {
    if (this.remark !== '') return
    this.remark = remark
    this.hint = hint
  }

  #refuse(remark: Remark, hint: string): void {
    this.kind = 'bad'
    this.remark = remark
    this.hint = hint
  }
}

/** Remarks in Squid's words where it has some. */
export const remarkTexts = {
  'old-all': v => `'${v}' needs to be replaced by the term 'all'.`,
  'dotted-mask': v => `Netmasks are deprecated. Please use CIDR masks instead: '${v}'`,
  'host-bits': v => `aclIpParseIpData: Netmask masks away part of the specified IP in '${v}'`,
  'octets': v => `aclIpParseIpData: '${v}' is not an address: IPv4 needs four octets of 0 to 255`,
  'bad-address': v => `aclIpParseIpData: unknown address in '${v}'`,
  'bad-range': v => `aclIpParseIpData: unknown second address in '${v}'`,
  'bad-mask': v => `aclIpParseIpData: unknown netmask in '${v}'`,
  'reversed': v => `aclIpParseIpData: the range '${v}' ends before it begins`,
} as const satisfies Record<string, (value: string) => string>

export type Remark = keyof typeof remarkTexts

const words: Readonly<Record<string, 'all' | 'none' | 'ipv4' | 'ipv6' | 'old all'>> = {
  'all': 'all',
  'none': 'none',
  'ipv4': 'ipv4',
  'ipv6': 'ipv6',
  '0/0': 'old all',
  '0.0.0.0/0': 'old all',
  '0.0.0.0/0.0.0.0': 'old all',
  '0.0.0.0-255.255.255.255': 'old all',
  '0.0.0.0-0.0.0.0/0': 'old all',
}

const maskOfBits = (bits: number): number => (bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0)

const maskBitsV6 = (text: string): number => {
  if (/^\d{1,3}$/.test(text)) return Number(text) > 128 ? -1 : Number(text)
  const groups = parseIPv6(text)
  if (groups === null) return -1
  const bits = groups.map(group => group.toString(2).padStart(16, '0')).join('')
  const zero = bits.indexOf('0')
  return zero < 0 ? 128 : bits.includes('1', zero) ? -1 : zero
}

/** What somebody who wrote `10.1/16` meant. */
const fourOctets = (text: string): string => {
  const [address = '', mask] = text.split('/')
  const octets = address.split('.').filter(octet => octet !== '')
  // four of them: then one is no number up to 255
  if (octets.length >= 4) return ''
  const bits = mask ?? String(octets.length * 8)
  while (octets.length < 4) octets.push('0')
  return `did you mean ${octets.join('.')}/${bits}?`
}
