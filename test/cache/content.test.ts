import fc from 'fast-check'
import { expect, test } from 'vitest'
import { blockBytesMax, Content } from '../../src/cache/store/content.ts'

// Guards the buffers a content is collected in: the bytes, and that it takes what it says it takes.

test('whatever the pieces: the same bytes, full buffers, and `needs` told before what was allocated', () => {
  const piece = fc.oneof(fc.integer({ min: 0, max: 9000 }), fc.integer({ min: 0, max: 200_000 }))
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.boolean(), (sizes, declared) => {
      const total = sizes.reduce((sum, size) => sum + size, 0)
      const content = new Content(declared ? total : -1)
      const kept: Buffer[] = []
      const given: Buffer[] = []
      sizes.forEach((size, n) => {
        const chunk = Buffer.alloc(size, n + 1)
        const before = content.allocated
        const needs = content.needs(size)
        content.append(chunk, kept)
        expect(content.allocated - before).toBe(needs)
        given.push(chunk)
      })
      const whole = Buffer.concat(given)
      expect(content.length).toBe(total)
      if (declared) expect(content.allocated).toBe(total)
      else expect(content.allocated).toBeLessThanOrEqual(Math.max(4096, 2 * total))
      expect(Buffer.concat(kept).equals(whole)).toBe(true)
      const buffers = content.finish()
      expect(Buffer.concat(buffers).equals(whole)).toBe(true)
      for (const buffer of buffers) {
        expect(buffer.length).toBe(buffer.buffer.byteLength)
        expect(buffer.length).toBeLessThanOrEqual(blockBytesMax)
      }
      expect(Buffer.concat(kept).equals(whole)).toBe(true)
    }),
    { numRuns: 150 },
  )
})

test('what is given stands where it was given, whatever came before it', () => {
  const piece = fc.record({ size: fc.integer({ min: 1, max: 9000 }), given: fc.boolean() })
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, declared) => {
      const buffers = pieces.map(({ size }, n) => Buffer.alloc(size, n + 1))
      const content = new Content(declared ? pieces.reduce((sum, { size }) => sum + size, 0) : -1)
      pieces.forEach(({ given }, n) => {
        const buffer = buffers[n] as Buffer // of the same length
        if (given) content.give(buffer)
        else content.append(buffer, undefined)
      })
      expect(content.length).toBe(Buffer.concat(buffers).length)
      expect(content.allocated).toBeGreaterThanOrEqual(content.length)
      expect(Buffer.concat(content.pieces()).equals(Buffer.concat(buffers))).toBe(true)
      expect(Buffer.concat(content.finish()).equals(Buffer.concat(buffers))).toBe(true)
    }),
    { numRuns: 150 },
  )
})

test('a whole content that is given stays the buffer it was', () => {
  const whole = Buffer.alloc(5000, 1)
  const content = new Content(whole.length)
  content.give(whole)
  expect(content.finish()[0]).toBe(whole)
})
