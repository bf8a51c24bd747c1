// IP addresses as text and as numbers. Text is canonical: dotted quads for IPv4, RFC 5952 for IPv6, never v4-mapped
// (`::ffff:a.b.c.d` is normalised to IPv4), so that equal addresses are equal strings.

export type Family = 4 | 6

/** One end of a connection. Objects are shared between rooms: read only. */
export interface Endpoint {
  readonly family: Family
  readonly address: string
  /** 0…65535; 0 = any. */
  readonly port: number
}

export const endpoint = (address: string, port: number): Endpoint => ({
  family: address.includes(':') ? 6 : 4,
  address,
  port,
})

/** `192.0.2.1:80`, `[2001:db8::1]:80`. */
export const endpointText = (e: Endpoint): string =>
  e.family === 6 ? `[${e.address}]:${e.port}` : `${e.address}:${e.port}`

export const sameEndpoint = (a: Endpoint, b: Endpoint): boolean => a.port === b.port && a.address === b.address

/** Of this machine alone: 127.0.0.0/8 and ::1, in canonical text. */
export const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

/** An IPv4 address as an unsigned 32-bit number, or -1 if `text` is not four decimal octets (no leading zeros). */
export const parseIPv4 = (text: string): number => {
  let value = 0
  let octet = -1
  let dots = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c >= 48 && c <= 57) {
      if (octet === 0) return -1
      octet = octet === -1 ? c - 48 : octet * 10 + (c - 48)
      if (octet > 255) return -1
    } else if (c === 46) {
      if (octet === -1 || dots === 3) return -1
      value = value * 256 + octet
      octet = -1
      dots++
    } else return -1
  }
  return dots === 3 && octet !== -1 ? value * 256 + octet : -1
}

export const formatIPv4 = (n: number): string =>
  `${(n >>> 24) & 255}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`

/** Eight 16-bit groups, or null. Accepts every form of RFC 4291 2.2; no zone, no brackets. */
export const parseIPv6 = (text: string): number[] | null => {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const head = groupsOf(halves[0] ?? '', halves.length === 1)
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? '', true) : []
  if (head === null || tail === null) return null
  if (halves.length === 1) return head.length === 8 ? head : null
  const gap = 8 - head.length - tail.length
  if (gap < 1) return null
  return [...head, ...new Array<number>(gap).fill(0), ...tail]
}

const groupsOf = (text: string, mayEndInIPv4: boolean): number[] | null => {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] ?? ''
    if (mayEndInIPv4 && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseIPv4(part)
      if (v4 < 0) return null
      groups.push(v4 >>> 16, v4 & 0xffff)
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null
      groups.push(Number.parseInt(part, 16))
    }
  }
  return groups.length <= 8 ? groups : null
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups as `::`, the first if equal. */
export const formatIPv6 = (groups: readonly number[]): string => {
  let best = -1
  let bestLength = 1
  for (let i = 0; i < 8; ) {
    let end = i
    while (end < 8 && groups[end] === 0) end++
    if (end - i > bestLength) {
      best = i
      bestLength = end - i
    }
    i = end === i ? i + 1 : end
  }
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map(g => g.toString(16))
      .join(':')
  return best < 0 ? hex(0, 8) : `${hex(0, best)}::${hex(best + bestLength, 8)}`
}

/** The canonical text of an address in any accepted spelling (also `[v6]` and v4-mapped), or null if it is none. */
export const canonicalAddress = (text: string): string | null => {
  if (parseIPv4(text) >= 0) return text
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  if (!bare.includes(':')) return null
  const groups = parseIPv6(bare)
  return groups === null ? null : canonicalIPv6(groups)
}

const canonicalIPv6 = (g: readonly number[]): string => {
  const mapped = g[5] === 0xffff && g[0] === 0 && g[1] === 0 && g[2] === 0 && g[3] === 0 && g[4] === 0
  return mapped ? formatIPv4((g[6] ?? 0) * 65536 + (g[7] ?? 0)) : formatIPv6(g)
}

/** From the 4 or 16 bytes of an address in network order at `at`; v4-mapped IPv6 becomes IPv4. */
export const addressFromBytes = (b: Uint8Array, at: number, family: Family): string => {
  if (family === 4) return `${b[at]}.${b[at + 1]}.${b[at + 2]}.${b[at + 3]}`
  const groups = new Array<number>(8)
  for (let i = 0; i < 8; i++) groups[i] = ((b[at + 2 * i] ?? 0) << 8) | (b[at + 2 * i + 1] ?? 0)
  return canonicalIPv6(groups)
}

/** Writes 4 or 16 bytes in network order. `address` must be canonical. */
export const addressToBytes = (address: string, b: Uint8Array, at: number): Family => {
  const v4 = parseIPv4(address)
  if (v4 >= 0) {
    b[at] = v4 >>> 24
    b[at + 1] = (v4 >>> 16) & 255
    b[at + 2] = (v4 >>> 8) & 255
    b[at + 3] = v4 & 255
    return 4
  }
  const groups = parseIPv6(address) ?? []
  groups.forEach((g, i) => {
    b[at + 2 * i] = g >>> 8
    b[at + 2 * i + 1] = g & 255
  })
  return 6
}
