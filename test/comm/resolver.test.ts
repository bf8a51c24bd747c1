import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { parseHosts } from '../../comm/hosts-file.ts'
import { canonicalName } from '../../comm/name.ts'
import { type AddressRecord, createResolver, type Query, type Resolver, type ResolverOptions } from '../../comm/resolver.ts'
import { ms, systemClock } from '../../src/base/index.ts'
import { type DnsRecord, type DnsScript, type DnsServer, startDnsServer } from '../support/dns-server.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Guards names → addresses twice: the cache's rules with a clock the test moves and questions it answers by hand, and
// the whole over real c-ares against a name server on loopback.

const minute = 60_000
const hour = 60 * minute

/** Address and TTL. */
type Told = readonly [string, number]

/** Questions wait here until the test answers them. */
class ByHand {
  readonly asked: string[] = []
  readonly #waiting = new Map<string, { give: (records: readonly AddressRecord[]) => void; fail: (code: string) => void }[]>()

  readonly query: Query = (name, family) => {
    const key = `${family} ${name}`
    this.asked.push(key)
    return new Promise((give, refuse) => {
      const fail = (code: string) => refuse(Object.assign(new Error(code), { code }))
      this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), { give, fail }])
    })
  }

  async give(key: string, ...records: (readonly [string, number])[]): Promise<void> {
    this.#take(key).give(records.map(([address, ttl]) => ({ address, ttl })))
    await settled()
  }

  async fail(key: string, code: string): Promise<void> {
    this.#take(key).fail(code)
    await settled()
  }

  #take(key: string) {
    const taken = this.#waiting.get(key)?.shift()
    if (taken === undefined) throw new Error(`nobody asked ${key}`)
    return taken
  }
}

/** All promises that can go on have gone on. */
const settled = () => new Promise<void>(resolve => setImmediate(resolve))

const make = (options: Partial<ResolverOptions> = {}) => {
  const clock = new FakeClock()
  const byHand = new ByHand()
  const resolver = createResolver({ clock, query: byHand.query, ...options })
  /** Asks, and answers both questions. */
  const resolve = async (name: string, four: readonly Told[], six: readonly Told[] = []) => {
    const answer = resolver.lookup(name)
    if (four.length > 0) await byHand.give(`4 ${name}`, ...four)
    else await byHand.fail(`4 ${name}`, 'ENODATA')
    if (six.length > 0) await byHand.give(`6 ${name}`, ...six)
    else await byHand.fail(`6 ${name}`, 'ENODATA')
    return answer
  }
  return { clock, byHand, resolver, resolve }
}

const addressesOf = (resolver: Resolver, name: string): readonly string[] | string => {
  const answer = resolver.lookup(name)
  if (answer instanceof Promise) return 'asks'
  return answer.ok ? answer.addresses : answer.code
}

describe('a name', () => {
  it('is written one way', () => {
    expect(canonicalName('WWW.Example.COM.')).toBe('www.example.com')
    expect(canonicalName('_dmarc.a-b.example')).toBe('_dmarc.a-b.example')
    expect(canonicalName('intranet')).toBe('intranet')
    expect(canonicalName('1.2.3.4.example')).toBe('1.2.3.4.example')
    expect(canonicalName('3com.com')).toBe('3com.com')
    expect(canonicalName('a.0xyz')).toBe('a.0xyz')
    expect(canonicalName(`${'a'.repeat(63)}.example`)).toBe(`${'a'.repeat(63)}.example`)
    const longest = `${`${'a'.repeat(61)}.`.repeat(4)}abcde`
    expect(longest.length).toBe(253)
    expect(canonicalName(longest)).toBe(longest)
    expect(canonicalName(`${longest}.`)).toBe(longest)
    expect(canonicalName(`${longest}f`)).toBeNull()
  })

  const bad = [
    ...['', '.', '..', 'a..b', '.a', 'a b', 'a/b', 'a:80', 'a%2e', 'ä.example', 'a\0', 'a\n', '*', '[::1]', '::1'],
    ...['1.2.3.4', '1.2.3.4.', '127.1', '2130706433', '0x7f.1', '0x7f000001', 'a.0x', 'a.0X1F', 'example.1'],
    ...[`${'a'.repeat(64)}.example`, `a.${'b'.repeat(64)}`],
  ]
  for (const text of bad) {
    it(`is not ${JSON.stringify(text)}`, () => expect(canonicalName(text)).toBeNull())
  }

  it('stays what it is when made canonical twice', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        const name = canonicalName(text)
        if (name !== null) expect(canonicalName(name)).toBe(name)
      }),
      { numRuns: 300 },
    )
  })

  it('that can be none is refused at once, and nobody is asked', () => {
    const { resolver, byHand } = make()
    expect(resolver.lookup('no such name')).toMatchObject({ ok: false, code: 'EBADNAME' })
    expect(resolver.lookup('127.1')).toMatchObject({ ok: false, code: 'EBADNAME' })
    expect(byHand.asked).toEqual([])
  })
})

describe('an address', () => {
  it('resolves to itself, at once and for ever', () => {
    const { resolver, byHand } = make()
    expect(resolver.lookup('192.0.2.1')).toEqual({ ok: true, addresses: ['192.0.2.1'], expiresAt: Number.POSITIVE_INFINITY })
    expect(addressesOf(resolver, '2001:DB8::0:1')).toEqual(['2001:db8::1'])
    expect(addressesOf(resolver, '[::1]')).toEqual(['::1'])
    expect(addressesOf(resolver, '::ffff:192.0.2.1')).toEqual(['192.0.2.1'])
    expect(resolver.everSeen('192.0.2.1', '192.0.2.1')).toBe(true)
    expect(resolver.everSeen('192.0.2.1', '192.0.2.2')).toBe(false)
    expect(byHand.asked).toEqual([])
  })
})

describe('the cache', () => {
  it('joins A and AAAA, without doubles, and answers at once until the shortest TTL is over', async () => {
    const { resolver, resolve, clock, byHand } = make()
    const answer = await resolve(
      'example.test',
      [['192.0.2.1', 300], ['192.0.2.2', 200], ['192.0.2.1', 300]],
      [['2001:DB8:0::1', 600], ['::ffff:192.0.2.2', 600]],
    )
    expect(answer).toEqual({
      ok: true,
      addresses: ['192.0.2.1', '192.0.2.2', '2001:db8::1'],
      expiresAt: clock.mono() + 200_000,
    })
    expect(resolver.lookup('EXAMPLE.test.')).toBe(answer)
    clock.advance(199_999)
    expect(resolver.lookup('example.test')).toBe(answer)
    clock.advance(1)
    expect(resolver.lookup('example.test')).toBeInstanceOf(Promise)
    expect(byHand.asked).toEqual(['4 example.test', '6 example.test', '4 example.test', '6 example.test'])
  })

  it('keeps no answer longer than positive_dns_ttl, and none shorter than negative_dns_ttl', async () => {
    const { resolve, clock } = make()
    expect(await resolve('long.test', [['192.0.2.1', 86400]])).toMatchObject({ expiresAt: clock.mono() + 6 * hour })
    expect(await resolve('short.test', [['192.0.2.1', 0]])).toMatchObject({ expiresAt: clock.mono() + minute })
  })

  it('remembers that a name does not exist, for negative_dns_ttl', async () => {
    const { resolver, byHand, clock } = make()
    const answer = resolver.lookup('gone.test')
    await byHand.fail('4 gone.test', 'ENOTFOUND')
    await byHand.fail('6 gone.test', 'ENODATA')
    expect(await answer).toEqual({ ok: false, code: 'ENOTFOUND', expiresAt: clock.mono() + minute })
    expect(addressesOf(resolver, 'gone.test')).toBe('ENOTFOUND')
    clock.advance(minute)
    expect(addressesOf(resolver, 'gone.test')).toBe('asks')
    expect(resolver.counters).toMatchObject({ dnsMisses: 2, dnsNegativeHits: 1, dnsFailures: 0 })
  })

  it('remembers the failure of a name server only briefly, and reports it rather than the half that is absent', async () => {
    const { resolver, byHand, clock } = make()
    const answer = resolver.lookup('ill.test')
    await byHand.fail('4 ill.test', 'ENODATA')
    await byHand.fail('6 ill.test', 'ESERVFAIL')
    expect(await answer).toEqual({ ok: false, code: 'ESERVFAIL', expiresAt: clock.mono() + 5000 })
    expect(resolver.counters.dnsFailures).toBe(1)
  })

  it('is content with one family when the other has nothing', async () => {
    const { resolve } = make()
    expect(await resolve('six.test', [], [['2001:db8::1', 300]])).toMatchObject({ ok: true, addresses: ['2001:db8::1'] })
    expect(await resolve('four.test', [['192.0.2.1', 300]])).toMatchObject({ ok: true, addresses: ['192.0.2.1'] })
  })

  it('takes half an answer when the other half failed, but asks again soon', async () => {
    const { resolver, byHand, clock } = make()
    const answer = resolver.lookup('half.test')
    await byHand.fail('6 half.test', 'ESERVFAIL')
    await byHand.give('4 half.test', ['192.0.2.1', 3600])
    expect(await answer).toEqual({ ok: true, addresses: ['192.0.2.1'], expiresAt: clock.mono() + 5000 })
  })

  it('does not let a silent AAAA hold the A, and adds it when it comes', async () => {
    const { resolver, byHand, clock } = make()
    const answer = resolver.lookup('slow6.test')
    await byHand.give('4 slow6.test', ['192.0.2.1', 300])
    clock.advance(1000)
    expect(await answer).toEqual({ ok: true, addresses: ['192.0.2.1'], expiresAt: clock.mono() + 5000 })
    await byHand.give('6 slow6.test', ['2001:db8::1', 300])
    expect(addressesOf(resolver, 'slow6.test')).toEqual(['192.0.2.1', '2001:db8::1'])
    expect(clock.pending).toBe(0)
  })

  it('keeps a good half when the other fails late', async () => {
    const { resolver, byHand, clock } = make()
    const answer = resolver.lookup('late.test')
    await byHand.give('4 late.test', ['192.0.2.1', 300])
    clock.advance(1000)
    await answer
    await byHand.fail('6 late.test', 'ETIMEOUT')
    expect(addressesOf(resolver, 'late.test')).toEqual(['192.0.2.1'])
  })

  it('gives up after dns_timeout, and still learns from an answer that comes later', async () => {
    const { resolver, byHand, clock } = make()
    const answer = resolver.lookup('silent.test')
    clock.advance(30_000)
    expect(await answer).toEqual({ ok: false, code: 'ETIMEOUT', expiresAt: clock.mono() + 5000 })
    expect(resolver.counters.dnsTimeouts).toBe(1)
    await byHand.give('4 silent.test', ['192.0.2.1', 300])
    expect(addressesOf(resolver, 'silent.test')).toEqual(['192.0.2.1'])
  })

  it('waits the whole time for the second family when the first has nothing', async () => {
    const { resolver, byHand, clock } = make()
    const answer = resolver.lookup('wait.test')
    await byHand.fail('4 wait.test', 'ENODATA')
    clock.advance(29_999)
    await byHand.give('6 wait.test', ['2001:db8::1', 300])
    expect(await answer).toMatchObject({ ok: true, addresses: ['2001:db8::1'] })
    expect(clock.pending).toBe(0)
  })

  it('asks once for all who wait', async () => {
    const { resolver, byHand } = make()
    const answers = [resolver.lookup('one.test'), resolver.lookup('ONE.test'), resolver.lookup('one.test.')]
    expect(byHand.asked).toEqual(['4 one.test', '6 one.test'])
    await byHand.give('4 one.test', ['192.0.2.1', 300])
    await byHand.fail('6 one.test', 'ENODATA')
    const given = await Promise.all(answers)
    expect(given[1]).toBe(given[0])
    expect(given[2]).toBe(given[0])
  })

  it('forgets the name longest unused when it is full', async () => {
    const { resolver, resolve } = make({ cacheMax: 2 })
    await resolve('a.test', [['192.0.2.1', 300]])
    await resolve('b.test', [['192.0.2.2', 300]])
    expect(addressesOf(resolver, 'a.test')).toEqual(['192.0.2.1'])
    await resolve('c.test', [['192.0.2.3', 300]])
    expect(resolver.size).toBe(2)
    expect(addressesOf(resolver, 'a.test')).toEqual(['192.0.2.1'])
    expect(addressesOf(resolver, 'c.test')).toEqual(['192.0.2.3'])
    expect(addressesOf(resolver, 'b.test')).toBe('asks')
  })

  it('has a limit on names being asked for, and says so', async () => {
    const { resolver, byHand } = make()
    for (let i = 0; i < 4096; i++) void resolver.lookup(`n${i}.test`)
    expect(await resolver.lookup('one-more.test')).toMatchObject({ ok: false, code: 'EAGAIN' })
    expect(await Promise.race([resolver.lookup('n5.test'), 'still waits'])).toBe('still waits')
    expect(byHand.asked.length).toBe(2 * 4096)
    expect(resolver.counters.dnsOverload).toBe(1)
    await byHand.give('4 n5.test', ['192.0.2.1', 300])
    await byHand.give('6 n5.test', ['2001:db8::1', 300])
    expect(resolver.lookup('one-more.test')).toBeInstanceOf(Promise)
    expect(byHand.asked.length).toBe(2 * 4096 + 2)
  })

  it('keeps a bounded number of addresses', async () => {
    const { resolve } = make()
    const many = Array.from({ length: 1000 }, (_, i) => [`10.0.${i >> 8}.${i & 255}`, 300] as const)
    const answer = await resolve('many.test', many)
    expect(answer.ok && answer.addresses.length).toBe(128)
  })

  it('takes the unspecified address for a refusal', async () => {
    const { resolve } = make()
    expect(await resolve('blocked.test', [['0.0.0.0', 300]], [['::', 300]])).toMatchObject({ ok: false, code: 'ENODATA' })
  })

  it('answers those who wait when it is closed', async () => {
    const { resolver, byHand } = make()
    const answer = resolver.lookup('late.test')
    resolver.close()
    expect(await answer).toMatchObject({ ok: false, code: 'ECANCELLED' })
    await byHand.fail('4 late.test', 'ECANCELLED')
    await byHand.fail('6 late.test', 'ECANCELLED')
    expect(resolver.size).toBe(0)
  })
})

describe('the memory of addresses', () => {
  it('outlives the answer, for half an hour', async () => {
    const { resolver, resolve, clock } = make()
    await resolve('cdn.test', [['192.0.2.1', 60]], [['2001:db8::1', 60]])
    clock.advance(10 * minute)
    await resolve('cdn.test', [['192.0.2.2', 60]])
    expect(addressesOf(resolver, 'cdn.test')).toEqual(['192.0.2.2'])
    expect(resolver.everSeen('CDN.test.', '192.0.2.1')).toBe(true)
    expect(resolver.everSeen('cdn.test', '2001:db8::1')).toBe(true)
    expect(resolver.everSeen('cdn.test', '192.0.2.2')).toBe(true)
    expect(resolver.everSeen('cdn.test', '192.0.2.3')).toBe(false)
    expect(resolver.everSeen('other.test', '192.0.2.1')).toBe(false)
    clock.advance(20 * minute)
    expect(resolver.everSeen('cdn.test', '192.0.2.1')).toBe(true)
    clock.advance(1)
    expect(resolver.everSeen('cdn.test', '192.0.2.1')).toBe(false)
    expect(resolver.everSeen('cdn.test', '192.0.2.2')).toBe(true)
  })

  it('survives a failure and a reload', async () => {
    const { resolver, resolve, clock, byHand } = make()
    await resolve('cdn.test', [['192.0.2.1', 60]])
    clock.advance(2 * minute)
    void resolver.lookup('cdn.test')
    await byHand.fail('4 cdn.test', 'ESERVFAIL')
    await byHand.fail('6 cdn.test', 'ESERVFAIL')
    expect(resolver.everSeen('cdn.test', '192.0.2.1')).toBe(true)
    resolver.reload()
    expect(addressesOf(resolver, 'cdn.test')).toBe('asks')
    expect(resolver.everSeen('cdn.test', '192.0.2.1')).toBe(true)
  })

  it('has a limit per name', async () => {
    const { resolver, resolve, clock } = make()
    for (let round = 0; round < 3; round++) {
      await resolve('rotating.test', Array.from({ length: 128 }, (_, i) => [`10.0.${round}.${i}`, 0] as const))
      clock.advance(minute)
    }
    expect(resolver.everSeen('rotating.test', '10.0.0.5')).toBe(false)
    expect(resolver.everSeen('rotating.test', '10.0.1.5')).toBe(true)
    expect(resolver.everSeen('rotating.test', '10.0.2.5')).toBe(true)
  })
})

describe('the hosts file', () => {
  const folders: string[] = []
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
  })
  const hostsFile = (text: string): string => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-hosts-'))
    folders.push(folder)
    writeFileSync(join(folder, 'hosts'), text)
    return join(folder, 'hosts')
  }

  it('is read as every resolver reads it', () => {
    const hosts = parseHosts(
      [
        '# mine',
        '192.0.2.1\tOne.test one # the first\r',
        '2001:DB8::1 one.test',
        '192.0.2.1 one.test',
        '',
        ' junk',
        '300.1.1.1 bad.test',
        'fe80::1%lo0 zone.test',
        ' 192.0.2.2   two.test.',
      ].join('\n'),
    )
    expect(Object.fromEntries(hosts)).toEqual({
      'one.test': ['192.0.2.1', '2001:db8::1'],
      one: ['192.0.2.1'],
      'two.test': ['192.0.2.2'],
    })
  })

  it('has names without a dot under append_domain, too', () => {
    const hosts = parseHosts('192.0.2.1 Pc7 whole.test\n127.0.0.1 localhost\n192.0.2.2 pc7.corp.test', '.corp.test')
    expect([...hosts]).toEqual([
      ['pc7.corp.test', ['192.0.2.1', '192.0.2.2']],
      ['pc7', ['192.0.2.1']],
      ['whole.test', ['192.0.2.1']],
      ['localhost', ['127.0.0.1']],
    ])
  })

  it('is asked before any name server, and read anew by a reload', () => {
    const path = hostsFile('192.0.2.1 one.test\n')
    const { resolver, byHand } = make({ hostsFile: path })
    expect(addressesOf(resolver, 'ONE.test')).toEqual(['192.0.2.1'])
    expect(resolver.everSeen('one.test', '192.0.2.1')).toBe(true)
    writeFileSync(path, '192.0.2.9 one.test\n')
    expect(addressesOf(resolver, 'one.test')).toEqual(['192.0.2.1'])
    resolver.reload()
    expect(addressesOf(resolver, 'one.test')).toEqual(['192.0.2.9'])
    expect(byHand.asked).toEqual([])
  })

  it('may be missing: one warning, and DNS goes on', () => {
    const warnings: string[] = []
    const { resolver } = make({ hostsFile: join(hostsFile(''), 'missing'), warn: text => warnings.push(text) })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('ENOTDIR')
    expect(resolver.lookup('one.test')).toBeInstanceOf(Promise)
  })

  it('is not needed for localhost, which no name server is asked for', () => {
    const { resolver, byHand } = make()
    expect(addressesOf(resolver, 'localhost')).toEqual(['127.0.0.1', '::1'])
    expect(addressesOf(resolver, 'a.LocalHost.')).toEqual(['127.0.0.1', '::1'])
    expect(byHand.asked).toEqual([])
    const overridden = make({ hostsFile: hostsFile('127.0.0.1 localhost\n') })
    expect(addressesOf(overridden.resolver, 'localhost')).toEqual(['127.0.0.1'])
  })
})

describe('over DNS', () => {
  const servers: DnsServer[] = []
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close()
  })

  const serve = async (script: DnsScript, options: Partial<ResolverOptions> = {}) => {
    const server = await startDnsServer(script)
    servers.push(server)
    const resolver = createResolver({ clock: systemClock, nameservers: [server.endpoint], ...options })
    return { server, resolver }
  }
  const a = (address: string, ttl = 300): DnsRecord => ({ type: 'A', address, ttl })
  const aaaa = (address: string, ttl = 300): DnsRecord => ({ type: 'AAAA', address, ttl })

  it('asks for both families and takes the TTL of the records', async () => {
    const { server, resolver } = await serve(q => ({ records: q.type === 'A' ? [a('192.0.2.1', 120)] : [aaaa('2001:db8::1', 900)] }))
    const before = systemClock.mono()
    const answer = await resolver.lookup('www.example.test')
    expect(answer).toMatchObject({ ok: true, addresses: ['192.0.2.1', '2001:db8::1'] })
    expect(answer.expiresAt - before).toBeGreaterThanOrEqual(120_000)
    expect(answer.expiresAt).toBeLessThanOrEqual(systemClock.mono() + 120_000)
    expect(resolver.lookup('www.example.test')).toBe(answer)
    expect(server.asked.sort()).toEqual(['A www.example.test', 'AAAA www.example.test'])
  })

  it('follows aliases', async () => {
    const { resolver } = await serve(q =>
      q.type === 'A'
        ? { records: [{ type: 'CNAME', target: 'edge.cdn.test', ttl: 60 }, { ...a('192.0.2.7'), name: 'edge.cdn.test' }] }
        : { records: [{ type: 'CNAME', target: 'edge.cdn.test', ttl: 60 }] },
    )
    expect(await resolver.lookup('www.example.test')).toMatchObject({ ok: true, addresses: ['192.0.2.7'] })
  })

  it('tells a name that does not exist from one without addresses, and from an ill server', async () => {
    const { resolver } = await serve(q => {
      if (q.name === 'gone.test') return { rcode: 3 }
      return q.name === 'empty.test' ? {} : { rcode: q.name === 'no.test' ? 5 : 2 }
    })
    expect(await resolver.lookup('gone.test')).toMatchObject({ ok: false, code: 'ENOTFOUND' })
    expect(await resolver.lookup('empty.test')).toMatchObject({ ok: false, code: 'ENODATA' })
    expect(await resolver.lookup('ill.test')).toMatchObject({ ok: false, code: 'ESERVFAIL' })
    expect(await resolver.lookup('no.test')).toMatchObject({ ok: false, code: 'EREFUSED' })
  })

  it('asks again when a packet is lost', async () => {
    let lost = 0
    const { server, resolver } = await serve(
      q => {
        if (q.type === 'A') return lost++ === 0 ? null : { records: [a('192.0.2.1')] }
        return {}
      },
      { retransmitMs: ms(100) },
    )
    expect(await resolver.lookup('lossy.test')).toMatchObject({ ok: true, addresses: ['192.0.2.1'] })
    expect(server.asked.filter(q => q === 'A lossy.test').length).toBeGreaterThan(1)
  })

  it('comes back by TCP for what does not fit into a datagram', async () => {
    const many = Array.from({ length: 100 }, (_, i) => a(`192.0.2.${i + 1}`))
    const { resolver } = await serve(q => {
      if (q.type !== 'A') return {}
      return q.over === 'udp' ? { truncated: true } : { records: many }
    })
    const answer = await resolver.lookup('large.test')
    expect(answer.ok && answer.addresses.length).toBe(100)
  })

  it('goes to the next name server when one refuses to be reached', async () => {
    const dead = await startDnsServer(() => null)
    await dead.close()
    const server = await startDnsServer(q => ({ records: q.type === 'A' ? [a('192.0.2.1')] : [] }))
    servers.push(server)
    const resolver = createResolver({
      clock: systemClock,
      nameservers: [dead.endpoint, server.endpoint],
      retransmitMs: ms(100),
    })
    expect(await resolver.lookup('second.test')).toMatchObject({ ok: true, addresses: ['192.0.2.1'] })
  })

  it('lets a question go when it is closed', async () => {
    let asked: () => void = () => {}
    const arrived = new Promise<void>(resolve => {
      asked = resolve
    })
    const { resolver } = await serve(() => {
      asked()
      return null
    })
    const answer = resolver.lookup('silent.test')
    await arrived
    resolver.close()
    expect(await answer).toMatchObject({ ok: false, code: 'ECANCELLED' })
  })
})
