import { describe, expect, it } from 'vitest'
import { KeyTable } from '../../comm/datagram/key-table.ts'

// The table of flows finds what was added and nothing else, whatever was removed between, and looks at as few rows with
// a hundred thousand keys as with ten. Compared with a Map under random use; steps are counted, not timed.

/** Park and Miller's generator: the same run every time. */
const random = (seed: number) => () => (seed = (seed * 48271) % 2147483647)

const mixed = (key: readonly number[]): number => key.reduce((hash, word) => Math.imul(hash ^ word, 0x9e3779b1) ^ (hash >>> 13), 7)

describe('a key table', () => {
  it('behaves like a map', () => {
    const next = random(42)
    const table = new KeyTable(3, 4)
    const known = new Map<string, number>()
    for (let i = 0; i < 20_000; i++) {
      const key = [next() % 40, next() % 5, next() % 3]
      const words = Int32Array.from([99, ...key])
      const text = key.join(' ')
      const row = table.find(words, 1, mixed(key))
      expect(row, text).toBe(known.get(text) ?? -1)
      if (row < 0) known.set(text, table.add(words, 1, mixed(key)))
      else if (next() % 2 === 0) {
        table.remove(row)
        known.delete(text)
      }
      expect(table.size).toBe(known.size)
    }
    expect(new Set(known.values()).size, 'each key has a row of its own').toBe(known.size)
    for (const [text, row] of known) {
      expect([...table.words.slice(row * 3, row * 3 + 3)].join(' ')).toBe(text)
    }
  })

  it('keys that share a hash are told apart', () => {
    const table = new KeyTable(1, 4)
    const rows = [1, 2, 3, 4, 5].map(word => table.add(Int32Array.of(word), 0, 77))
    expect([1, 2, 3, 4, 5].map(word => table.find(Int32Array.of(word), 0, 77))).toEqual(rows)
    table.remove(rows[2] ?? -1)
    expect(table.find(Int32Array.of(3), 0, 77)).toBe(-1)
    expect(table.find(Int32Array.of(1), 0, 77)).toBe(rows[0])
  })

  it.each([10, 1000, 100_000])('among %i others, one is found, added and removed in a few steps', count => {
    const table = new KeyTable(2)
    for (let i = 0; i < count; i++) table.add(Int32Array.of(i, i * 7), 0, mixed([i, i * 7]))
    const before = table.steps
    for (let i = 0; i < 1000; i++) {
      const key = [-1 - i, i]
      const words = Int32Array.from(key)
      expect(table.find(words, 0, mixed(key))).toBe(-1)
      table.remove(table.add(words, 0, mixed(key)))
    }
    expect((table.steps - before) / 1000).toBeLessThan(6)
  })
})
