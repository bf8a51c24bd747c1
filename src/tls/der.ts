import { assert } from '../base/index.ts'

// DER (X.690) as far as certificates need it: tag, length, content. Written by functions that answer whole values, read as
// views that are walked. Tags of one byte and lengths below 2^31 are all that X.509 has.

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const

/** A context-specific tag: `[number]`; constructed holds other values. */
export const contextTag = (number: number, constructed: boolean): number => 0x80 | (constructed ? 0x20 : 0) | number

// ---- writing

export const value = (tag: number, ...contents: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(content.length)]), content])
}

export const sequence = (...contents: readonly Uint8Array[]): Buffer => value(tags.sequence, ...contents)

/** A number that is not negative, its bytes big-endian. */
export const integer = (bytes: Uint8Array): Buffer => {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const trimmed = bytes.subarray(start)
  const first = trimmed[0] ?? 0
  return first >= 0x80 || trimmed.length === 0 ? value(tags.integer, zero, trimmed) : value(tags.integer, trimmed)
}

export const bitString = (bytes: Uint8Array, unusedBits = 0): Buffer => value(tags.bitString, Buffer.from([unusedBits]), bytes)

/** `2.5.29.17` */
export const oid = (dotted: string): Buffer => {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return value(tags.oid, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280 4.1.2.5). Whole seconds. */
export const time = (at: Date): Buffer => {
  const text = at.toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  const year = at.getUTCFullYear()
  return year >= 1950 && year < 2050
    ? value(tags.utcTime, Buffer.from(text.slice(2), 'latin1'))
    : value(tags.generalizedTime, Buffer.from(text, 'latin1'))
}

const lengthBytes = (length: number): number[] => {
  if (length < 0x80) return [length]
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return [0x80 | bytes.length, ...bytes]
}

const base128 = (number: number): number[] => {
  const bytes = [number & 0x7f]
  for (let rest = Math.floor(number / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift(0x80 | (rest & 0x7f))
  return bytes
}

const zero = Buffer.from([0])

// ---- reading

/** One value within a buffer that outlives it. */
export interface DerValue {
  readonly tag: number
  /** Tag, length and content. */
  readonly whole: Buffer
  readonly content: Buffer
}

/** The value at `at`; null where the bytes are no whole one. */
export const readValue = (bytes: Buffer, at = 0): DerValue | null => {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return null
  let start = at + 2
  let length = first
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count === 0 || count > 4 || start + count > bytes.length) return null
    length = bytes.readUIntBE(start, count)
    start += count
  }
  const end = start + length
  return end > bytes.length ? null : { tag, whole: bytes.subarray(at, end), content: bytes.subarray(start, end) }
}

/** The values one after the other; what comes after a broken one is left out. */
export const readValues = (bytes: Buffer): DerValue[] => {
  const found: DerValue[] = []
  for (let at = 0; at < bytes.length; ) {
    const next = readValue(bytes, at)
    if (next === null) break
    found.push(next)
    at += next.whole.length
  }
  return found
}

/** The whole of an object identifier, for comparing. */
export const oidKey = (whole: Buffer): string => whole.toString('latin1')

/** PEM blocks of one label, in order. */
export const pemBlocks = (text: string, label: string): Buffer[] => {
  const found: Buffer[] = []
  for (const [, inside = ''] of text.matchAll(pemOf(label))) found.push(Buffer.from(inside, 'base64'))
  return found
}

const pemOf = (label: string): RegExp => {
  assert(/^[A-Z0-9 ]+$/.test(label), 'labels of PEM blocks are words')
  return new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, 'g')
}

export const pem = (der: Buffer, label: string): string =>
  `-----BEGIN ${label}-----\n${(der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${label}-----\n`
