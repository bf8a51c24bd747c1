// A purge of many goes through the store in slices that leave others their turn, takes what is stored, and what is on its
// way at its beginning is not stored afterwards, whatever its tags turn out to be.

import { describe, expect, it } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { byHost, byTag, cacheKey, Collapse, MemoryStore, purgeKey, purgeSelected, type Selection } from '../../src/cache/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fieldsOf, storedOf } from './kit.ts'

const limits = { bytesMax: bytes(100_000_000), objectBytesMax: bytes(1_000_000), variantsMax: 8 }
const everything: Selection = { tag: null, selects: () => true }

const parts = () => {
  const clock = new FakeClock()
  return { store: new MemoryStore(limits), collapse: new Collapse(true, clock), clock }
}

const responseOf = (uri: string, ...lines: string[]) => storedOf({ uri, response: ['Cache-Control: max-age=60', ...lines] })

const put = (store: MemoryStore, uri: string, ...lines: string[]): void => {
  const opened = store.open(responseOf(uri, ...lines), fieldsOf())
  if (opened.ok) opened.writer.complete()
}

describe('a purge of many', () => {
  it('leaves others their turn, and goes on as long as it is told to', async () => {
    const { store, ...others } = parts()
    for (let i = 0; i < 1000; i++) put(store, `http://a.example/${i}`)
    let turns = 0
    let counting = true
    const count = (): void => {
      if (!counting) return
      turns++
      setImmediate(count)
    }
    setImmediate(count)
    let slices = 0
    const purged = await purgeSelected({ store, ...others }, everything, () => ++slices < 21)
    counting = false
    expect(slices).toBe(21)
    expect(turns).toBeGreaterThan(15)
    // sixteen at most between two turns of the others
    expect(purged).toBeLessThanOrEqual(21 * 16)
    expect(store.count).toBe(1000 - purged)
    expect(await purgeSelected({ store, ...others }, byHost('a.example'), () => true)).toBe(1000 - purged)
    expect(store.count).toBe(0)
  })

  it('counts variants, and takes all of a key for the tag of one', async () => {
    const all = parts()
    for (const foo of ['a', 'b']) {
      const request = [`Foo: ${foo}`]
      const tags = foo === 'a' ? ['Cache-Tag: red'] : []
      const opened = all.store.open(storedOf({ request, response: ['Cache-Control: max-age=60', 'Vary: Foo', ...tags] }), fieldsOf(...request))
      if (opened.ok) opened.writer.complete()
    }
    expect(await purgeSelected(all, byTag('blue'), () => true)).toBe(0)
    expect(await purgeSelected(all, byTag('red'), () => true)).toBe(2)
  })
})

describe('what is on its way', () => {
  const key = cacheKey('GET', 'http://a.example/x')
  const tagged = (...tags: string[]) => fieldsOf(`Surrogate-Key: ${tags.join(' ')}`)

  it('is not stored after its key was purged', () => {
    const { store, collapse, clock } = parts()
    const asking = collapse.asking(key)
    const opened = store.open(responseOf('http://a.example/x'), fieldsOf())
    expect(purgeKey({ store, collapse, clock }, key)).toBe(0)
    expect(opened.ok && opened.writer.complete()).toBe(null)
    expect(collapse.isOutdated(asking, fieldsOf())).toBe(true)
    expect(collapse.isOutdated(collapse.asking(key), fieldsOf())).toBe(false)
  })

  it('is not stored where it turns out to have a tag that was purged meanwhile; others are, and later ones', async () => {
    const all = parts()
    const before = all.collapse.asking(key)
    await purgeSelected(all, byTag('red'), () => true)
    const after = all.collapse.asking(cacheKey('GET', 'http://a.example/y'))
    expect(all.collapse.isOutdated(before, tagged('blue', 'red'))).toBe(true)
    expect(all.collapse.isOutdated(before, tagged('blue'))).toBe(false)
    expect(all.collapse.isOutdated(before, fieldsOf())).toBe(false)
    expect(all.collapse.isOutdated(after, tagged('red'))).toBe(false)
  })

  it('counts as purged when more tags were purged than are remembered', () => {
    const { collapse } = parts()
    const before = collapse.asking(key)
    for (let i = 0; i < 1100; i++) collapse.purgedTag(`tag${i}`)
    const between = collapse.asking(cacheKey('GET', 'http://a.example/y'))
    collapse.purgedTag('last')
    expect(collapse.isOutdated(before, tagged('none'))).toBe(true)
    expect(collapse.isOutdated(between, tagged('none'))).toBe(false)
    expect(collapse.isOutdated(between, tagged('last'))).toBe(true)
  })

  it('is given up where it is meant by its host, and by the tag in its head', async () => {
    const all = parts()
    const open = (uri: string, ...lines: string[]) => all.store.open(responseOf(uri, ...lines), fieldsOf())
    const [x, y, z] = [open('http://a.example/x'), open('http://b.example/y', 'Cache-Tag: red'), open('http://b.example/z')]
    const asking = all.collapse.asking(cacheKey('GET', 'http://a.example/w'))
    await purgeSelected(all, byHost('a.example'), () => true)
    await purgeSelected(all, byTag('red'), () => true)
    expect([x, y, z].map(opened => opened.ok && opened.writer.complete() !== null)).toEqual([false, false, true])
    expect(asking.outdated).toBe(true)
  })

  it('is not joined by who comes after the purge', async () => {
    const all = parts()
    const source = { pause() {}, resume() {}, deserted() {} }
    const keys = ['red', 'blue', 'unknown'].map(name => cacheKey('GET', `http://a.example/${name}`))
    const growing = keys.map(one => all.collapse.begin(one, source))
    for (const [i, name] of ['red', 'blue'].entries()) {
      const response = responseOf(`http://a.example/${name}`, `Cache-Tag: ${name}`)
      const opened = all.store.open(response, fieldsOf())
      growing[i]?.respond(response, opened.ok ? opened.writer : null)
    }
    await purgeSelected(all, byTag('red'), () => true)
    expect(keys.map(one => all.collapse.find(one, fieldsOf()) !== null)).toEqual([false, true, false])
  })
})
