import { describe, expect, test } from 'vitest'
import { applyNat, compileNat, type NatAnswer, type NatKind, type NatLine, type NatOptions } from '../../src/chainer/index.ts'
import { type Endpoint, endpoint, endpointText } from '../../src/base/index.ts'

// NAT policies: which address each kind gives, to the edges of its nets; RFC 6052's own examples; both uses on the pair
// as the router gave it; one decision per pair of addresses where chance decides.

const at = { file: 'x.conf', line: 1, column: 1, from: null }

const line = (text: string, number = 1): NatLine => {
  const words = text.split(' ')
  const [kind = ''] = words
  const place = { ...at, line: number }
  const option = (name: string) => words.find(word => word.startsWith(`${name}=`))?.slice(name.length + 1)
  return {
    name: 'n',
    kind: kind as NatKind,
    words: words.slice(1).filter(word => !/^(cache|default)=/.test(word)).map(word => ({ text: word, at: place })),
    cache: option('cache') === undefined ? null : option('cache') === 'on',
    otherwise: (option('default') as 'reject' | 'accept' | undefined) ?? null,
    at: place,
  }
}

const policy = (texts: string | readonly string[], options: NatOptions = {}) => {
  const compiled = compileNat([texts].flat().map((text, i) => line(text, i + 1)), options)
  expect(compiled.problems).toEqual([])
  const found = compiled.get('N')
  if (found === undefined) throw new Error('no policy')
  return found
}

const end = (text: string): Endpoint => {
  const colon = text.startsWith('[') ? text.indexOf(']:') + 1 : text.indexOf(':')
  return endpoint(text.slice(0, colon).replace(/^\[|\]$/g, ''), Number(text.slice(colon + 1)))
}

const session = (client: string) => ({ client: { peer: end(client) } })

const shown = (answer: NatAnswer): string =>
  answer.ok ? `${answer.source === null ? '-' : endpointText(answer.source)} > ${endpointText(answer.target)}` : answer.detail

/** The target's address after DNAT. */
const dnat = (texts: string | readonly string[], target: string, client = '192.0.2.77'): string => {
  const answer = applyNat({ snat: null, dnat: policy(texts) }, { client: { peer: endpoint(client, 1234) } }, endpoint(target, 80), null)
  return answer.ok ? answer.target.address : 'rejected'
}

describe('general', () => {
  test.each([
    ['9.255.255.255', '9.255.255.255'],
    ['10.0.0.0', '20.0.0.0'],
    ['10.255.255.255', '20.255.255.255'],
    ['11.0.0.0', '11.0.0.0'],
  ])('10/8 into 20/8: %s is %s', (address, mapped) => expect(dnat('general all 10.0.0.0/8 20.0.0.0/8', address)).toBe(mapped))

  test.each([
    ['1234::', '2334::'],
    ['1234:5678::9', '2334:5678::9'],
    ['1300::', '1300::'],
  ])('1200::/8 into 2300::/8: %s is %s', (address, mapped) =>
    expect(dnat('general all 1200::/8 2300::/8', address, '2001:db8::1')).toBe(mapped))

  test('the first line that matches decides', () => {
    const wide = 'general all 10.0.0.0/8 20.0.0.0/8'
    const half = 'general all 10.128.0.0/9 21.0.0.0/9'
    expect(dnat([wide, half], '10.128.0.0')).toBe('20.128.0.0')
    expect(dnat([half, wide], '10.128.0.0')).toBe('21.0.0.0')
    expect(dnat([half, wide], '10.127.255.255')).toBe('20.127.255.255')
  })

  test('into a smaller net, what does not fit is cut: 11.255.255.255 is 192.168.0.255', () => {
    expect(dnat('general all 11.0.0.0/8 192.168.0.0/24', '11.255.255.255')).toBe('192.168.0.255')
    expect(dnat('general all 11.0.0.0/8 192.168.0.0/24', '11.255.254.0')).toBe('192.168.0.0')
    expect(dnat('general all 10.0.0.0/24 172.16.0.0/12', '10.0.0.5')).toBe('172.16.0.5')
  })

  test('both nets must match; N:M is what both uses of one policy give', () => {
    const both = policy('general 10.1.0.0/16 192.0.2.0/24 203.0.113.0/24')
    const ask = (client: string, target: string) => shown(applyNat({ snat: both, dnat: null }, session(client), end(target), null))
    expect(ask('10.1.7.9:5000', '192.0.2.1:80')).toBe('203.0.113.9:0 > 192.0.2.1:80')
    expect(ask('10.2.7.9:5000', '192.0.2.1:80')).toBe('- > 192.0.2.1:80')
    expect(ask('10.1.7.9:5000', '192.0.3.1:80')).toBe('- > 192.0.3.1:80')
  })

  test('default=reject refuses what no line maps', () =>
    expect(dnat('general all 10.0.0.0/8 20.0.0.0/8 default=reject', '11.0.0.0')).toBe('rejected'))
})

describe('static, one_to_one, hash, forge_client', () => {
  test('static gives its port where it has one', () => {
    const to = (texts: string) => shown(applyNat({ snat: null, dnat: policy(texts) }, session('10.0.0.1:99'), end('192.0.2.1:80'), null))
    expect(to('static 198.51.100.1')).toBe('- > 198.51.100.1:80')
    expect(to('static 198.51.100.1:8080')).toBe('- > 198.51.100.1:8080')
  })

  test.each([
    ['one_to_one 10.1.0.0/16 192.168.0.0/16', '10.1.2.3', '192.168.2.3'],
    ['one_to_one 10.1.0.0/16 192.168.0.0/16', '10.2.0.0', 'rejected'],
    ['one_to_one 10.1.0.0/16 192.168.0.0/16', '10.0.255.255', 'rejected'],
    ['one_to_one 10.1.0.0/16 192.168.0.0/16 default=accept', '10.2.0.0', '10.2.0.0'],
    ['hash 192.0.2.1=198.51.100.1 192.0.2.2=198.51.100.9', '192.0.2.2', '198.51.100.9'],
    ['hash 192.0.2.1=198.51.100.1', '192.0.2.3', 'rejected'],
    ['hash 192.0.2.1=198.51.100.1 default=accept', '192.0.2.3', '192.0.2.3'],
  ])('%s: %s is %s', (text, address, mapped) => expect(dnat(text, address)).toBe(mapped))

  test('one_to_one_multi: the first pair that holds the address', () => {
    const pairs = ['one_to_one_multi 10.1.0.0/24 192.0.2.0/24', 'one_to_one_multi 10.1.0.0/16 172.16.0.0/16']
    expect(dnat(pairs, '10.1.0.9')).toBe('192.0.2.9')
    expect(dnat(pairs, '10.1.1.9')).toBe('172.16.1.9')
    expect(dnat(pairs, '10.2.0.9')).toBe('rejected')
  })

  test("forge_client is the client's address, also where the router had another", () => {
    const forged = applyNat({ snat: policy('forge_client'), dnat: null }, session('10.0.0.1:99'), end('192.0.2.1:80'), end('198.51.100.7:4000'))
    expect(shown(forged)).toBe('10.0.0.1:4000 > 192.0.2.1:80')
  })
})

describe('RFC 6052 2.4: 192.0.2.33', () => {
  const table = [
    ['2001:db8::/32', '2001:db8:c000:221::'],
    ['2001:db8:100::/40', '2001:db8:1c0:2:21::'],
    ['2001:db8:122::/48', '2001:db8:122:c000:2:2100::'],
    ['2001:db8:122:300::/56', '2001:db8:122:3c0:0:221::'],
    ['2001:db8:122:344::/64', '2001:db8:122:344:c0:2:2100:0'],
    ['2001:db8:122:344::/96', '2001:db8:122:344::c000:221'],
  ]
  test.each(table)('%s: %s', (prefix, address) => {
    expect(dnat(`nat46 ${prefix}`, '192.0.2.33')).toBe(address)
    expect(dnat(`nat64 ${prefix}`, address, '2001:db8::1')).toBe('192.0.2.33')
  })

  test.each([
    ['2001:db8::1/32', '2001:db8:c000:221::1'],
    ['2001:db8:100::2/40', '2001:db8:1c0:2:21::2'],
    ['2001:db8:122::6/48', '2001:db8:122:c000:2:2100:0:6'],
    ['2001:db8:122:300::12/56', '2001:db8:122:3c0:0:221:0:12'],
    ['2001:db8:122:344::24/64', '2001:db8:122:344:c0:2:2100:24'],
  ])('what stands behind the IPv4 address in %s stays: %s', (prefix, address) => {
    expect(dnat(`nat46 ${prefix}`, '192.0.2.33')).toBe(address)
    expect(dnat(`nat64 ${prefix}`, address, '2001:db8::1')).toBe('192.0.2.33')
  })

  test('without a prefix it is the well-known one', () => {
    expect(dnat('nat46', '192.0.2.33')).toBe('64:ff9b::c000:221')
    expect(dnat('nat64', '64:ff9b::c000:221', '2001:db8::1')).toBe('192.0.2.33')
  })

  test('outside the prefix nothing changes, or with default=reject it is refused', () => {
    expect(dnat('nat64', '2001:db8::9', '2001:db8::1')).toBe('2001:db8::9')
    expect(dnat('nat64 default=reject', '2001:db8::9', '2001:db8::1')).toBe('rejected')
    expect(dnat('nat46', '2001:db8::9', '2001:db8::1')).toBe('2001:db8::9')
  })
})

describe('the pair', () => {
  test('SNAT and DNAT both see the ends as they were', () => {
    // each would miss, had it been shown what the other made of the pair
    const snat = policy('general 10.0.0.0/8 192.0.2.0/24 203.0.113.0/24')
    const dnat = policy('general 10.0.0.0/8 192.0.2.0/24 172.16.0.0/24')
    expect(shown(applyNat({ snat, dnat }, session('10.0.0.5:999'), end('192.0.2.7:80'), end('10.0.0.5:999')))).toBe(
      '203.0.113.5:999 > 172.16.0.7:80',
    )
  })

  test('where SNAT has nothing to say a forged source stays and an unforged one stays the kernel’s', () => {
    const snat = policy('general 172.16.0.0/12 all 203.0.113.0/24')
    expect(shown(applyNat({ snat, dnat: null }, session('10.0.0.5:999'), end('192.0.2.7:80'), end('10.0.0.5:999')))).toBe('10.0.0.5:999 > 192.0.2.7:80')
    expect(shown(applyNat({ snat, dnat: null }, session('10.0.0.5:999'), end('192.0.2.7:80'), null))).toBe('- > 192.0.2.7:80')
  })

  test('an IPv6 client reaches an IPv4 server by NAT64, with an address of the family', () => {
    const policies = { dnat: policy('nat64'), snat: policy('random 2001:db8::99 198.51.100.4') }
    expect(shown(applyNat(policies, session('[2001:db8::1]:5'), end('[64:ff9b::c000:221]:80'), null))).toBe('198.51.100.4:0 > 192.0.2.33:80')
    const forged = applyNat({ dnat: policies.dnat, snat: null }, session('[2001:db8::1]:5'), end('[64:ff9b::c000:221]:80'), end('[2001:db8::1]:5'))
    expect(shown(forged)).toContain('has to give an IPv4 address')
    const ours = applyNat({ dnat: policies.dnat, snat: null }, session('[2001:db8::1]:5'), end('[64:ff9b::c000:221]:80'), null)
    expect(shown(ours)).toBe('- > 192.0.2.33:80')
  })

  test('a rejection names the policy and the address', () => {
    const answer = applyNat({ snat: policy('hash 10.0.0.1=10.0.0.2'), dnat: null }, session('10.9.9.9:1'), end('192.0.2.7:80'), null)
    expect(answer).toEqual({ ok: false, detail: 'nat_policy n (snat) does not map 10.9.9.9' })
  })
})

describe('one decision per address', () => {
  /** 0, 0.25, 0.5, 0.75, 0 ... */
  const wheel = () => {
    let turn = 0
    return () => (turn++ % 4) / 4
  }
  const random = 'random 10.9.0.1 10.9.0.2 10.9.0.3 10.9.0.4'
  const from = (nat: ReturnType<typeof policy>, client: string, target = '192.0.2.1:80') =>
    shown(applyNat({ snat: nat, dnat: null }, session(client), end(target), null)).split(' ')[0]

  test('one client gets one address a hundred times, the next one another', () => {
    const nat = policy(random, { random: wheel() })
    for (let i = 0; i < 100; i++) expect(from(nat, `10.0.0.1:${1000 + i}`)).toBe('10.9.0.1:0')
    expect(from(nat, '10.0.0.2:1000')).toBe('10.9.0.2:0')
    expect(from(nat, '10.0.0.1:1', '192.0.2.2:80')).toBe('10.9.0.3:0')
  })

  test('cache=off asks chance every time', () => {
    const nat = policy(`${random} cache=off`, { random: wheel() })
    expect([1, 2, 3].map(() => from(nat, '10.0.0.1:1000'))).toEqual(['10.9.0.1:0', '10.9.0.2:0', '10.9.0.3:0'])
  })

  test('SNAT and DNAT by one policy decide apart, and ports stay their own', () => {
    const nat = policy(random, { random: wheel() })
    const both = (source: string, target: string) => shown(applyNat({ snat: nat, dnat: nat }, session('10.0.0.1:7'), end(target), end(source)))
    expect(both('10.0.0.1:7', '192.0.2.1:80')).toBe('10.9.0.2:7 > 10.9.0.1:80')
    expect(both('10.0.0.1:8', '192.0.2.1:443')).toBe('10.9.0.2:8 > 10.9.0.1:443')
  })

  test('what was decided is bounded, and what is used stays', () => {
    const nat = policy(random, { random: wheel() })
    const first = from(nat, '10.0.0.1:1')
    for (let i = 0; i < 100_000; i++) {
      from(nat, `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}:1`)
      if (i % 10_000 === 0) expect(from(nat, '10.0.0.1:1')).toBe(first)
    }
  })

  test('a reload with the same lines keeps what was decided', () => {
    const options = { random: wheel() }
    const ask = (nat: ReturnType<typeof compileNat>, client: string) => from(nat.get('n') ?? expect.fail(), client)
    const before = compileNat([line(random)], options)
    expect([ask(before, '10.0.0.1:1'), ask(before, '10.0.0.2:1')]).toEqual(['10.9.0.1:0', '10.9.0.2:0'])
    const after = compileNat([line(random)], options)
    after.adopt(before)
    expect(ask(after, '10.0.0.1:1')).toBe('10.9.0.1:0')
    const other = compileNat([line(`${random} 10.9.0.5`)], options)
    other.adopt(before)
    expect(ask(other, '10.0.0.1:1')).not.toBe('10.9.0.1:0')
  })
})

describe('what cannot be read is refused with its place', () => {
  test.each([
    [['general 10.0.0.0/8 20.0.0.0/8'], "nat_policy 'n': general takes FROM-NET"],
    [['general all all 10.0.0.0/99'], "nat_policy: '10.0.0.0/99' is no network"],
    [['one_to_one 10.0.0.0/8 20.0.0.0/9'], '10.0.0.0/8 and 20.0.0.0/9 are not of one size'],
    [['one_to_one 10.0.0.0/8 2001::/8'], 'are not of one size'],
    [['static 10.0.0.1:0'], 'is no ADDRESS or ADDRESS:PORT'],
    [['static'], "nat_policy 'n': static takes ADDRESS[:PORT]"],
    [['random 10.0.0.0/8'], "'10.0.0.0/8' is no address"],
    [['random'], 'random takes ADDRESS'],
    [['hash 10.0.0.1'], "'10.0.0.1' is no address"],
    [['nat64 2001:db8::/71'], 'RFC 6052 knows prefixes of 32, 40, 48, 56, 64, 96 bits'],
    [['nat64 10.0.0.0/8'], 'is not an IPv6 network'],
    [['nat46 2001:db8:1::/32'], 'there are bits where the IPv4 address goes'],
    [['nat46 2001:db8:0:0:100::/32'], 'bits 64 to 71 must be zero'],
    [['nat46 64:ff9b::/96 64:ff9b::/96'], 'nat46 takes [PREFIX/LENGTH]'],
    [['random 10.0.0.1', 'hash 10.0.0.1=10.0.0.2'], "nat_policy 'n' is random already"],
    [['static 10.0.0.1', 'static 10.0.0.2'], 'static has one line'],
  ])('%s', (texts, message) => {
    const { problems, ...compiled } = compileNat(texts.map((text, i) => line(text, i + 1)))
    expect(problems.map(problem => problem.message).join('\n')).toContain(message)
    expect(problems.every(problem => problem.severity === 'fatal' && problem.at.line === texts.length)).toBe(true)
    expect(compiled).toBeDefined()
  })
})
