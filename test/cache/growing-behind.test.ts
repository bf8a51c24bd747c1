import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytes, Deadlines, ms } from '../../src/base/index.ts'
import {
  type ContentReader, type FollowReader, Growing, type StoredResponse, type StoreRefusal, type Writer,
} from '../../src/cache/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fieldsOf, storedOf } from './kit.ts'

// One fetch that many requests live on while its content goes to a disk: what is in memory is bounded, whoever lags
// behind gets the rest from where it was written, and everybody gets every byte. The disk is one the test steers.

const windowBytesMax = 100

/** A writer whose disk does what it is told, when it is told. */
class SteeredWriter implements Writer {
  readonly response: StoredResponse
  refusal: StoreRefusal | null = null
  pressed = false
  onRelieved: (() => void) | null = null
  readable = 0
  content = ''
  /** Readers that are open. */
  readers = 0
  readonly waiting: (() => void)[] = []

  constructor(response: StoredResponse) {
    this.response = response
  }

  get bytes(): number {
    return this.content.length
  }

  append(chunk: Uint8Array, kept?: Buffer[]): boolean {
    if (this.refusal !== null) return false
    this.content += Buffer.from(chunk).toString('latin1')
    kept?.push(Buffer.from(chunk))
    return true
  }

  complete(): StoredResponse {
    return this.response
  }

  completeAs(part: StoredResponse): StoredResponse {
    return part
  }

  abandon(): void {
    this.refusal = 'abandoned'
  }

  /** All that has come is on disk now. */
  write(): void {
    this.readable = this.content.length
  }

  /** Everybody who waits for a reading gets it. */
  async turn(): Promise<void> {
    for (let i = 0; i < 4; i++) {
      for (const go of this.waiting.splice(0)) go()
      await Promise.resolve()
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  readonly source = {
    open: async (): Promise<ContentReader> => {
      this.readers++
      return {
        read: async (at, into) => {
          await new Promise<void>(resolve => this.waiting.push(resolve))
          return into.write(this.content.slice(at, Math.min(this.readable, at + into.length)), 'latin1')
        },
        close: () => void this.readers--,
      }
    },
  }
}

class Reader implements FollowReader {
  readonly requestFields = fieldsOf()
  text = ''
  readonly told: string[] = []
  appetite = Number.POSITIVE_INFINITY
  onHead(): void {
    this.told.push('head')
  }
  onPiece(piece: Buffer): boolean {
    this.text += piece.toString('latin1')
    return --this.appetite > 0
  }
  onEnd(): void {
    this.told.push('end')
  }
  onStored(): void {
    this.told.push('stored')
  }
  onRelease(reason: string): void {
    this.told.push(`release ${reason}`)
  }
  onFail(why: string): void {
    this.told.push(`fail ${why}`)
  }
}

const machine = (windowMax = windowBytesMax) => {
  const clock = new FakeClock()
  const source: string[] = []
  const limits = { windowBytesMax: bytes(windowMax), followersMax: 100, waitMax: ms(30_000), holdMax: ms(60_000), readAheadBytesMax: bytes(1e9) }
  const growing = new Growing(
    { pause: () => source.push('pause'), resume: () => source.push('resume'), deserted: () => source.push('deserted') },
    limits,
    new Deadlines(clock),
  )
  const writer = new SteeredWriter(storedOf({ response: ['Cache-Control: max-age=60'] }))
  const join = (appetite = Number.POSITIVE_INFINITY) => {
    const reader = new Reader()
    reader.appetite = appetite
    const follower = growing.follow(reader)
    follower.resume()
    return { reader, follower }
  }
  let sent = ''
  return {
    clock, growing, source, writer, join,
    get sent() {
      return sent
    },
    append(size: number) {
      const piece = String.fromCharCode(97 + (sent.length % 26)).repeat(size)
      sent += piece
      growing.append(Buffer.from(piece, 'latin1'))
    },
  }
}

test('what is on disk leaves memory down to a window; who is slow reads it there and catches up', async () => {
  const m = machine()
  const slow = m.join(1)
  const fast = m.join()
  m.growing.respond(m.writer.response, m.writer)
  for (let i = 0; i < 20; i++) {
    m.append(40)
    m.writer.write()
  }
  m.append(1)
  expect(m.growing.bytesInMemory).toBeLessThanOrEqual(windowBytesMax + 41)
  expect(m.source).toEqual([])
  expect(fast.reader.text).toBe(m.sent)
  expect(slow.reader.text.length).toBe(40)
  slow.reader.appetite = Number.POSITIVE_INFINITY
  slow.follower.resume()
  await m.writer.turn()
  expect(slow.reader.text).toBe(m.sent)
  expect(m.writer.readers).toBe(0)
  m.growing.end()
  expect([slow.reader.told, fast.reader.told]).toEqual([['head', 'end'], ['head', 'end']])
})

test('what is not on disk yet stays in memory', () => {
  const m = machine()
  m.join(1)
  m.growing.respond(m.writer.response, m.writer)
  for (let i = 0; i < 20; i++) m.append(40)
  expect(m.growing.bytesInMemory).toBe(800)
  m.writer.write()
  m.append(1)
  expect(m.growing.bytesInMemory).toBeLessThanOrEqual(windowBytesMax + 41)
})

test('a newcomer begins with the first byte, wherever that is', async () => {
  const m = machine()
  m.join()
  m.growing.respond(m.writer.response, m.writer)
  for (let i = 0; i < 20; i++) {
    m.append(40)
    m.writer.write()
  }
  expect(m.growing.joinable(fieldsOf())).toBe(true)
  const late = m.join()
  m.append(5)
  await m.writer.turn()
  expect(late.reader.text).toBe(m.sent)
})

test('a disk that is behind pauses the source, and nobody is cut off for it', () => {
  const m = machine()
  m.join()
  const slow = m.join(1)
  m.growing.respond(m.writer.response, m.writer)
  m.writer.pressed = true
  m.append(40)
  m.append(40)
  expect(m.source).toEqual(['pause'])
  m.clock.advance(600_000)
  expect(slow.reader.told).toEqual(['head'])
  m.writer.pressed = false
  m.writer.onRelieved?.()
  expect(m.source).toEqual(['pause', 'resume'])
})

test('when the disk fails those who lag behind still get what it has, and the rest from memory', async () => {
  const m = machine()
  const slow = m.join(1)
  const fast = m.join()
  m.growing.respond(m.writer.response, m.writer)
  for (let i = 0; i < 10; i++) {
    m.append(40)
    m.writer.write()
  }
  m.writer.refusal = 'disk-failed'
  m.append(40)
  m.append(40)
  expect(m.source).toEqual(['pause'])
  slow.reader.appetite = Number.POSITIVE_INFINITY
  slow.follower.resume()
  await m.writer.turn()
  expect(m.source).toEqual(['pause', 'resume'])
  expect([slow.reader.text, fast.reader.text]).toEqual([m.sent, m.sent])
  m.growing.end()
  expect(slow.reader.told).toEqual(['head', 'end'])
})

test('one who leaves, or is cut off, leaves no reader open', async () => {
  const m = machine()
  m.join()
  const [one, two] = [m.join(1), m.join(1)]
  m.growing.respond(m.writer.response, m.writer)
  for (let i = 0; i < 20; i++) {
    m.append(40)
    m.writer.write()
  }
  m.append(1)
  await m.writer.turn()
  expect(m.writer.readers).toBe(2)
  one.follower.leave()
  two.reader.appetite = 5
  two.follower.resume()
  m.growing.fail()
  await m.writer.turn()
  expect(m.writer.readers).toBe(0)
  expect(two.reader.told).toEqual(['head', 'fail source-failed'])
})

test('random histories: whoever is told the end has had every byte, everybody is told once, no reader stays open', async () => {
  interface Step {
    readonly do: 'append' | 'join' | 'feed' | 'leave' | 'write' | 'turn' | 'press' | 'relieve' | 'fail-disk' | 'end'
    readonly who: number
    readonly size: number
  }
  const step: fc.Arbitrary<Step> = fc.record({
    do: fc.constantFrom('append', 'append', 'append', 'append', 'append', 'append', 'join', 'feed', 'feed', 'feed', 'leave', 'write', 'write', 'write', 'write', 'turn', 'turn', 'press', 'relieve', 'fail-disk', 'end'),
    who: fc.nat(9),
    size: fc.integer({ min: 1, max: 60 }),
  })
  let lagged = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80 }), async steps => {
      const m = machine(30)
      const all = [{ ...m.join(1), left: false }]
      m.growing.respond(m.writer.response, m.writer)
      let ended = false
      for (const s of steps) {
        const one = all[s.who % all.length]
        const paused = m.source.filter(word => word !== 'deserted').at(-1) === 'pause'
        if (s.do === 'join' && m.growing.joinable(fieldsOf())) all.push({ ...m.join(s.size % 4), left: false })
        else if (s.do === 'append' && !m.growing.over && !paused && !ended) m.append(s.size)
        else if (s.do === 'feed' && one !== undefined) {
          one.reader.appetite = s.size % 5
          one.follower.resume()
        } else if (s.do === 'leave' && one !== undefined && s.size % 3 === 0) {
          one.left = true
          one.follower.leave()
        } else if (s.do === 'write') m.writer.write()
        else if (s.do === 'turn') await m.writer.turn()
        else if (s.do === 'press') m.writer.pressed = true
        else if (s.do === 'relieve' || (s.do === 'fail-disk' && s.who === 0)) {
          if (s.do === 'fail-disk') m.writer.refusal = 'disk-failed'
          m.writer.pressed = false
          m.writer.onRelieved?.()
        } else if (s.do === 'end' && s.who === 0) {
          ended = true
          m.growing.end()
        }
        if (m.writer.readers > 0) lagged++
      }
      m.growing.end()
      for (const { reader, follower } of all) {
        reader.appetite = Number.POSITIVE_INFINITY
        follower.resume()
      }
      for (let i = 0; i < 3; i++) await m.writer.turn()
      expect(m.growing.over).toBe(true)
      expect(m.writer.readers).toBe(0)
      for (const { reader, left } of all) {
        expect(m.sent.startsWith(reader.text)).toBe(true)
        const last = reader.told.filter(word => word !== 'head')
        expect(last).toHaveLength(left ? last.length : 1)
        expect(last.length).toBeLessThanOrEqual(1)
        if (last[0] === 'end') expect(reader.text).toBe(m.sent)
      }
    }),
    { numRuns: 300 },
  )
  expect(lagged).toBeGreaterThan(100)
})
