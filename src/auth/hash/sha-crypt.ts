import { createHash } from 'node:crypto'
import { cryptText, stretched } from './crypt-text.ts'

const roundsUsual = 5000
/** glibc's bounds; a file with more rounds would take minutes per password. */
const roundsMin = 1000
const roundsMax = 999_999

const none = Buffer.alloc(0)

/** Drepper's `$5$` (sha256) and `$6$` (sha512). `rounds` null = the usual number, which is then not written. */
export const shaCrypt = (password: Buffer, kind: 'sha256' | 'sha512', saltText: string, rounds: number | null): string => {
  const sum = (...parts: readonly Uint8Array[]): Buffer => {
    const hash = createHash(kind)
    for (const part of parts) hash.update(part)
    return hash.digest()
  }
  const salt = Buffer.from(saltText, 'latin1')
  const count = Math.max(roundsMin, Math.min(roundsMax, rounds ?? roundsUsual))
  const inner = sum(password, salt, password)
  const bits: Buffer[] = []
  for (let length = password.length; length > 0; length >>= 1) bits.push((length & 1) === 1 ? inner : password)
  let state = sum(password, salt, stretched(inner, password.length), ...bits)
  const p = stretched(sum(...Array.from({ length: password.length }, () => password)), password.length)
  const s = stretched(sum(...Array.from({ length: 16 + (state[0] ?? 0) }, () => salt)), salt.length)
  for (let round = 0; round < count; round++) {
    const odd = (round & 1) === 1
    state = sum(odd ? p : state, round % 3 === 0 ? none : s, round % 7 === 0 ? none : p, odd ? state : p)
  }
  const written = rounds === null ? '' : `rounds=${count}$`
  return `$${kind === 'sha256' ? 5 : 6}$${written}${saltText}$${textOf(state, kind)}`
}

/** The bytes in an order of their own: three columns, of which each line begins with another. */
const textOf = (sum: Buffer, kind: 'sha256' | 'sha512'): string => {
  const at = (i: number): number => sum[i] ?? 0
  const column = kind === 'sha256' ? 10 : 21
  let text = ''
  for (let i = 0; i < column; i++) {
    const line = [i, i + column, i + 2 * column] as const
    const turn = kind === 'sha256' ? (3 - (i % 3)) % 3 : i % 3
    const [a, b, c] = [line[turn] ?? 0, line[(turn + 1) % 3] ?? 0, line[(turn + 2) % 3] ?? 0]
    text += cryptText(at(a), at(b), at(c), 4)
  }
  return text + (kind === 'sha256' ? cryptText(0, at(31), at(30), 3) : cryptText(0, 0, at(63), 2))
}
