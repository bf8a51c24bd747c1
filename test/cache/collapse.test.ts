import { expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import {
  cacheKey, Collapse, type CollapseLimits, type FollowReader, type GrowingSource, mayCollapse, MemoryStore, usualCollapseLimits,
} from '../../src/cache/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { dateAt, factsOf, fieldsOf, storedOf } from './kit.ts'

// Guards collapsed_forwarding: which requests wait for which fetch. Sees it in what find and begin answer.

const key = cacheKey('GET', 'http://a.example/x')
const nobody = fieldsOf()
const silent: GrowingSource = { pause: () => {}, resume: () => {}, deserted: () => {} }
const quiet = (...request: readonly string[]): FollowReader => ({
  requestFields: fieldsOf(...request),
  onHead: () => {},
  onPiece: () => true,
  onEnd: () => {},
  onStored: () => {},
  onRelease: () => {},
  onFail: () => {},
})

const machine = (change: Partial<CollapseLimits> = {}, on = true) => {
  const clock = new FakeClock()
  return { clock, collapse: new Collapse(on, clock, { ...usualCollapseLimits, ...change }) }
}

test.each<[string, string, string[], boolean]>([
  ['a plain GET', 'GET', [], true],
  ['a conditional GET: answered from what comes', 'GET', ['If-None-Match: "a"'], true],
  ['Cache-Control that says nothing we know', 'GET', ['Cache-Control: x'], true],
  ['Authorization: decided when the head is there', 'GET', ['Authorization: x'], true],
  ['HEAD', 'HEAD', [], false],
  ['POST', 'POST', [], false],
  ['a range', 'GET', ['Range: bytes=0-1'], false],
  ['If-Match', 'GET', ['If-Match: "a"'], false],
  ['If-Unmodified-Since', 'GET', [`If-Unmodified-Since: ${dateAt(0)}`], false],
  ['a reload', 'GET', ['Cache-Control: no-cache'], false],
  ['a reload by Pragma', 'GET', ['Pragma: no-cache'], false],
  ['no-store', 'GET', ['Cache-Control: no-store'], false],
  ['only-if-cached', 'GET', ['Cache-Control: only-if-cached'], false],
  ['max-age', 'GET', ['Cache-Control: max-age=0'], false],
  ['min-fresh', 'GET', ['Cache-Control: min-fresh=1'], false],
])('%s may wait for the fetch of another: %s %j %s', (_, method, request, may) => {
  expect(mayCollapse(method, factsOf(...request))).toBe(may)
})

test('switched off, nobody joins anybody', () => {
  const { collapse } = machine({}, false)
  expect(collapse.begin(key, silent)).toBe(null)
  expect(collapse.find(key, nobody)).toBe(null)
})

test('the fetch of a key is found until it is over', () => {
  const { collapse } = machine()
  const growing = collapse.begin(key, silent)
  expect(collapse.find(key, nobody)).toBe(growing)
  expect(collapse.find(cacheKey('GET', 'http://a.example/y'), nobody)).toBe(null)
  growing?.fail()
  expect(collapse.find(key, nobody)).toBe(null)
  expect(collapse.count).toBe(0)
})

test('two variants of a key grow side by side, each joined by those it fits', () => {
  const { collapse } = machine()
  const store = new MemoryStore({ bytesMax: bytes(1e6), objectBytesMax: bytes(1e5), variantsMax: 4 })
  const grow = (foo: string) => {
    const growing = collapse.begin(key, silent)
    const response = storedOf({ request: [`Foo: ${foo}`], response: ['Cache-Control: max-age=9', 'Vary: Foo'] })
    const opened = store.open(response, fieldsOf(`Foo: ${foo}`))
    if (growing === null || !opened.ok) throw new Error('not begun')
    growing.respond(response, opened.writer)
    return growing
  }
  const [one, two] = [grow('1'), grow('2')]
  expect([collapse.find(key, fieldsOf('Foo: 2')), collapse.find(key, fieldsOf('Foo: 1'))]).toEqual([two, one])
  expect(collapse.find(key, fieldsOf('Foo: 3'))).toBe(null)
  one.end()
  expect([collapse.count, collapse.find(key, fieldsOf('Foo: 1')), collapse.find(key, fieldsOf('Foo: 2'))]).toEqual([1, null, two])
  two.fail()
  expect(collapse.count).toBe(0)
})

test('a key whose response was for one client only is not collapsed for two minutes', () => {
  const { collapse, clock } = machine()
  const growing = collapse.begin(key, silent)
  if (growing === null) throw new Error('not begun')
  collapse.dissolve(key, growing)
  expect(collapse.begin(key, silent)).toBe(null)
  clock.advance(119_999)
  expect(collapse.begin(key, silent)).toBe(null)
  clock.advance(1)
  expect(collapse.begin(key, silent)).not.toBe(null)
})

test('only so many such keys are remembered, the oldest go', () => {
  const { collapse } = machine({ unshareableKeysMax: 3 })
  const keys = [1, 2, 3, 4].map(n => cacheKey('GET', `http://a.example/${n}`))
  for (const one of keys) {
    const growing = collapse.begin(one, silent)
    if (growing !== null) collapse.dissolve(one, growing)
  }
  expect(keys.map(one => collapse.begin(one, silent) === null)).toEqual([false, true, true, true])
})

test('only so many fetches can be joined; the others go forward each for itself', () => {
  const { collapse } = machine({ growingMax: 2 })
  const growings = [1, 2, 3].map(n => collapse.begin(cacheKey('GET', `http://a.example/${n}`), silent))
  expect(growings.map(growing => growing === null)).toEqual([false, false, true])
  growings[0]?.fail()
  expect(collapse.begin(key, silent)).not.toBe(null)
})

test('what began before a change is not joined after it; a new fetch is', () => {
  const { collapse } = machine()
  const before = collapse.begin(key, silent)
  before?.follow(quiet())
  collapse.invalidate(key)
  expect(collapse.find(key, nobody)).toBe(null)
  const after = collapse.begin(key, silent)
  expect(collapse.find(key, nobody)).toBe(after)
  before?.fail()
  expect(collapse.find(key, nobody)).toBe(after)
})

test('what was asked for before a change is outdated when it comes; what was asked for after it is not', () => {
  const { collapse } = machine({}, false)
  const [first, second] = [collapse.asking(key), collapse.asking(key)]
  const other = collapse.asking(cacheKey('GET', 'http://a.example/y'))
  collapse.invalidate(key)
  const third = collapse.asking(key)
  collapse.answered(first)
  const fourth = collapse.asking(key)
  expect([first, second, other, third, fourth].map(asking => asking.outdated)).toEqual([true, true, false, false, false])
  for (const asking of [second, other, third]) collapse.answered(asking)
  expect(collapse.askingCount).toBe(1)
  collapse.answered(fourth)
  expect(collapse.askingCount).toBe(0)
  collapse.invalidate(key)
  expect(collapse.asking(key).outdated).toBe(false)
})

test('a purge of a tag outdates what has it and was asked for before; of what has no head yet nobody knows, so nobody joins it', () => {
  const { collapse } = machine()
  const tagged = fieldsOf('Cache-Tag: a, b')
  const before = collapse.asking(key)
  const growing = collapse.begin(key, silent)
  growing?.follow(quiet())
  collapse.purgedTag('b')
  const after = collapse.asking(key)
  expect(collapse.find(key, nobody)).toBe(null)
  expect([before, after].map(asking => collapse.isOutdated(asking, tagged))).toEqual([true, false])
  expect(collapse.isOutdated(before, fieldsOf('Cache-Tag: c'))).toBe(false)
})

test('of more than a thousand purged tags, the first are forgotten: what was asked for before them counts as purged', () => {
  const { collapse } = machine()
  const before = collapse.asking(key)
  for (let i = 0; i < 1024; i++) collapse.purgedTag(`t${i}`)
  const within = collapse.asking(cacheKey('GET', 'http://a.example/y'))
  expect(collapse.isOutdated(before, fieldsOf('Cache-Tag: other'))).toBe(false)
  collapse.purgedTag('one too many')
  expect(collapse.isOutdated(before, fieldsOf('Cache-Tag: other'))).toBe(true)
  expect(collapse.isOutdated(within, fieldsOf('Cache-Tag: other'))).toBe(false)
  expect(collapse.isOutdated(within, fieldsOf('Cache-Tag: one too many'))).toBe(true)
})

test('counters tell how much it saves', () => {
  const { collapse } = machine()
  const growing = collapse.begin(key, silent)
  for (let i = 0; i < 3; i++) collapse.find(key, nobody)?.follow(quiet())
  if (growing !== null) collapse.dissolve(key, growing)
  const { begun, joined, dissolved } = collapse.counters
  expect({ begun, joined, dissolved }).toEqual({ begun: 1, joined: 3, dissolved: 1 })
})
