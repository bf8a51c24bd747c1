import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytes, Deadlines, ms } from '../../src/base/index.ts'
import {
  type FollowReader, Follower, Growing, type GrowingLimits, MemoryStore, type StoredResponse,
} from '../../src/cache/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type Case, fieldsOf, storedOf } from './kit.ts'

// Guards one fetch that many requests live on. Sees it in what each reader was told, in order and byte for byte, and in
// when the source was paused, resumed and deserted.

const limits: GrowingLimits = { windowBytesMax: bytes(100), followersMax: 100, waitMax: ms(30_000), holdMax: ms(60_000), readAheadBytesMax: bytes(1e9) }

class Reader implements FollowReader {
  readonly requestFields
  readonly told: string[] = []
  readonly got: Buffer[] = []
  /** How many pieces it takes before it wants a pause; Infinity = never. */
  appetite = Number.POSITIVE_INFINITY
  stored: StoredResponse | null = null

  constructor(...request: readonly string[]) {
    this.requestFields = fieldsOf(...request)
  }

  get text(): string {
    return Buffer.concat(this.got).toString()
  }

  onHead(response: StoredResponse) {
    this.told.push(`head ${response.status}`)
  }
  onPiece(piece: Buffer) {
    this.got.push(piece)
    return --this.appetite > 0
  }
  onEnd() {
    this.told.push('end')
  }
  onStored(stored: StoredResponse) {
    this.stored = stored
    this.told.push('stored')
  }
  onRelease(reason: string) {
    this.told.push(`release ${reason}`)
  }
  onFail(why: string) {
    this.told.push(`fail ${why}`)
  }
}

const machine = (change: Partial<GrowingLimits> = {}) => {
  const clock = new FakeClock()
  const source: string[] = []
  const growing = new Growing(
    {
      pause: () => source.push('pause'),
      resume: () => source.push('resume'),
      deserted: () => source.push('deserted'),
    },
    { ...limits, ...change },
    new Deadlines(clock),
  )
  const join = (reader: Reader): Follower => {
    const follower = growing.follow(reader)
    follower.resume()
    return follower
  }
  return { clock, source, growing, join }
}

const responseOf = (c: Case = {}) => storedOf({ ...c, response: ['Cache-Control: max-age=60', ...(c.response ?? [])] })

const storing = (objectBytesMax = 100_000, response = responseOf()) => {
  const store = new MemoryStore({ bytesMax: bytes(1e6), objectBytesMax: bytes(objectBytesMax), variantsMax: 4 })
  const opened = store.open(response, fieldsOf())
  if (!opened.ok) throw new Error(opened.reason)
  return { store, response, writer: opened.writer }
}

test('the source is ahead of the fastest reader by no more than the gap, however slow the others are', () => {
  const { growing, join, source } = machine({ readAheadBytesMax: bytes(4) })
  const { response, writer } = storing()
  const [slow, quick] = [new Reader(), new Reader()]
  slow.appetite = 1
  const first = join(slow)
  growing.respond(response, writer)
  growing.append(Buffer.from('abcd')) // the slow one takes this, and wants a pause
  growing.append(Buffer.from('efgh'))
  expect(source).toEqual([])
  growing.append(Buffer.from('i'))
  expect(source).toEqual(['pause'])
  const second = join(quick) // whoever comes now is held by nobody
  expect([source, quick.text]).toEqual([['pause', 'resume'], 'abcdefghi'])
  for (const text of ['jklmn', 'opqrs']) growing.append(Buffer.from(text))
  expect(source).toEqual(['pause', 'resume'])
  second.pause()
  growing.append(Buffer.from('12345'))
  expect(source).toEqual(['pause', 'resume', 'pause'])
  second.leave() // the slow one is far behind: what is ahead of it can wait
  expect(source).toEqual(['pause', 'resume', 'pause'])
  slow.appetite = Number.POSITIVE_INFINITY
  first.resume()
  expect([source.at(-1), slow.text]).toEqual(['resume', 'abcdefghijklmnopqrs12345'])
})

test('with nobody there, the source goes as fast as it likes', () => {
  const { growing, join, source } = machine({ readAheadBytesMax: bytes(4) })
  const { response, writer } = storing()
  const reader = new Reader()
  reader.appetite = 1
  const follower = join(reader)
  growing.respond(response, writer)
  for (const text of ['abcd', 'efghi']) growing.append(Buffer.from(text))
  follower.leave()
  expect(source).toEqual(['pause', 'deserted', 'resume'])
  for (let i = 0; i < 10; i++) growing.append(Buffer.alloc(100))
  expect(source).toHaveLength(3)
})

test('all who wait get the head and every byte, and the store has it at the end', () => {
  const { growing, join, source } = machine()
  const { store, response, writer } = storing()
  const readers = [new Reader(), new Reader(), new Reader()]
  for (const reader of readers) join(reader)
  growing.respond(response, writer)
  growing.append(Buffer.from('abc'))
  growing.append(Buffer.from('def'))
  expect(readers.map(reader => reader.text)).toEqual(['abcdef', 'abcdef', 'abcdef'])
  expect(growing.end()?.contentLength).toBe(6)
  expect(readers.map(reader => reader.told)).toEqual([['head 200', 'end'], ['head 200', 'end'], ['head 200', 'end']])
  expect(store.count).toBe(1)
  expect([growing.over, source]).toEqual([true, []])
})

test('nothing is called before the first resume, not even the head', () => {
  const { growing } = machine()
  const { response, writer } = storing()
  const reader = new Reader()
  const follower = growing.follow(reader)
  growing.respond(response, writer)
  growing.append(Buffer.from('abc'))
  expect(reader.told).toEqual([])
  follower.resume()
  expect([reader.told, reader.text]).toEqual([['head 200'], 'abc'])
})

test('one who comes late starts from the first byte while the content is stored', () => {
  const { growing, join } = machine()
  const { response, writer } = storing()
  growing.respond(response, writer)
  growing.append(Buffer.from('abc'))
  const late = new Reader()
  expect(growing.joinable(late.requestFields)).toBe(true)
  join(late)
  growing.append(Buffer.from('def'))
  growing.end()
  expect([late.told, late.text]).toEqual([['head 200', 'end'], 'abcdef'])
})

test('a slow reader holds nobody while the content is stored', () => {
  const { growing, join, source } = machine({ windowBytesMax: bytes(2) })
  const { response, writer } = storing()
  const [fast, slow] = [new Reader(), new Reader()]
  slow.appetite = 1
  join(fast)
  const follower = join(slow)
  growing.respond(response, writer)
  for (const piece of ['abc', 'def', 'ghi']) growing.append(Buffer.from(piece))
  growing.end()
  expect([fast.text, fast.told.at(-1)]).toEqual(['abcdefghi', 'end'])
  expect([slow.text, slow.told]).toEqual(['abc', ['head 200']])
  expect([source, growing.over]).toEqual([[], false])
  slow.appetite = Number.POSITIVE_INFINITY
  follower.resume()
  expect([slow.text, slow.told.at(-1), growing.over]).toEqual(['abcdefghi', 'end', true])
})

test('a chunk may be a part of a read buffer that is used again', () => {
  for (const stored of [true, false]) {
    const { growing, join } = machine()
    const { response, writer } = storing()
    const reader = new Reader()
    reader.appetite = 1
    const follower = join(reader)
    growing.respond(response, stored ? writer : null)
    const slab = Buffer.from('xabcx')
    growing.append(slab.subarray(1, 4))
    slab.fill(46)
    growing.append(slab.subarray(1, 3))
    slab.fill(47)
    reader.appetite = 9
    follower.resume()
    expect(reader.text).toBe('abc..')
  }
})

test('a response that is for one client only sends all others off', () => {
  const { growing, join } = machine()
  const reader = new Reader()
  join(reader)
  growing.dissolve('not-shareable')
  expect([reader.told, growing.over, growing.joinable(fieldsOf())]).toEqual([['release not-shareable'], true, false])
})

test('a request its Vary does not fit is sent off, the others stay; nor can such a one join later', () => {
  const { growing, join } = machine()
  const response = responseOf({ request: ['Foo: 1'], response: ['Vary: Foo'] })
  const { writer } = storing(100_000, response)
  const [fits, other] = [new Reader('Foo: 1'), new Reader('Foo: 2')]
  join(fits)
  join(other)
  growing.respond(response, writer)
  expect([fits.told, other.told]).toEqual([['head 200'], ['release other-variant']])
  expect([growing.joinable(fieldsOf('Foo: 1')), growing.joinable(fieldsOf('Foo: 2'))]).toEqual([true, false])
})

test('a validation that holds gives all the stored response', () => {
  const { growing, join } = machine()
  const stored = responseOf({ request: ['Foo: 1'], response: ['Vary: Foo'] })
  const [fits, other] = [new Reader('Foo: 1'), new Reader('Foo: 2')]
  join(fits)
  join(other)
  growing.settle(stored)
  expect([fits.told, other.told, fits.stored === stored]).toEqual([['stored'], ['release other-variant'], true])
})

test('before the head a failure sends all off; after it, it is theirs too', () => {
  const before = machine()
  const waiting = new Reader()
  before.join(waiting)
  before.growing.fail()
  expect(waiting.told).toEqual(['release failed'])

  const after = machine()
  const { store, response, writer } = storing()
  const [reading, notYet] = [new Reader(), new Reader()]
  after.join(reading)
  after.growing.follow(notYet)
  after.growing.respond(response, writer)
  after.growing.append(Buffer.from('abc'))
  after.growing.fail()
  expect([reading.told, notYet.told]).toEqual([['head 200', 'fail source-failed'], ['release failed']])
  expect([store.count, store.bytes]).toEqual([0, 0])
})

test('a content shorter than its Content-Length is a failure', () => {
  const response = responseOf({ contentLength: 10 })
  const { growing, join } = machine()
  const { store, writer } = storing(100_000, response)
  const reader = new Reader()
  join(reader)
  growing.respond(response, writer)
  growing.append(Buffer.from('abc'))
  expect(growing.end()).toBe(null)
  expect([reader.told, store.count]).toEqual([['head 200', 'fail source-failed'], 0])
})

test('a content that outgrows the store goes on for those who read it, and for nobody new', () => {
  const { growing, join } = machine()
  const { store, response, writer } = storing(5)
  const reader = new Reader()
  join(reader)
  growing.respond(response, writer)
  for (const piece of ['abc', 'def', 'ghi']) growing.append(Buffer.from(piece))
  expect(growing.joinable(fieldsOf())).toBe(false)
  expect(growing.end()).toBe(null)
  expect([reader.text, reader.told.at(-1), store.count, store.bytes]).toEqual(['abcdefghi', 'end', 0, 0])
})

test('then a full window pauses the source, and half a window lets it go on', () => {
  const { growing, join, source } = machine({ windowBytesMax: bytes(10) })
  const reader = new Reader()
  reader.appetite = 1
  const follower = join(reader)
  growing.respond(responseOf(), null)
  for (let i = 0; i < 4; i++) growing.append(Buffer.from('abc')) // the first is taken, three stay: 9 bytes
  expect(source).toEqual([])
  growing.append(Buffer.from('abc'))
  expect(source).toEqual(['pause'])
  reader.appetite = 2
  follower.resume() // two taken, 6 bytes stay
  expect(source).toEqual(['pause'])
  reader.appetite = 1
  follower.resume() // 3 bytes stay
  expect(source).toEqual(['pause', 'resume'])
  reader.appetite = 99
  follower.resume()
  growing.append(Buffer.from('end'))
  growing.end()
  expect(reader.text).toBe('abcabcabcabcabcend')
})

test('the slowest paces the others, but not for ever: then it is cut off and they go on', () => {
  const { growing, join, source, clock } = machine({ windowBytesMax: bytes(10), holdMax: ms(60_000), readAheadBytesMax: bytes(1e9) })
  const [fast, slow] = [new Reader(), new Reader()]
  slow.appetite = 1
  join(fast)
  join(slow)
  growing.respond(responseOf(), null)
  for (let i = 0; i < 5; i++) growing.append(Buffer.from('abc'))
  expect(source).toEqual(['pause'])
  clock.advance(59_000)
  expect(slow.told).toEqual(['head 200'])
  clock.advance(3_000)
  expect([slow.told.at(-1), source]).toEqual(['fail too-slow', ['pause', 'resume']])
  growing.append(Buffer.from('end'))
  growing.end()
  expect(fast.text).toBe('abcabcabcabcabcend')
  expect(clock.pending).toBe(0)
})

test('one alone may be as slow as he likes', () => {
  const { growing, join, source, clock } = machine({ windowBytesMax: bytes(10) })
  const slow = new Reader()
  slow.appetite = 1
  const follower = join(slow)
  growing.respond(responseOf(), null)
  for (let i = 0; i < 5; i++) growing.append(Buffer.from('abc'))
  clock.advance(3_600_000)
  expect([slow.told, source]).toEqual([['head 200'], ['pause']])
  slow.appetite = 99
  follower.resume()
  growing.end()
  expect(slow.told).toEqual(['head 200', 'end'])
})

test('a request waits for the head only so long', () => {
  const { growing, join, clock, source } = machine()
  const [early, late] = [new Reader(), new Reader()]
  join(early)
  clock.advance(20_000)
  join(late)
  clock.advance(11_000)
  expect([early.told, late.told]).toEqual([['release too-slow'], []])
  growing.respond(responseOf(), null)
  clock.advance(100_000)
  expect([late.told, source]).toEqual([['head 200'], []])
})

test('when the last one has waited too long, the source is told', () => {
  const { clock, join, source } = machine()
  const [first, second] = [new Reader(), new Reader()]
  join(first)
  clock.advance(10_000)
  join(second)
  clock.advance(21_000)
  expect([first.told, second.told, source]).toEqual([['release too-slow'], [], []])
  clock.advance(10_000)
  expect([second.told, source]).toEqual([['release too-slow'], ['deserted']])
})

test('the first to leave does not take the fetch with him; the last one is told to the source', () => {
  const { growing, join, source } = machine()
  const { response, writer } = storing()
  const [first, second] = [new Reader(), new Reader()]
  const [a, b] = [join(first), join(second)]
  a.leave()
  a.leave()
  growing.respond(response, writer)
  growing.append(Buffer.from('abc'))
  expect([first.told, second.text, source]).toEqual([[], 'abc', []])
  b.leave()
  expect(source).toEqual(['deserted'])
  growing.append(Buffer.from('def')) // the owner may go on for the store
  expect(growing.end()?.contentLength).toBe(6)
  expect(second.text).toBe('abc')
})

test('one who leaves lets the others go on where he had held them', () => {
  const { growing, join, source } = machine({ windowBytesMax: bytes(10) })
  const [fast, slow] = [new Reader(), new Reader()]
  slow.appetite = 1
  join(fast)
  const follower = join(slow)
  growing.respond(responseOf(), null)
  for (let i = 0; i < 5; i++) growing.append(Buffer.from('abc'))
  expect(source).toEqual(['pause'])
  follower.leave()
  expect(source).toEqual(['pause', 'resume'])
})

test('when nobody is left and nothing is stored, nothing is kept', () => {
  const { growing, join } = machine()
  const follower = join(new Reader())
  growing.respond(responseOf(), null)
  growing.append(Buffer.from('abc'))
  follower.leave()
  for (let i = 0; i < 1000; i++) growing.append(Buffer.alloc(1000))
  expect(growing.end()).toBe(null)
  expect(growing.over).toBe(true)
})

test('a change closes it to newcomers; who reads goes on', () => {
  const { growing, join } = machine()
  const reader = new Reader()
  join(reader)
  growing.close()
  expect(growing.joinable(fieldsOf())).toBe(false)
  growing.respond(responseOf(), null)
  growing.append(Buffer.from('abc'))
  growing.end()
  expect(reader.told).toEqual(['head 200', 'end'])
})

test('the one whose fetch it is reads along whatever the limits say', () => {
  for (const stored of [true, false]) {
    const { growing, join } = machine({ followersMax: 0 })
    const { response, writer } = storing()
    growing.close()
    growing.respond(response, stored ? writer : null)
    const own = new Reader()
    expect(growing.joinable(own.requestFields)).toBe(false)
    join(own)
    growing.append(Buffer.from('abc'))
    growing.end()
    expect([own.told, own.text]).toEqual([['head 200', 'end'], 'abc'])
  }
})

test('only so many may follow', () => {
  const { growing, join } = machine({ followersMax: 2 })
  join(new Reader())
  join(new Reader())
  expect(growing.joinable(fieldsOf())).toBe(false)
})

test('leaving, pausing and resuming inside callbacks', () => {
  const { growing, source } = machine()
  const { response, writer } = storing()
  class Restless extends Reader {
    follower: Follower | null = null
    act: 'leave' | 'pause' | 'both' = 'pause'
    override onPiece(piece: Buffer) {
      this.got.push(piece)
      if (this.act === 'leave') this.follower?.leave()
      else {
        this.follower?.pause()
        if (this.act === 'both') this.follower?.resume()
      }
      return true
    }
  }
  const readers = (['leave', 'pause', 'both'] as const).map(act => {
    const reader = new Restless()
    reader.act = act
    reader.follower = growing.follow(reader)
    reader.follower.resume()
    return reader
  })
  growing.respond(response, writer)
  for (const piece of ['a', 'b', 'c']) growing.append(Buffer.from(piece))
  expect(readers.map(reader => reader.text)).toEqual(['a', 'a', 'abc'])
  growing.end()
  for (let i = 0; i < 5; i++) readers[1]?.follower?.resume()
  expect(readers.map(reader => reader.told.at(-1))).toEqual(['head 200', 'end', 'end'])
  expect(source).toEqual([])
})

test('a reader that resumes in each callback does not go deeper with each piece', () => {
  const { growing } = machine()
  const { response, writer } = storing()
  const reader = new Reader()
  const follower = growing.follow(reader)
  reader.onPiece = () => {
    follower.pause()
    follower.resume()
    return true
  }
  growing.respond(response, writer)
  for (let i = 0; i < 50_000; i++) growing.append(Buffer.from('x'))
  follower.resume()
  growing.end()
  expect(reader.told).toEqual(['head 200', 'end'])
})

test('random histories: whoever is told the end has had every byte, everybody is told once, memory is bounded', () => {
  interface Step {
    readonly do: 'append' | 'join' | 'feed' | 'leave' | 'respond' | 'end' | 'fail' | 'dissolve' | 'time'
    readonly who: number
    readonly size: number
  }
  const step: fc.Arbitrary<Step> = fc.record({
    do: fc.constantFrom('append', 'append', 'append', 'append', 'join', 'join', 'feed', 'feed', 'feed', 'leave', 'respond', 'time', 'end', 'fail', 'dissolve'),
    who: fc.nat(9),
    size: fc.integer({ min: 1, max: 60 }),
  })
  const ends = new Set<string>()
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.constantFrom(0, 100, 10_000), fc.boolean(), (steps, objectBytesMax, comesToItsEnd) => {
      const { growing, clock, source } = machine()
      const { store, response, writer } = storing(Math.max(1, objectBytesMax))
      const all: { reader: Reader; follower: Follower; left: boolean }[] = []
      let sent = ''
      let responded = false
      let paused = false
      for (const s of steps) {
        if (s.do === 'join' && growing.joinable(fieldsOf())) {
          const reader = new Reader()
          reader.appetite = s.size % 4
          const follower = growing.follow(reader)
          all.push({ reader, follower, left: false })
          follower.resume()
        } else if (s.do === 'respond' && !responded && !growing.over) {
          responded = true
          growing.respond(response, objectBytesMax === 0 ? null : writer)
        } else if (s.do === 'append' && responded && !growing.over && !paused) {
          const piece = String.fromCharCode(97 + (sent.length % 26)).repeat(s.size)
          sent += piece
          growing.append(Buffer.from(piece))
        } else if (s.do === 'feed' && all.length > 0) {
          const one = all[s.who % all.length]
          if (one !== undefined) {
            one.reader.appetite = s.size % 5
            one.follower.resume()
          }
        } else if (s.do === 'leave' && all.length > 0) {
          const one = all[s.who % all.length]
          if (one !== undefined) one.left = true
          one?.follower.leave()
        } else if (s.do === 'time') clock.advance(s.size * 1000)
        else if (s.do === 'end' && s.who === 0) growing.end()
        else if (s.do === 'fail' && s.who === 0) growing.fail()
        else if (s.do === 'dissolve' && s.who === 0 && !responded) growing.dissolve('not-shareable')
        paused = source.filter(word => word !== 'deserted').at(-1) === 'pause'
      }
      if (comesToItsEnd) {
        if (!responded && !growing.over) growing.respond(response, objectBytesMax === 0 ? null : writer)
        growing.end()
        for (const { reader, follower } of all) {
          reader.appetite = Number.POSITIVE_INFINITY
          follower.resume()
        }
      } else growing.fail()
      expect(growing.over).toBe(true)
      for (const { reader, left } of all) {
        expect(sent.startsWith(reader.text)).toBe(true)
        const last = reader.told.filter(word => !word.startsWith('head'))
        expect(last.length).toBeLessThanOrEqual(1)
        if (!left) expect(last.length).toBe(1)
        if (last[0] === 'end') expect(reader.text).toBe(sent)
        for (const word of last) ends.add(word)
      }
      expect(store.count === 0 || store.bytes <= store.bytesMax).toBe(true)
    }),
    { numRuns: 600 },
  )
  for (const word of ['end', 'fail source-failed', 'release failed', 'release not-shareable']) expect(ends).toContain(word)
})
