// Nonces: only our own, only while they are young, each count once, whatever order a client's connections bring them in.

import { describe, expect, it } from 'vitest'
import { monoMs } from '../../src/base/index.ts'
import { Nonces } from '../../src/auth/nonces.ts'

const limits = { ageMsMax: 1000, countMax: 100, strict: false, counted: true }

describe('a nonce', () => {
  it('is ours and young, or nothing', () => {
    const nonces = new Nonces()
    const nonce = nonces.make(monoMs(5000))
    expect(nonces.isFresh(nonce, monoMs(5000), limits)).toBe(true)
    expect(nonces.isFresh(nonce, monoMs(5999), limits)).toBe(true)
    expect(nonces.isFresh(nonce, monoMs(6000), limits)).toBe(false)
    expect(nonces.isFresh(new Nonces().make(monoMs(5000)), monoMs(5000), limits)).toBe(false)
    for (const broken of ['', 'x', nonce.slice(1), `${nonce}A`, `${nonce.startsWith('Q') ? 'R' : 'Q'}${nonce.slice(1)}`]) {
      expect(nonces.isFresh(broken, monoMs(5000), limits), broken).toBe(false)
    }
  })

  it('takes each count once, the late ones within its window', () => {
    const nonces = new Nonces()
    const nonce = nonces.make(monoMs(0))
    const counts = [2, 1, 2, 1, 5, 3, 4, 3, 40, 10, 9, 39, 39, 101]
    expect(counts.map(count => nonces.use(nonce, count, limits))).toEqual(
      [true, true, false, false, true, true, true, false, true, true, false, true, false, false],
    )
  })

  it('strict: wants them without a gap', () => {
    const nonces = new Nonces()
    const nonce = nonces.make(monoMs(0))
    const strict = { ...limits, strict: true }
    expect([2, 1, 3, 2, 2].map(count => nonces.use(nonce, count, strict))).toEqual([false, true, false, true, false])
  })

  it('that was pushed out of memory is not begun from nothing', () => {
    const nonces = new Nonces()
    const first = nonces.make(monoMs(1))
    expect(nonces.use(first, 1, limits)).toBe(true)
    for (let n = 0; n < 50_000; n++) nonces.use(nonces.make(monoMs(2)), 1, limits)
    expect(nonces.mayBeForgotten(first)).toBe(true)
    expect(nonces.mayBeForgotten(nonces.make(monoMs(3)))).toBe(false)
  })
})
