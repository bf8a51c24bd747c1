import { expect, test } from 'vitest'
import { AskedLately } from '../../src/cache/store/asked-lately.ts'

const key = (n: number): string => `http://a.example/pictures/${n}.png`

test('a key is known when it comes again soon, and forgotten after about as many others as wanted', () => {
  const asked = new AskedLately()
  const window = 1000
  expect(asked.again(key(0), window)).toBe(false)
  expect(asked.again(key(0), window)).toBe(true)
  // within a tenth of the window nearly all are still known, after ten windows hardly any
  const known = (distance: number): number => {
    let count = 0
    for (let i = 0; i < 20; i++) {
      const from = 1_000_000 * (i + 1) + distance * 1000
      for (let n = 0; n < distance; n++) asked.again(key(from + n), window)
      if (asked.again(key(from), window)) count++
    }
    return count
  }
  expect(known(window / 10)).toBeGreaterThan(14)
  expect(known(window * 10)).toBeLessThan(3)
})
