import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isWithin, IpKey, type Zone } from '../../src/acl/index.ts'
import { addressWords, endpoint, prefixHolds, wallMs } from '../../src/base/index.ts'
import { type Arrival, type InterfaceFacts, mayPrecede, type Rule, scoreOf, scoreParts, tupleOf } from '../../src/dispatch/rule/index.ts'
import { acl } from '../acl/kit.ts'
import { arrival, compiled, decider, interfacesOf, zonesOf } from './rule-kit.ts'

// Which rule decides: the cases of Zorp's kernel module, and any set of rules against a reference that is written from
// the description and asks every rule.

const dummies = interfacesOf({
  dummy0: [2, '10.99.201.1', 'fd00:201::1'], dummy1: [0, '10.99.202.1'], dummy2: [0, '10.99.203.1'], dummy3: [1, '10.99.204.1'],
  dummy4: [1, '10.99.205.1'],
})

const ordinary = 'tcp 1.2.3.4:1000 > 5.6.7.8:80'

describe('the least', () => {
  test('no rule gives no service', () => expect(decider([])(ordinary)).toBe('-'))
  test('a rule that says nothing matches everything', () => expect(decider(['A'])('udp [::1]:1 > [::2]:2')).toBe('A'))

  test.each([3, 128, 1500])('of %i rules that say the same the lowest id decides', count => {
    const same = Array.from({ length: count }, (_, i) => `id=${count - i} dst_port=80 S${count - i}`)
    expect(decider(same)(ordinary)).toBe('S1')
  })

  test('ids that are not given are the next free ones', () => {
    const { set } = compiled(['id=2 A', 'B', 'C', 'id=1 D', 'E'])
    expect(set.rules.map(({ id, service }) => `${id}${service}`)).toEqual(['1D', '2A', '3B', '4C', '5E'])
  })
})

describe('interfaces', () => {
  const on = (decide: (text: string) => string) => [0, 1, 2, 3, 4].map(n => decide(`${ordinary} dummy${n}`)).join(' ')
  const rules = ['src_iface=dummy0,dummy1 A', 'src_group=1 B']

  test('an interface, or its group', () => expect(on(decider(rules, { interfaces: dummies }))).toBe('A A - B B'))
  test('where they say nothing, the one that says nothing', () => expect(on(decider([...rules, 'C'], { interfaces: dummies }))).toBe('A A C B B'))
  test('an interface says more than its group, and both say more than either', () => {
    expect(on(decider(['src_group=1 G', 'src_iface=dummy3 I'], { interfaces: dummies }))).toBe('- - - I G')
    expect(on(decider(['src_iface=dummy3 I', 'src_iface=dummy3 src_group=1 both'], { interfaces: dummies }))).toBe('- - - both both')
  })
  test('an arrival whose interface is not known matches no interface', () => expect(decider(rules, { interfaces: dummies })(ordinary)).toBe('-'))

  test('of the destination, if it is an address of that interface', () => {
    const decide = decider(['dst_iface=dummy0,dummy1 A', 'dst_group=1 B'], { interfaces: dummies })
    const to = ['10.99.201.1', '10.99.202.1', '10.99.203.1', '10.99.204.1', '10.99.205.1', '10.99.201.2']
    expect(to.map(address => decide(`tcp 1.2.3.4:1 > ${address}:80`)).join(' ')).toBe('A A - B B -')
    expect(decide('tcp [fd00::9]:1 > [fd00:201::1]:80')).toBe('A')
  })
})

describe('ports and protocols', () => {
  test.each(['src_port', 'dst_port'])('%s: single ones and ranges', kind => {
    const decide = decider([`${kind}=10,60000-65535 A`])
    const ask = (port: number) => decide(kind === 'src_port' ? `tcp 1.1.1.1:${port} > 2.2.2.2:7` : `tcp 1.1.1.1:7 > 2.2.2.2:${port}`)
    expect([9, 10, 11, 59999, 60000, 63000, 65535].map(ask).join('')).toBe('-A--AAA')
  })
  test('a port of its own before a range that holds it, Zorp’s colon, touching ranges', () => {
    const decide = decider(['dst_port=1:100 R', 'dst_port=80 S', 'dst_port=101-200,201-300 T'])
    expect([1, 79, 80, 81, 100, 101, 200, 201, 300, 301].map(port => decide(`tcp 1.1.1.1:7 > 2.2.2.2:${port}`)).join('')).toBe('RRSRRTTTT-')
  })
  test('proto', () => {
    expect(['tcp', 'udp'].map(proto => decider(['proto=tcp A'])(ordinary.replace('tcp', proto)))).toEqual(['A', '-'])
    expect(['tcp', 'udp'].map(proto => decider(['proto=tcp A', 'B'])(ordinary.replace('tcp', proto)))).toEqual(['A', 'B'])
    expect(['tcp', 'udp'].map(proto => decider(['proto=tcp,udp A'])(ordinary.replace('tcp', proto)))).toEqual(['A', 'A'])
  })
})

describe('networks', () => {
  test('the longest', () => {
    const decide = decider(['src=1.2.3.0/24 n24', 'src=1.2.3.4/30 n30', 'src=1.2.3.2/31 n31', 'src=1.2.3.1 host'])
    expect(['1.2.3.4', '1.2.3.2', '1.2.3.1', '1.2.3.200', '1.2.2.5'].map(a => decide(`tcp ${a}:1 > 9.9.9.9:1`))).toEqual(['n30', 'n31', 'host', 'n24', '-'])
  })
  test('IPv4 and IPv6 in one list', () => {
    const decide = decider(['src=2.0.0.0/8,ffc0::1/127 first', 'src=2.3.4.5,ffc0::/10,ffc0::3 second', 'src=ffc0::2/127 third'])
    const of = (address: string) => decide(address.includes(':') ? `tcp [${address}]:1 > [::9]:1` : `tcp ${address}:1 > 9.9.9.9:1`)
    expect(['ffc0::1', '2.3.4.5', '2.3.4.6', 'ffc0::2', 'ffc0::3'].map(of)).toEqual(['first', 'second', 'first', 'third', 'second'])
  })
  test('the source says more than the destination, however long', () => {
    expect(decider(['dst=5.6.7.8 D', 'src=0.0.0.0/0 S'])(ordinary)).toBe('S')
    expect(decider(['src=1.2.0.0/16 dst=5.6.7.8 D', 'src=1.2.3.0/24 S'])(ordinary)).toBe('S')
  })
})

describe('zones', () => {
  const zones = zonesOf('A 10.0.0.0/8', 'AB parent=A 10.1.0.0/16', 'ABA parent=AB 10.1.1.0/24', 'ABB parent=AB 10.1.2.0/24', 'B 192.0.2.0/24')
  const decide = decider(['src_zone=A a', 'src_zone=AB ab', 'src_zone=ABA aba'], { zones })
  const from = (address: string, ask = decide) => ask(`tcp ${address}:1 > 9.9.9.9:1`)

  test('the deepest of those above the address', () =>
    expect(['10.9.0.1', '10.1.0.1', '10.1.1.1', '10.1.2.1', '192.0.2.1', '8.8.8.8'].map(a => from(a))).toEqual(['a', 'ab', 'aba', 'ab', '-', '-']))

  test('a network says more than any zone, and a rule with both matches by either', () => {
    const both = decider(['src=10.0.0.0/8 net', 'src_zone=ABA deep', 'src=10.1.1.7 src_zone=B either'], { zones })
    expect(['10.1.1.1', '10.9.9.9', '10.1.1.7', '192.0.2.9'].map(a => from(a, both))).toEqual(['net', 'net', 'either', 'either'])
  })

  test('of one network the deeper zone decides, and the destination has interfaces between', () => {
    const near = decider(['src=10.1.0.0/16 src_zone=A shallow', 'src=10.1.0.0/16 src_zone=ABA deep'], { zones })
    expect(from('10.1.1.1', near)).toBe('deep')
    const interfaces = interfacesOf({ eth0: [7, '10.1.1.1'] })
    const to = decider(['dst_zone=ABA zone', 'dst_group=7 group', 'dst_iface=eth0 iface', 'dst=10.0.0.0/8 net'], { zones, interfaces })
    expect(to('tcp 1.1.1.1:1 > 10.1.1.1:1')).toBe('net')
    const without = decider(['dst_zone=ABA zone', 'dst_group=7 group'], { zones, interfaces })
    expect(without('tcp 1.1.1.1:1 > 10.1.1.1:1')).toBe('group')
    expect(without('tcp 1.1.1.1:1 > 10.1.1.2:1')).toBe('zone')
  })
})

describe('one good rule among those that are wrong in one thing', () => {
  const zones = zonesOf('inside 10.0.0.0/8', 'outside 192.0.2.0/24', 'elsewhere 203.0.113.0/24')
  const good: Readonly<Record<string, string>> = {
    src_iface: 'dummy0', proto: 'tcp', src_port: '1000', dst_port: '80', src: '10.1.2.3', dst: '192.0.2.1',
  }
  const wrong: readonly (readonly [string, string])[] = [
    ['src_iface', 'dummy1'], ['proto', 'udp'], ['src_port', '1001'], ['src_port', '1-999,1001-65535'], ['dst_port', '81'],
    ['dst_port', '1-79,81-65535'], ['src', '10.1.2.4'], ['src', '10.1.2.2/31,11.0.0.0/8'], ['dst', '192.0.2.2'], ['dst', '::/0'],
  ]
  const text = (values: Readonly<Record<string, string>>, service: string) =>
    [...Object.entries(values).map(([key, value]) => `${key}=${value}`), service].join(' ')
  const asked = 'tcp 10.1.2.3:1000 > 192.0.2.1:80 dummy0'

  test('it is found among all of them', () => {
    const others = wrong.filter(([key, value]) => !(key === 'src' && value.includes('/31'))).map(([key, value]) => text({ ...good, [key]: value }, 'wrong'))
    expect(decider([...others.slice(0, 5), text(good, 'good'), ...others.slice(5)], { zones, interfaces: dummies })(asked)).toBe('good')
  })

  test.each([
    ['src_iface', 'src_group', '2'],
    ['src', 'src_zone', 'inside'],
    ['dst', 'dst_zone', 'outside'],
    ['src', 'src', '10.1.2.0/24'],
    ['dst', 'dst', '192.0.2.0/31'],
    ['src_port', 'src_port', '1-2000'],
    ['dst_port', 'dst_port', '80-81'],
  ])('with %s said less exactly by %s it is taken only when the good one does not match', (key, otherKey, value) => {
    const { [key]: _left, ...rest } = good
    const weaker = text({ ...rest, [otherKey]: value }, 'weaker')
    expect(decider([weaker, text(good, 'good')], { zones, interfaces: dummies })(asked)).toBe('good')
    const broken = text({ ...good, dst_port: '81' }, 'good')
    expect(decider([weaker, broken], { zones, interfaces: dummies })(asked)).toBe('weaker')
  })
})

describe('conditions', () => {
  const acls = [acl('office', 'src', '10.0.0.0/8'), acl('web', 'localport', '80'), acl('here', 'myportname', 'gate')]
  test('an acl must hold, and says a little more than nothing', () => {
    const decide = decider(['dst_port=80 plain', 'dst_port=80 acl=office office', 'dst_port=80 acl=!office,here guests'], { acls })
    expect([decide('tcp 10.1.1.1:1 > 9.9.9.9:80'), decide('tcp 8.8.8.8:1 > 9.9.9.9:80'), decide('tcp 8.8.8.8:1 > 9.9.9.9:81')]).toEqual(['office', 'guests', '-'])
  })
  test('less than anything else', () =>
    expect(decider(['acl=web with', 'dst=0.0.0.0/0 without'], { acls })('tcp 10.1.1.1:1 > 9.9.9.9:80')).toBe('without'))
})

test('a score reads back in its parts', () => {
  const zones = zonesOf('A 10.0.0.0/8', 'AB parent=A 10.1.0.0/16')
  const { set } = compiled(['src_iface=dummy0 src_group=2 proto=tcp src_port=1-9 dst_port=80 src=10.1.0.0/16 src_zone=AB dst=10.99.201.1 dst_iface=dummy0 dst_zone=A X'], zones)
  const [rule] = set.rules
  if (rule === undefined) return expect.fail()
  const score = scoreOf(rule, tupleOf(arrival('tcp 10.1.1.1:5 > 10.99.201.1:80 dummy0'), zones, dummies))
  expect(scoreParts(score)).toEqual({
    ingress: 3, proto: 1, srcPort: 1, dstPort: 2, source: { prefix: 16, zoneDepth: 2 },
    destination: { prefix: 32, interface: 2, zoneDepth: 1 }, acl: 0,
  })
})

describe('what is told at load', () => {
  const told = (...texts: readonly string[]) =>
    compiled(texts, zonesOf('A 10.0.0.0/8', 'B parent=A 10.1.0.0/16', 'C 192.0.2.0/24'), [acl('x', 'src', 'all'), acl('y', 'src', 'all')])
      .problems.map(({ severity, at, message }) => `${severity} ${at.line}: ${message}`)
  const collide = (second: number, first = 1) =>
    `warning ${second}: rule ${second} says no more than rule ${first} (line ${first}) about some connections: there rule ${first} decides`

  test.each([
    ['A', 'B'],
    ['dst_port=80 A', 'dst_port=80 B'],
    ['dst_port=80,81 A', 'dst_port=81,82 B'],
    ['dst_port=1-100 A', 'dst_port=100-200 B'],
    ['src=10.0.0.0/8,11.0.0.0/8 A', 'src=11.5.0.0/8 B'],
    ['src_zone=A,C A', 'src_zone=B,C B'],
    ['src_iface=eth0 A', 'src_iface=eth1,eth0 B'],
    ['src_iface=eth0 src_group=1 A', 'src_group=1 B'],
    ['dst_iface=eth0 A', 'dst_iface=eth0 B'],
    ['acl=x dst_port=80 A', 'acl=x dst_port=80 B'],
    ['src=10.1.0.0/16 src_zone=C A', 'src=10.1.0.0/16 B'],
  ])('%s and %s collide', (first, second) => expect(told(first, second)).toEqual([collide(2)]))

  test.each([
    ['dst_port=80 A', 'dst_port=81 B'],
    ['dst_port=80 A', 'dst_port=1-100 B'],
    ['dst_port=1-99,100 A', 'dst_port=100-200 B'],
    ['src=10.0.0.0/8 A', 'src=10.0.0.0/9 B'],
    ['src=10.0.0.0/8 A', 'src_zone=A B'],
    ['src_zone=A A', 'src_zone=B B'],
    ['src_iface=eth0 A', 'src_group=1 B'],
    ['proto=tcp A', 'proto=udp B'],
    ['proto=tcp A', 'B'],
    ['acl=x A', 'acl=y B'],
    ['acl=x A', 'B'],
    ['src=10.0.0.0/8 dst_port=80 A', 'src=10.0.0.0/8 dst_port=81 B'],
    ['src=10.1.0.0/16 src_zone=B A', 'src=10.1.0.0/16 B'],
  ])('%s and %s do not', (first, second) => expect(told(first, second)).toEqual([]))

  test('a thousand that collide are told of twenty times', () =>
    expect(told(...Array.from({ length: 1000 }, () => 'dst_port=80 A'))).toHaveLength(21))

  test.each([
    ['id=7 A', 'id=7 dst_port=1 B', 'fatal 2: rule 7 is at line 1 already'],
    ['dst_port=0x50 A', '', "fatal 1: '0x50' is no port"],
    ['dst_port=200-100 A', '', "fatal 1: '200-100' is no port"],
    ['src=10.0.0.0/40 A', '', "fatal 1: '10.0.0.0/40' is no network"],
    ['src_group=dmz A', '', "fatal 1: there is no interface group 'dmz'"],
  ])('%s, %s', (one, other, message) => expect(told(...[one, other].filter(text => text !== ''))).toEqual([message]))
})

// --- the reference ---

/** Straight from the description: a list of numbers, compared from the left; null = no match. */
const reference = (rule: Rule, arrived: Arrival, zoneOf: (address: string) => Zone | null, interfaces: InterfaceFacts): number[] | null => {
  const addressOf = (address: string) => addressWords(address) ?? []
  const bits = (names: readonly string[], groups: readonly number[], name: string | null): number =>
    name === null ? 0 : (names.includes(name) ? 2 : 0) + (groups.includes(interfaces.groupOf(name) ?? -1) ? 1 : 0)
  const port = (ranges: Rule['srcPorts'], number: number): number => {
    const matching = ranges.filter(({ first, last }) => first <= number && number <= last)
    return matching.some(({ first, last }) => first === last) ? 2 : matching.length > 0 ? 1 : 0
  }
  const net = (nets: Rule['srcNets'], address: string): number =>
    Math.max(0, ...nets.filter(one => prefixHolds(one, addressOf(address))).map(one => one.length + 1))
  const depth = (zones: readonly Zone[], address: string): number =>
    Math.max(0, ...zones.filter(zone => isWithin(zoneOf(address), zone)).map(zone => zone.depth))
  const holder = interfaces.holderOf(arrived.dst.address)
  const groups: { readonly said: boolean; readonly scores: readonly number[] }[] = [
    { said: rule.srcIfaces.length + rule.srcGroups.length > 0, scores: [bits(rule.srcIfaces, rule.srcGroups, arrived.iface)] },
    { said: rule.protos.length > 0, scores: [rule.protos.includes(arrived.proto) ? 1 : 0] },
    { said: rule.srcPorts.length > 0, scores: [port(rule.srcPorts, arrived.src.port)] },
    { said: rule.dstPorts.length > 0, scores: [port(rule.dstPorts, arrived.dst.port)] },
    { said: rule.srcNets.length + rule.srcZones.length > 0, scores: [net(rule.srcNets, arrived.src.address), depth(rule.srcZones, arrived.src.address)] },
    {
      said: rule.dstNets.length + rule.dstIfaces.length + rule.dstGroups.length + rule.dstZones.length > 0,
      scores: [net(rule.dstNets, arrived.dst.address), bits(rule.dstIfaces, rule.dstGroups, holder), depth(rule.dstZones, arrived.dst.address)],
    },
  ]
  const score: number[] = []
  for (const { said, scores } of groups) {
    if (said && scores.every(one => one === 0)) return null
    score.push(...scores)
  }
  return score
}

const compareScores = (a: readonly number[], b: readonly number[]): number => a.map((one, i) => one - (b[i] ?? 0)).find(one => one !== 0) ?? 0

test('any set of rules decides as the description says', { timeout: 60_000 }, () => {
  const zones = zonesOf(
    'z0 10.0.0.0/8 fd00::/16', 'z1 parent=z0 10.1.0.0/16', 'z2 parent=z1 10.1.1.0/24 fd00:1::/32', 'z3 192.0.2.0/24', 'z4 parent=z3 10.1.1.7', 'z5 0.0.0.0/0',
  )
  const zoneOf = (address: string): Zone | null => zones.of(new IpKey(address))
  const interfaces = interfacesOf({ e0: [1, '10.1.1.1', 'fd00::1'], e1: [1, '192.0.2.1'], e2: [2] })
  const list = (...values: readonly string[]) =>
    fc.oneof({ weight: 3, arbitrary: fc.constant([] as string[]) }, { weight: 2, arbitrary: fc.subarray([...values], { minLength: 1, maxLength: Math.min(3, values.length) }) })
  const nets = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.1.0/24', '10.1.1.1', '10.1.1.7', '192.0.2.0/25', '::/0', 'fd00::/16', 'fd00:1::/32', 'fd00::1']
  const ports = ['80', '443', '1-100', '50-500', '443-443', '1024-65535', '0']
  const rule = fc.record({
    src_iface: list('e0', 'e1', 'e2'), src_group: list('1', '2'), proto: list('tcp', 'udp'), src_port: list(...ports), dst_port: list(...ports),
    src: list(...nets), src_zone: list('z0', 'z1', 'z2', 'z3', 'z4', 'z5'), dst: list(...nets), dst_iface: list('e0', 'e1'),
    dst_group: list('1', '2'), dst_zone: list('z0', 'z1', 'z2', 'z3', 'z4', 'z5'),
  })
  const address4 = fc.constantFrom('10.1.1.1', '10.1.1.7', '10.1.2.3', '10.9.9.9', '192.0.2.1', '192.0.2.200', '8.8.8.8')
  const address6 = fc.constantFrom('fd00::1', 'fd00:1::5', 'fd00:2::1', '2001:db8::1')
  const port = fc.constantFrom(0, 1, 50, 80, 100, 443, 1024, 65535)
  const arrived = fc
    .record({ proto: fc.constantFrom('tcp' as const, 'udp' as const), ends: fc.oneof(fc.tuple(address4, address4), fc.tuple(address6, address6)), ports: fc.tuple(port, port), iface: fc.constantFrom(null, 'e0', 'e1', 'e2', 'e9') })
    .map(({ proto, ends, ports: [from, to], iface }): Arrival => ({ proto, src: endpoint(ends[0], from), dst: endpoint(ends[1], to), iface, portName: '', now: wallMs(0) }))
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 80 }), fc.array(arrived, { minLength: 1, maxLength: 30 }), (rules, arrivals) => {
      const texts = rules.map((one, i) => [...Object.entries(one).map(([key, values]) => `${key}=${values.join(',')}`), `S${i + 1}`].join(' '))
      const { set } = compiled(texts, zones)
      const alone = new Set(set.rules.filter(candidate => mayPrecede(candidate, set.rules, () => false) === null))
      for (const one of arrivals) {
        const scored = set.rules.flatMap(candidate => {
          const score = reference(candidate, one, zoneOf, interfaces)
          return score === null ? [] : [{ candidate, score }]
        })
        const best = scored.reduce<(typeof scored)[number] | null>((found, next) => (found === null || compareScores(next.score, found.score) > 0 ? next : found), null)
        const decided = set.decide(tupleOf(one, zones, interfaces))
        expect(decided?.id ?? 0, JSON.stringify(one)).toBe(best?.candidate.id ?? 0)
        // what is said to decide alone does, wherever it matches
        for (const { candidate } of scored) if (alone.has(candidate)) expect(candidate.id, JSON.stringify(one)).toBe(decided?.id)
      }
    }),
    { numRuns: 120 },
  )
})

test.each([
  // the first rule decides alone, or the other may come before it
  ['dst_port=80 A', 'B', true],
  ['dst_port=80 A', 'proto=tcp B', false],
  ['proto=tcp dst_port=80 A', 'proto=udp src=10.0.0.0/8 B', true],
  ['dst_port=80 A', 'dst_port=81-90 src=10.0.0.0/8 B', true],
  ['dst_port=80 A', 'dst_port=1-90 src=10.0.0.0/8 B', true],
  ['dst_port=1-100 A', 'dst_port=80 B', false],
  ['dst_port=80 A', 'dst_port=80 B', true],
  ['id=2 dst_port=80 A', 'id=1 dst_port=80 B', false],
  ['src=10.0.0.0/8 A', 'src=10.1.0.0/16 B', false],
  ['src=10.1.0.0/16 A', 'src=10.0.0.0/8 B', true],
  ['src=10.1.0.0/16 A', 'src=10.2.0.0/16 dst_port=80 B', true],
  ['src=10.1.0.0/16 A', 'src_zone=site B', true],
  ['src_iface=e0 A', 'src_iface=e1 dst_port=80 B', true],
  ['src_iface=e0 A', 'src_group=1 B', true],
  ['src_group=1 A', 'src_iface=e0 B', false],
  ['dst=10.1.0.0/16 A', 'dst_iface=e0 dst=10.0.0.0/8 B', true],
  ['dst_port=80 A', 'dst_port=80 acl=never B', false],
])('%s decides alone beside %s: %s', (one, other, alone) => {
  const { set } = compiled([one, other], zonesOf('site 10.0.0.0/8'), [acl('never', 'src', '192.0.2.1')])
  const [rule] = set.rules.filter(({ service }) => service === 'A')
  expect(rule === undefined ? null : mayPrecede(rule, set.rules, () => false) === null).toBe(alone)
})

test('the order of the lines does not matter', () => {
  const texts = ['src=10.0.0.0/8 A', 'dst_port=80 B', 'proto=tcp C', 'src=10.0.0.0/8 dst_port=80 D', 'src_iface=dummy0 E', 'dst=9.9.9.9 F', 'G']
  const asked = ['tcp 10.1.1.1:1 > 9.9.9.9:80', 'udp 10.1.1.1:1 > 9.9.9.9:81', 'udp 8.8.8.8:1 > 9.9.9.9:81', 'udp 8.8.8.8:1 > 9.9.9.8:81 dummy0', 'tcp 8.8.8.8:1 > 1.1.1.1:1']
  const answers = (of: readonly string[]) => asked.map(decider(of, { interfaces: dummies }))
  fc.assert(fc.property(fc.shuffledSubarray(texts, { minLength: texts.length }), shuffled => {
    expect(answers(shuffled)).toEqual(answers(texts))
  }), { numRuns: 50 })
})

