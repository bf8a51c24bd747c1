// Guards: content moves block by block to memory that is lent, after some hits, not too much behind one of them, and stays
// the same; where there is no such memory it stays where it was.

import { describe, expect, it } from 'vitest'
import { lendableBytesMin, moveToLent, type StoredResponse } from '../../src/cache/index.ts'
import { lentBytesMin } from '../../native/index.ts'
import { pattern } from '../support/comm-kit.ts'

const mib = 1024 * 1024

/** What is looked at of a stored response. */
const storedWith = (body: Buffer[]): StoredResponse => ({ body, largeHits: 0, lentBlocks: 0 }) as unknown as StoredResponse

describe('content that is sent often', () => {
  it('is as short as the native side says', () => expect(lendableBytesMin).toBe(lentBytesMin))

  it('moves from the third hit on, two megabytes at a time, and stays the same', () => {
    const content = pattern(4 * mib + 100_000)
    const body = [0, 1, 2, 3, 4].map(i => Buffer.from(content.subarray(i * mib, (i + 1) * mib)))
    const former = [...body]
    const stored = storedWith(body)
    const moved: number[] = []
    for (let hit = 0; hit < 8; hit++) {
      moveToLent(stored, bytes => Buffer.alloc(bytes))
      moved.push(body.filter((block, i) => block !== former[i]).length)
      expect(Buffer.concat(body).equals(content)).toBe(true)
    }
    expect(moved).toEqual([0, 0, 2, 4, 5, 5, 5, 5])
    expect(Buffer.concat(former).equals(content)).toBe(true)
  })

  it('leaves short blocks where they are', () => {
    const body = [Buffer.alloc(lendableBytesMin - 1), Buffer.alloc(lendableBytesMin), Buffer.alloc(10)]
    const former = [...body]
    const stored = storedWith(body)
    for (let hit = 0; hit < 4; hit++) moveToLent(stored, bytes => Buffer.alloc(bytes))
    expect(body.map((block, i) => block === former[i])).toEqual([true, false, true])
  })

  it('stays where there is no other memory, which is asked for once', () => {
    const body = [Buffer.alloc(mib), Buffer.alloc(mib)]
    const former = [...body]
    const stored = storedWith(body)
    let asked = 0
    for (let hit = 0; hit < 10; hit++) {
      moveToLent(stored, () => {
        asked++
        return null
      })
    }
    expect([asked, body[0] === former[0], body[1] === former[1]]).toEqual([1, true, true])
  })
})
