import { createHash } from 'node:crypto'
import { cryptText, stretched } from './crypt-text.ts'

const md5 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('md5')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

const none = Buffer.alloc(0)
const zero = Buffer.alloc(1)

/** FreeBSD's `$1$`, and Apache's `$apr1$`, which differs by its name only: a thousand rounds of MD5. */
export const md5Crypt = (password: Buffer, magic: string, saltText: string): string => {
  const salt = Buffer.from(saltText, 'latin1')
  const name = Buffer.from(`$${magic}$`, 'latin1')
  const inner = md5(password, salt, password)
  const bits: Buffer[] = []
  for (let length = password.length; length > 0; length >>= 1) bits.push((length & 1) === 1 ? zero : password.subarray(0, 1))
  let sum = md5(password, name, salt, stretched(inner, password.length), ...bits)
  for (let round = 0; round < 1000; round++) {
    const odd = (round & 1) === 1
    sum = md5(odd ? password : sum, round % 3 === 0 ? none : salt, round % 7 === 0 ? none : password, odd ? sum : password)
  }
  const at = (i: number): number => sum[i] ?? 0
  let text = ''
  for (let i = 0; i < 5; i++) text += cryptText(at(i), at(i + 6), i === 4 ? at(5) : at(i + 12), 4)
  return `$${magic}$${saltText}$${text}${cryptText(0, 0, at(11), 2)}`
}
