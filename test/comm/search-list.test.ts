// Names with few dots, where dns_defnames is on: as they are first, then in the domains of resolv.conf, both families alike.

import { describe, expect, it, test } from 'vitest'
import { roundsOf, createResolver } from '../../comm/resolver.ts'
import { parseSearchList, readSearchList, type SearchList } from '../../comm/search-list.ts'
import { ms } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

test.each<readonly [string, SearchList]>([
  ['', { domains: [], dots: 1 }],
  ['nameserver 192.0.2.1\nsearch a.example b.example\n', { domains: ['a.example', 'b.example'], dots: 1 }],
  ['search a.example\ndomain B.Example.\n', { domains: ['b.example'], dots: 1 }],
  ['domain b.example c.example\n', { domains: ['b.example'], dots: 1 }],
  ['search a.example 1.2.3.4 not/one\noptions rotate ndots:3 timeout:1\n', { domains: ['a.example'], dots: 3 }],
  ['options ndots:99\n', { domains: [], dots: 15 }],
  ['search a b c d e f g h\n', { domains: ['a', 'b', 'c', 'd', 'e', 'f'], dots: 1 }],
])('%j', (text, expected) => {
  expect(parseSearchList(text)).toEqual(expected)
})

test('without a file there is no list', () => {
  expect(readSearchList('/no/such/file')).toEqual({ domains: [], dots: 1 })
})

/** `known`: names that exist, with the families they have. */
const resolving = (known: Readonly<Record<string, string>>, searchList: SearchList) => {
  const asked: string[] = []
  const resolver = createResolver({
    clock: new FakeClock(),
    searchList,
    query: async (name, family) => {
      asked.push(`${family} ${name}`)
      const code = known[name] === undefined ? 'ENOTFOUND' : known[name].includes(`${family}`) ? '' : known[name] === 'ill' ? 'ESERVFAIL' : 'ENODATA'
      if (code !== '') throw Object.assign(new Error(code), { code })
      return [{ address: family === 4 ? '192.0.2.1' : '2001:db8::1', ttl: 60 }]
    },
  })
  return { resolver, asked }
}
const list = { domains: ['a.example', 'b.example'], dots: 1 }

describe('a name without a dot', () => {
  it('is asked for as it is, and then in each domain until it is one that exists', async () => {
    const { resolver, asked } = resolving({ 'intranet.b.example': '46' }, list)
    expect(await resolver.lookup('Intranet')).toMatchObject({ ok: true, addresses: ['192.0.2.1', '2001:db8::1'] })
    expect(asked.filter(name => name.startsWith('4'))).toEqual(['4 intranet', '4 intranet.a.example', '4 intranet.b.example'])
  })

  it('that exists with one family alone is not looked for elsewhere for the other', async () => {
    const { resolver } = resolving({ 'x.a.example': '4', 'x.b.example': '6' }, list)
    expect(await resolver.lookup('x')).toMatchObject({ ok: true, addresses: ['192.0.2.1'] })
  })

  it('is not looked for further when a name server fails', async () => {
    const { resolver, asked } = resolving({ 'x.a.example': 'ill', 'x.b.example': '4' }, list)
    expect(await resolver.lookup('x')).toMatchObject({ ok: false, code: 'ESERVFAIL' })
    expect(asked).not.toContain('4 x.b.example')
  })

  it('that is nowhere does not exist', async () => {
    expect(await resolving({}, list).resolver.lookup('x')).toMatchObject({ ok: false, code: 'ENOTFOUND' })
  })
})

it('a name with as many dots as ndots is asked for as it is', async () => {
  const { resolver, asked } = resolving({}, list)
  await resolver.lookup('www.gone')
  expect(asked.toSorted()).toEqual(['4 www.gone', '6 www.gone'])
  const two = resolving({ 'www.gone.a.example': '4' }, { ...list, dots: 2 })
  expect(await two.resolver.lookup('www.gone')).toMatchObject({ ok: true })
})

test.each([
  [5000, 30_000, 3],
  [1000, 30_000, 5],
  [10_000, 30_000, 2],
  [60_000, 30_000, 1],
  [1000, 3_600_000, 8],
])('packets of %i ms, doubled, outlast %i ms in %i rounds', (first, all, rounds) => {
  expect(roundsOf(ms(first), ms(all))).toBe(rounds)
})
