import { describe, expect, it } from 'vitest'
import { detached, Fields } from '../../src/http/index.ts'

// Guards: the ordered pairs and the names beside them never come apart, whatever is done to them.

const sample = (): Fields => Fields.from(['Host', 'a', 'X-One', '1', 'x-one', '2', 'X-ONE', '3', 'Via', '1.1 x'])

const agrees = (fields: Fields): void => {
  expect(fields.pairs.length).toBe(2 * fields.size)
  for (let i = 0; i < fields.size; i++) {
    expect(fields.nameAt(i)).toBe(fields.pairs[2 * i])
    expect(fields.valueAt(i)).toBe(fields.pairs[2 * i + 1])
    expect(fields.lowerAt(i)).toBe(fields.nameAt(i).toLowerCase())
  }
}

describe('Fields', () => {
  it('finds lines by lower-case name in the order received', () => {
    const fields = sample()
    expect(fields.get('x-one')).toBe('1')
    expect(fields.all('x-one')).toEqual(['1', '2', '3'])
    expect(fields.joined('x-one')).toBe('1, 2, 3')
    expect(fields.count('x-one')).toBe(3)
    expect(fields.indexOf('x-one', 2)).toBe(2)
    expect([fields.get('no'), fields.joined('no'), fields.has('no'), fields.count('no')]).toEqual([
      undefined, undefined, false, 0,
    ])
    agrees(fields)
  })

  it('sets in the place of the first line and removes the others', () => {
    const fields = sample()
    fields.set('X-one', 'new')
    expect(fields.pairs).toEqual(['Host', 'a', 'X-one', 'new', 'Via', '1.1 x'])
    fields.set('X-Two', 'end')
    expect(fields.pairs.slice(-2)).toEqual(['X-Two', 'end'])
    agrees(fields)
  })

  it('deletes every line of a name and tells whether there was one', () => {
    const fields = sample()
    expect(fields.delete('x-one')).toBe(true)
    expect(fields.delete('x-one')).toBe(false)
    expect(fields.pairs).toEqual(['Host', 'a', 'Via', '1.1 x'])
    agrees(fields)
  })

  it('copies so that neither sees what is done to the other', () => {
    const fields = sample()
    const copy = fields.copy()
    copy.append('X', 'y')
    fields.delete('host')
    expect(copy.has('host')).toBe(true)
    expect(fields.has('x')).toBe(false)
    agrees(fields)
    agrees(copy)
  })

  it('does not take over the array it is made from', () => {
    const pairs = ['A', '1']
    const fields = Fields.from(pairs)
    fields.append('B', '2')
    expect(pairs).toEqual(['A', '1'])
  })
})

describe('a value that outlives its request', () => {
  it('is the same text, byte for byte', () => {
    const all = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i))
    expect(detached(all)).toBe(all)
  })
})
