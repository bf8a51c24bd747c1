import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Output } from '../../comm/engine/output.ts'
import { Rest } from '../../comm/engine/rest.ts'
import { control } from '../../native/index.ts'

// What is listed for the kernel is what was written, in order, per connection; and when the kernel takes a part, what
// is left is exactly the rest.

const part = fc.oneof(
  fc.nat(300).map(n => 'x'.repeat(n)),
  fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes).toString('latin1')),
  fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
  fc.tuple(fc.integer({ min: 8000, max: 9000 }), fc.nat(255)).map(([n, byte]) => Buffer.alloc(n, byte)),
  fc.tuple(fc.integer({ min: 60_000, max: 70_000 }), fc.nat(255)).map(([n, byte]) => Buffer.alloc(n, byte).toString('latin1')),
)

const bytesOf = (some: Buffer | string): Buffer => (typeof some === 'string' ? Buffer.from(some, 'latin1') : some)

describe('output', () => {
  it('views of the commands of one connection are what was added for it', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 3, max: 5 }), part), { maxLength: 30 }), fc.nat(20_000), (added, skip) => {
        const shared = new Int32Array(control.size)
        const output = new Output(shared)
        const kept: [number, Buffer][] = []
        for (const [fd, some] of added) {
          const length = output.add(fd, some)
          expect(length === some.length || length === -1).toBe(true)
          if (length >= 0) kept.push([fd, Buffer.from(bytesOf(some))])
        }
        const count = shared[control.commands] ?? 0
        for (const fd of [3, 4, 5]) {
          const views: Buffer[] = []
          for (let i = 0; i < count; i++) if (output.commands[4 * i + 1] === fd) views.push(...output.views(i, i + 1, 0))
          const expected = kept.filter(([owner]) => owner === fd).map(([, bytes]) => bytes)
          expect(Buffer.concat(views).equals(Buffer.concat(expected))).toBe(true)
        }
        const whole = Buffer.concat(kept.map(([, bytes]) => bytes))
        expect(Buffer.concat(output.views(0, count, skip)).equals(whole.subarray(skip))).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  it('neighbouring small parts of one connection are one command', () => {
    const shared = new Int32Array(control.size)
    const output = new Output(shared)
    output.add(7, 'HTTP/1.1 200 OK\r\n')
    output.add(7, Buffer.from('Age: 1\r\n\r\n'))
    output.add(7, 'content')
    expect(shared[control.commands]).toBe(1)
    output.add(8, 'other')
    output.add(7, 'again')
    expect(shared[control.commands]).toBe(3)
  })

  it('says when it is full, and has room again after a flush', () => {
    const shared = new Int32Array(control.size)
    const output = new Output(shared)
    const piece = 'x'.repeat(60_000)
    let added = 0
    while (output.add(7, piece) >= 0) added++
    expect(added).toBe(8)
    const { serial } = output
    shared[control.commands] = 0 // what the native flush does
    expect(output.add(7, piece)).toBe(piece.length)
    expect(output.serial).toBe(serial + 1)
    let commands = 1
    while (output.add(commands % 2 ? 8 : 7, 'x') >= 0) commands++
    expect(commands).toBe(2048)
    expect(output.addShutdown(7)).toBe(false)
  })
})

describe('rest', () => {
  it('gives back what was added, whatever is taken in between', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(part, fc.nat(40_000), fc.boolean()), { maxLength: 40 }), steps => {
        const rest = new Rest()
        let expected: Buffer = Buffer.alloc(0)
        for (const [some, take, own] of steps) {
          rest.add(some, own)
          expected = Buffer.concat([expected, bytesOf(some)])
          const taken = Math.min(take, rest.bytes)
          rest.take(taken)
          expected = expected.subarray(taken)
          expect(rest.bytes).toBe(expected.length)
          expect(Buffer.concat(rest.parts).subarray(rest.skip).equals(expected)).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('copies what will change, and small parts always', () => {
    const rest = new Rest()
    const large = Buffer.alloc(20_000, 1)
    const small = Buffer.alloc(10, 1)
    rest.add(large, true)
    rest.add(small, false)
    large.fill(2)
    small.fill(2)
    expect(Buffer.concat(rest.parts).equals(Buffer.alloc(20_010, 1))).toBe(true)
  })
})
