import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ResolvedName } from '../../comm/index.ts'
import { compileZones, isWithin, IpKey, PrefixTableBuilder, ZoneHosts, type ZoneLine, type ZoneTable } from '../../src/acl/index.ts'
import { addressOfWords, type MonoMs, ms, parsePrefix, type Prefix, prefixHolds } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { acl, factsOf, matches, place } from './kit.ts'

// Zones: longest prefix against a naive search, hierarchy, what is refused at load, service sets with umbrellas, and host
// names that follow their records.

/** `NAME [parent=..] [umbrella=on] [inbound=..] [outbound=..] ADDRESS ...`, a line each. */
const zoneLine = (text: string, number: number): ZoneLine => {
  const [name = '', ...words] = text.split(' ')
  const option = (key: string) => words.find(word => word.startsWith(`${key}=`))?.slice(key.length + 1) ?? null
  return {
    name,
    parent: option('parent'),
    umbrella: option('umbrella') === 'on',
    inbound: option('inbound')?.split(',') ?? null,
    outbound: option('outbound')?.split(',') ?? null,
    addresses: words.filter(word => !word.includes('=')).map(word => ({ text: word, at: place(number) })),
    at: place(number),
  }
}

const compile = (...texts: readonly string[]) => compileZones(texts.map((text, i) => zoneLine(text, i + 1)))

const tableOf = (...texts: readonly string[]): ZoneTable => {
  const { table, problems } = compile(...texts)
  expect(problems).toEqual([])
  return table
}

const refusals = (...texts: readonly string[]): string[] =>
  compile(...texts).problems.map(({ severity, at, message, hint }) => `${severity} ${at.line}: ${message}${hint && ` [${hint}]`}`)

describe('longest prefix', () => {
  test('0.0.0.0/0 catches every IPv4 address and no IPv6 one', () => {
    const table = tableOf('internet 0.0.0.0/0')
    for (const address of ['0.0.0.0', '127.0.0.1', '255.255.255.255']) expect(table.ofAddress(address)?.name).toBe('internet')
    expect(table.ofAddress('::1')).toBeNull()
    expect(tableOf('internet ::/0').ofAddress('1.2.3.4')).toBeNull()
    expect(tableOf('internet ::/0').ofAddress('ffff::1')?.name).toBe('internet')
  })

  test('without zones every address is in none', () => expect(tableOf().ofAddress('10.0.0.1')).toBeNull())

  test('a network ends at its ends', () => {
    const table = tableOf('ten 10.0.0.0/8')
    expect(['9.255.255.255', '10.0.0.0', '10.255.255.255', '11.0.0.0'].map(a => table.ofAddress(a)?.name ?? '-')).toEqual(['-', 'ten', 'ten', '-'])
  })

  test('nested networks', () => {
    const table = tableOf(
      'n16 192.168.0.0/16', 'n24 192.168.0.0/24', 'n25 192.168.0.0/25', 'n26 192.168.0.0/26', 'a27 192.168.0.32/27',
      'b27 192.168.0.64/27', 'c27 192.168.0.96/27', 'host 192.168.0.184', 'six 2001:db8::5566/127',
    )
    const of = (address: string) => table.ofAddress(address)?.name ?? '-'
    expect([1, 33, 65, 97, 129, 184, 185].map(n => of(`192.168.0.${n}`))).toEqual(['n26', 'a27', 'b27', 'c27', 'n24', 'host', 'n24'])
    expect(of('192.168.1.129')).toBe('n16')
    expect([of('2001:db8::5567'), of('2001:db8::5568'), of('2001:db8::5565')]).toEqual(['six', '-', '-'])
  })

  const word = fc.oneof(fc.constantFrom(0, 1, 0xffffffff, 0x80000000, 0x0a000000), fc.integer({ min: 0, max: 0xffffffff }))
  const prefixOf = (family: 4 | 6) =>
    fc.record({ words: fc.array(word, { minLength: family === 4 ? 1 : 4, maxLength: family === 4 ? 1 : 4 }), length: fc.integer({ min: 0, max: family === 4 ? 32 : 128 }) })
      .map(({ words, length }) => parsePrefix(`${addressOfWords(words)}/${length}`))
      .filter(prefix => prefix !== null)

  const naive = (prefixes: readonly Prefix[], address: readonly number[]): number => {
    let best = -1
    prefixes.forEach((prefix, i) => {
      if (prefixHolds(prefix, address) && (best < 0 || prefix.length > (prefixes[best]?.length ?? 0))) best = i
    })
    return best
  }

  test('agrees with a search through all of them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(prefixOf(4), prefixOf(6)), { maxLength: 60 }),
        fc.array(fc.oneof(fc.tuple(word), fc.tuple(word, word, word, word)), { maxLength: 20 }),
        (prefixes, addresses) => {
          const builder = new PrefixTableBuilder()
          prefixes.forEach((prefix, i) => builder.add(prefix, i))
          const { table } = builder.build()
          // edges are where it can go wrong
          const edges = prefixes.flatMap(({ words, length }) => [words, words.map((w, i) => (w | (length - 32 * i >= 32 ? 0 : length - 32 * i <= 0 ? 0xffffffff : 0xffffffff >>> (length - 32 * i))) >>> 0)])
          for (const address of [...addresses, ...edges]) {
            const found = table.find(new IpKey(addressOfWords(address)))
            expect(found, addressOfWords(address)).toBe(naive(prefixes, address))
            const whole = prefixes.some(({ words, length }) => length === 32 * address.length && words.join() === address.join())
            expect(table.hasWhole(new IpKey(addressOfWords(address)))).toBe(whole)
          }
        },
      ),
      { numRuns: 150 },
    )
  })

  test.each([9, 1025, 4000])('agrees with it for %i networks of IPv4, too', count => {
    const random = (n: number) => Math.imul(n ^ 0x9e3779b9, 0x85ebca6b) >>> 0
    const prefixes = Array.from({ length: count }, (_, i) => parsePrefix(`${addressOfWords([random(i)])}/${8 + (i % 25)}`) ?? expect.fail('no prefix'))
    const builder = new PrefixTableBuilder()
    prefixes.forEach((prefix, i) => builder.add(prefix, i))
    const { table, doubles } = builder.build()
    const again = new Set(doubles.map(double => double.again))
    const once = prefixes.filter((_, i) => !again.has(i))
    for (let i = 0; i < count; i += Math.ceil(count / 200)) {
      for (const address of [[random(i)], [(random(i) + 1) >>> 0], [random(i + count)], prefixes[i]?.words ?? []]) {
        const found = table.find(new IpKey(addressOfWords(address)))
        expect(prefixes[found], addressOfWords(address)).toBe(once[naive(once, address)])
      }
    }
  })
})

/** What is crowded together, as addresses of the world are, has nodes below nodes. */
test('twenty thousand networks, many of them in few places: as a table of each length would say', () => {
  let state = 0x9e3779b9
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const firsts = [0x20010db8, 0x20010db9, 0x2a000000, 0x2a00ffff, 0xfe800000, 0xffffffff]
  const someWord = () => (random(3) === 0 ? random(2 ** 32) : random(2) === 0 ? random(64) : (firsts[random(6)] ?? 0))
  const byLength = new Map<number, Map<string, number>>()
  const builder = new PrefixTableBuilder()
  const addresses: number[][] = []
  for (let i = 0; i < 20_000; i++) {
    const words = [firsts[random(6)] ?? 0, someWord(), someWord(), someWord()]
    const length = [0, 16, 29, 32, 47, 48, 56, 63, 64, 96, 127, 128][random(12)] ?? 0
    const prefix = parsePrefix(`${addressOfWords(words)}/${length}`) ?? expect.fail('no prefix')
    const ofLength = byLength.get(length) ?? new Map<string, number>()
    byLength.set(length, ofLength)
    const key = prefix.words.join()
    if (ofLength.has(key)) continue
    ofLength.set(key, i)
    builder.add(prefix, i)
    addresses.push([...prefix.words], [...words], prefix.words.map((word, at) => (at === 3 ? (word + 1) >>> 0 : word)))
  }
  const { table } = builder.build()
  const lengths = [...byLength.keys()].toSorted((a, b) => b - a)
  const wanted = (words: readonly number[]): number => {
    for (const length of lengths) {
      const masked = words.map((word, at) => (length - 32 * at >= 32 ? word : length <= 32 * at ? 0 : (word & (0xffffffff << (32 - length + 32 * at))) >>> 0))
      const found = byLength.get(length)?.get(masked.join())
      if (found !== undefined) return found
    }
    return -1
  }
  const key = new IpKey('')
  const wrong = addresses.filter(words => {
    key.set(addressOfWords(words))
    return table.find(key) !== wanted(words)
  })
  expect(wrong.map(words => addressOfWords(words))).toEqual([])
  expect(addresses.length).toBeGreaterThan(20_000)
})

describe('what is refused at load', () => {
  test.each([
    [['a 192.168.22.0/24', 'b 192.168.22.15/24'], "fatal 2: '192.168.22.15/24' is in zone 'a', too [as '192.168.22.0/24', at x.conf:1: remove one]"],
    [['a 192.168.22.1', 'a 192.168.22.1/32'], "fatal 2: '192.168.22.1/32' is in zone 'a' already [as '192.168.22.1', at x.conf:1: remove one]"],
    [['a ::ffff:10.0.0.0/104 10.0.0.0/8'], "fatal 1: '10.0.0.0/8' is in zone 'a' already [as '::ffff:10.0.0.0/104', at x.conf:1: remove one]"],
    [['a 10.0.0.0/33'], "fatal 1: zone: '10.0.0.0/33' is no network [write ADDRESS or ADDRESS/LENGTH]"],
    [['a www.example.org'], "fatal 1: zone: 'www.example.org' is no network [a host name is written host:www.example.org]"],
    [['a host:1.2.3.4'], "fatal 1: zone: 'host:1.2.3.4' is no host name [write host:NAME]"],
    [['a host:x.example', 'b host:X.example.'], "fatal 2: 'host:X.example.' is in zone 'a', too [at x.conf:1: remove one]"],
    [['a parent=b', 'b parent=c', 'c parent=a'], "fatal 1: zone 'a' is its own parent: a → b → c → a [take parent= out of one of them]"],
    [['a parent=a'], "fatal 1: zone 'a' is its own parent: a → a [take parent= out of one of them]"],
    [['top 10.0.0.0/8', 'other 11.0.0.0/8', 'a parent=top', 'a parent=other'], "fatal 4: zone 'a' has the parent 'top' already [a zone has one parent]"],
  ])('%s', (texts, message) => expect(refusals(...texts)).toEqual([message]))

  test('31 levels are deep enough, 32 are refused', () => {
    const chain = (levels: number) => Array.from({ length: levels }, (_, i) => `z${i}${i === 0 ? '' : ` parent=z${i - 1}`}`)
    expect(refusals(...chain(31))).toEqual([])
    expect(refusals(...chain(33))).toEqual(["fatal 32: zone 'z31' lies deeper than 31 levels"])
  })

  test('a list of the wrong kind does not fill the screen', () =>
    expect(refusals(`a ${Array.from({ length: 1000 }, (_, i) => `x${i}/8`).join(' ')}`)).toHaveLength(51))
})

describe('hierarchy', () => {
  const table = tableOf('root 10.0.0.0/8', 'child parent=ROOT 192.0.2.0/24', 'grandchild parent=child 10.1.0.0/16', 'other 172.16.0.0/12')
  const zone = (name: string) => table.named(name) ?? expect.fail(name)

  test('is by parents and not by networks', () => {
    expect(table.ofAddress('10.1.0.1')?.depth).toBe(3)
    expect(isWithin(table.ofAddress('10.1.0.1'), zone('root'))).toBe(true)
    expect(isWithin(zone('child'), zone('grandchild'))).toBe(false)
    expect(isWithin(zone('other'), zone('root'))).toBe(false)
    expect(isWithin(null, zone('root'))).toBe(false)
  })

  test('parents may stand below their children, and lines of one name add up', () => {
    const later = tableOf('child parent=top 10.1.0.0/16', 'CHILD 10.2.0.0/16', 'top 10.0.0.0/8')
    expect(later.ofAddress('10.2.0.1')).toBe(later.ofAddress('10.1.0.1'))
    expect(later.ofAddress('10.2.0.1')?.parent?.name).toBe('top')
  })

  test('src_zone and dst_zone match a zone and what it administers', () => {
    const of = (type: string, zones: string, clientAddress: string, localAddress: string) =>
      matches(acl('z', type, zones), factsOf({ clientAddress, localAddress, pinned: true }), { zones: table })
    expect(of('src_zone', 'child', '10.1.2.3', '1.1.1.1')).toBe(true)
    expect(of('src_zone', 'child', '10.2.2.3', '1.1.1.1')).toBe(false)
    expect(of('src_zone', 'other Root', '10.2.2.3', '1.1.1.1')).toBe(true)
    expect(of('src_zone', 'root', '203.0.113.1', '1.1.1.1')).toBe(false)
    expect(of('dst_zone', 'child', '1.1.1.1', '10.1.2.3')).toBe(true)
    expect(of('dst_zone', 'other', '1.1.1.1', '10.1.2.3')).toBe(false)
    expect(() => of('src_zone', 'nosuch', '10.1.2.3', '1.1.1.1')).toThrow("there is no zone 'nosuch'")
  })
})

describe('service sets', () => {
  const table = tableOf(
    'site inbound=smtp outbound=web,MAIL 10.0.0.0/8', 'office parent=site outbound=ftp 10.1.0.0/16',
    'guests parent=site umbrella=on 10.2.0.0/16', 'lab parent=guests outbound=* 10.3.0.0/16', 'internet 0.0.0.0/0',
  )
  const may = (address: string, service: string, direction: 'inbound' | 'outbound' = 'outbound') =>
    table.permits(table.ofAddress(address), direction, service)

  test.each([
    ['10.0.0.1', 'web', true], ['10.0.0.1', 'mail', true], ['10.0.0.1', 'ftp', false],
    ['10.1.0.1', 'ftp', true], ['10.1.0.1', 'web', true],
    ['10.2.0.1', 'web', false], ['10.3.0.1', 'anything', true], ['192.0.2.1', 'web', false], ['2001:db8::1', 'web', false],
  ])('%s out by %s: %s', (address, service, answer) => expect(may(address, service)).toBe(answer))

  test('an umbrella stops inheritance for its own children, too', () => {
    expect(may('10.1.0.1', 'smtp', 'inbound')).toBe(true)
    expect(may('10.2.0.1', 'smtp', 'inbound')).toBe(false)
    expect(may('10.3.0.1', 'smtp', 'inbound')).toBe(false)
  })

  test('a conf that says nothing of a direction limits nothing there', () => {
    const open = tableOf('site outbound=web 10.0.0.0/8')
    expect(open.permits(open.ofAddress('10.0.0.1'), 'inbound', 'x')).toBe(true)
    expect(open.permits(null, 'inbound', 'x')).toBe(true)
    expect(open.permits(null, 'outbound', 'web')).toBe(false)
  })
})

describe('host names', () => {
  /** A name server whose records the test changes. */
  const world = (...texts: readonly string[]) => {
    const clock = new FakeClock()
    const { table, hosts, problems } = compile(...texts)
    expect(problems).toEqual([])
    const records = new Map<string, readonly string[] | string>()
    const asked: string[] = []
    const warnings: string[] = []
    const lookup = (name: string): ResolvedName => {
      asked.push(name)
      const found = records.get(name) ?? 'ENOTFOUND'
      const expiresAt = (clock.mono() + 60_000) as MonoMs
      return typeof found === 'string' ? { ok: false, code: found, expiresAt } : { ok: true, addresses: found, expiresAt }
    }
    const options = { clock, lookup, warn: (text: string) => void warnings.push(text) }
    return { clock, table, hosts, records, asked, warnings, options, zones: new ZoneHosts(table, hosts, options) }
  }
  const settled = () => new Promise(setImmediate)

  test('are asked again when their records run out, and follow them', async () => {
    const { clock, table, records, zones, asked } = world('site host:www.example', 'all 0.0.0.0/0')
    records.set('www.example', ['192.0.2.1', '2001:db8::1'])
    await zones.start()
    expect([table.ofAddress('192.0.2.1')?.name, table.ofAddress('2001:db8::1')?.name, table.ofAddress('192.0.2.2')?.name]).toEqual(['site', 'site', 'all'])
    records.set('www.example', ['192.0.2.2'])
    clock.advance(ms(59_000))
    await settled()
    expect(asked).toHaveLength(1)
    clock.advance(ms(2000))
    await settled()
    expect([table.ofAddress('192.0.2.1')?.name, table.ofAddress('2001:db8::1'), table.ofAddress('192.0.2.2')?.name]).toEqual(['all', null, 'site'])
    zones.stop()
    clock.advance(ms(600_000))
    await settled()
    expect(asked).toHaveLength(2)
  })

  test('an address that two zones share is in neither until they part', async () => {
    const { clock, table, records, zones, warnings } = world('a host:a.example', 'b host:b.example', 'rest 192.0.2.0/24')
    records.set('a.example', ['192.0.2.1', '192.0.2.5'])
    records.set('b.example', ['192.0.2.1'])
    await zones.start()
    expect([table.ofAddress('192.0.2.1')?.name, table.ofAddress('192.0.2.5')?.name]).toEqual(['rest', 'a'])
    expect(warnings).toEqual(['192.0.2.1 belongs to no zone for now: it is an address of a.example (zone a) and b.example (zone b)'])
    records.set('a.example', ['192.0.2.5'])
    clock.advance(ms(61_000))
    await settled()
    expect(table.ofAddress('192.0.2.1')?.name).toBe('b')
    expect(warnings).toHaveLength(1)
    zones.stop()
  })

  test('an address a zone names outright is that zone’s', async () => {
    const { table, records, zones } = world('named host:www.example', 'fixed 192.0.2.1 2001:db8::1')
    records.set('www.example', ['192.0.2.1', '2001:db8::1', '192.0.2.2'])
    await zones.start()
    expect(['192.0.2.1', '2001:db8::1', '192.0.2.2'].map(a => table.ofAddress(a)?.name)).toEqual(['fixed', 'fixed', 'named'])
    zones.stop()
  })

  test('a silent name server changes nothing, a name that is gone takes its addresses along', async () => {
    const { clock, table, records, zones, warnings } = world('site host:www.example')
    records.set('www.example', ['192.0.2.1'])
    await zones.start()
    records.set('www.example', 'ETIMEOUT')
    clock.advance(ms(61_000))
    await settled()
    expect(table.ofAddress('192.0.2.1')?.name).toBe('site')
    clock.advance(ms(61_000))
    await settled()
    expect(warnings).toEqual(['host:www.example does not resolve (ETIMEOUT): its last addresses hold'])
    records.set('www.example', 'ENOTFOUND')
    clock.advance(ms(61_000))
    await settled()
    expect(table.ofAddress('192.0.2.1')).toBeNull()
    zones.stop()
  })

  test('after a reload the former addresses hold until the name has been asked', async () => {
    const { records, zones, hosts, options } = world('site host:www.example')
    records.set('www.example', ['192.0.2.1'])
    await zones.start()
    const next = compile('renamed host:www.example')
    const followed = new ZoneHosts(next.table, next.hosts, options, zones)
    expect(next.table.ofAddress('192.0.2.1')?.name).toBe('renamed')
    expect(hosts).toHaveLength(1)
    followed.stop()
    zones.stop()
  })
})
