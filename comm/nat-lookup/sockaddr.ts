import { endianness } from 'node:os'
import { addressFromBytes, addressToBytes, type Endpoint } from '../../src/base/index.ts'

// Linux's socket addresses as bytes. The family is in the machine's own byte order, port and address in network order.
//
//   sockaddr_in   16 bytes  family:2 port:2 address:4 zero:8
//   sockaddr_in6  28 bytes  family:2 port:2 flow:4 address:16 scope:4
//
// Called for every accepted connection: one object and one string per call, no views, no slices.

export const hostIsLittleEndian = endianness() === 'LE'

export const AF_INET = 2
export const AF_INET6 = 10
export const sockaddrInBytes = 16
export const sockaddrIn6Bytes = 28

export const sockaddrFamily = (bytes: Uint8Array, at: number, littleEndian = hostIsLittleEndian): number => {
  const first = bytes[at] ?? 0
  const second = bytes[at + 1] ?? 0
  return littleEndian ? first | (second << 8) : (first << 8) | second
}

/** Null for other families, and where the bytes end too early. A v4-mapped IPv6 address comes out as IPv4. */
export const sockaddrToEndpoint = (
  bytes: Uint8Array,
  at: number,
  littleEndian = hostIsLittleEndian,
): Endpoint | null => {
  const family = sockaddrFamily(bytes, at, littleEndian)
  if (family === AF_INET) {
    if (at + sockaddrInBytes > bytes.length) return null
    return { family: 4, address: addressFromBytes(bytes, at + 4, 4), port: portAt(bytes, at + 2) }
  }
  if (family !== AF_INET6 || at + sockaddrIn6Bytes > bytes.length) return null
  const address = addressFromBytes(bytes, at + 8, 6)
  return { family: address.includes(':') ? 6 : 4, address, port: portAt(bytes, at + 2) }
}

/**
 * Writes `e` at `at` and answers how many bytes that took (16 or 28). `asIPv6` writes an IPv4 endpoint v4-mapped, as a
 * dual-stack socket wants it. Every byte of the structure is written: the buffer may hold an older address.
 */
export const endpointToSockaddr = (
  e: Endpoint,
  bytes: Uint8Array,
  at: number,
  options: { readonly asIPv6?: boolean; readonly littleEndian?: boolean } = {},
): number => {
  const mapped = options.asIPv6 === true && e.family === 4
  const six = e.family === 6 || mapped
  const length = six ? sockaddrIn6Bytes : sockaddrInBytes
  const family = six ? AF_INET6 : AF_INET
  for (let i = at; i < at + length; i++) bytes[i] = 0 // Buffer's fill looks at its arguments for longer
  bytes[options.littleEndian ?? hostIsLittleEndian ? at : at + 1] = family
  putPort(bytes, at + 2, e.port)
  if (mapped) {
    bytes[at + 18] = 0xff
    bytes[at + 19] = 0xff
    addressToBytes(e.address, bytes, at + 20)
  } else addressToBytes(e.address, bytes, at + (six ? 8 : 4))
  return length
}

/** A port in network order. */
export const portAt = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)

export const putPort = (bytes: Uint8Array, at: number, port: number): void => {
  bytes[at] = port >>> 8
  bytes[at + 1] = port & 255
}
