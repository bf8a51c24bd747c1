import { describe, expect, test } from 'vitest'
import { type AccessFacts, type AclClients, compileAcls, factsOfOutcome } from '../../src/acl/index.ts'
import { endpoint, Notes, type Outcome, wallMs } from '../../src/base/index.ts'
import { acl, factsOf, matches, remarks, view } from './kit.ts'

// Guards each type of ACL by what it matches and what it does not, at its edges.

interface Row {
  readonly acl: readonly [type: string, ...lines: string[]]
  readonly yes: readonly Partial<AccessFacts & { clientAddress: string; localAddress: string; localPort: number; listener: string }>[]
  readonly no: readonly Partial<AccessFacts & { clientAddress: string; localAddress: string; localPort: number; listener: string }>[]
}

const named = (name: string): AclClients => ({ nameOf: () => name, hardwareOf: () => '', connectionsOf: () => 0, connectionMarkOf: () => null })
const marked = (mark: number | null): AclClients => ({ ...named(''), connectionMarkOf: (from, to) => (from.port === 40000 && to.port === 80 ? mark : null) })

const noted = (name: string, ...values: readonly string[]): Notes => {
  const notes = new Notes()
  for (const value of values) notes.add(name, value)
  return notes
}

const rows: readonly Row[] = [
  { acl: ['src', '192.0.2.0/24'], yes: [{ clientAddress: '192.0.2.7' }], no: [{ clientAddress: '192.0.3.7' }] },
  { acl: ['localip', '198.51.100.0/24'], yes: [{ localAddress: '198.51.100.9' }], no: [{ localAddress: '192.0.2.9' }] },
  { acl: ['port', '80 1025-65535'], yes: [{ port: 80 }, { port: 1025 }, { port: 65535 }], no: [{ port: 81 }, { port: 1024 }, { port: 0 }] },
  { acl: ['localport', '80'], yes: [{ localPort: 80 }], no: [{ localPort: 8080, port: 80 }] },
  { acl: ['myportname', 'lan 127.0.0.1:3129'], yes: [{ listener: 'lan' }, { listener: '127.0.0.1:3129' }], no: [{ listener: 'LAN' }, { listener: '' }] },
  { acl: ['method', 'GET purge FOO'], yes: [{ method: 'GET' }, { method: 'PURGE' }, { method: 'FOO' }], no: [{ method: 'get' }, { method: 'foo' }, { method: 'POST' }] },
  { acl: ['proto', 'HTTP ftp'], yes: [{ scheme: 'http' }, { scheme: 'ftp' }], no: [{ scheme: 'https' }, { scheme: '' }] },
  { acl: ['proto', 'NONE'], yes: [{ scheme: '' }], no: [{ scheme: 'http' }] },
  { acl: ['url_regex', '^http://x/'], yes: [{ uri: 'http://x/' }], no: [{ uri: 'HTTP://X/' }, { uri: 'https://x/' }] },
  { acl: ['url_regex', '-i ^http://x/ +i ^FTP'], yes: [{ uri: 'HTTP://X/' }, { uri: 'FTP' }], no: [{ uri: 'ftp' }] },
  { acl: ['url_regex', '/secret'], yes: [{ uri: 'http://x/%73ecret' }], no: [{ uri: 'http://x/%73ecre%t' }] },
  { acl: ['url_regex', '^x\\.org:443$'], yes: [{ uri: 'x.org:443', method: 'CONNECT' }], no: [{ uri: 'x.org:4430' }] },
  { acl: ['urlpath_regex', '^/a\\?b'], yes: [{ urlPath: '/a?b' }, { urlPath: '/%61?b' }], no: [{ urlPath: '/b' }] },
  { acl: ['urlpath_regex', '.*'], yes: [{ urlPath: '/' }], no: [{ urlPath: '', method: 'CONNECT' }] },
  { acl: ['dstdom_regex', '-i ^WWW\\.'], yes: [{ host: 'www.x.org' }], no: [{ host: 'x.org' }] },
  { acl: ['dstdom_regex', '^\\[2001:'], yes: [{ host: '2001:db8::1' }], no: [{ host: 'x.org' }] },
  { acl: ['dstdom_regex', '^none$'], yes: [{ host: '192.0.2.1' }], no: [{ host: 'x.org' }] },
  { acl: ['browser', 'Mozilla'], yes: [{ fields: view('User-Agent', 'Mozilla/5') }], no: [{ fields: view('User-Agent', 'curl') }, { fields: view('Referer', 'Mozilla') }, {}] },
  { acl: ['referer_regex', '^http://x'], yes: [{ fields: view('Referer', 'http://x/') }], no: [{ fields: view() }] },
  { acl: ['rep_header', 'X-Kind ^a,.b$'], yes: [{ responseFields: view('X-Kind', 'a', 'x-kind', 'b') }], no: [{ responseFields: view('X-Kind', 'a') }, { fields: view('X-Kind', 'a', 'x-kind', 'b') }, {}] },
  { acl: ['rep_mime_type', '^text/ ^$'], yes: [{ responseFields: view('Content-Type', 'text/html') }, { responseFields: view() }], no: [{ responseFields: view('Content-Type', 'image/png') }, {}] },
  { acl: ['req_mime_type', '^text/'], yes: [{ fields: view('Content-Type', 'text/html') }], no: [{ fields: view() }, {}] },
  { acl: ['http_status', '200 400-403 500-'], yes: [{ responseStatus: 200 }, { responseStatus: 403 }, { responseStatus: 599 }], no: [{ responseStatus: 201 }, { responseStatus: 404 }, { responseStatus: 600 }, {}] },
  { acl: ['has', 'response'], yes: [{ responseStatus: 200 }], no: [{ method: 'GET' }] },
  { acl: ['has', 'request'], yes: [{ method: 'GET' }], no: [{}] },
  { acl: ['has', 'ALE'], yes: [{}], no: [] },
  { acl: ['tag', 'a b'], yes: [{ tag: 'b' }], no: [{ tag: 'c' }, {}] },
  { acl: ['note', 'group staff'], yes: [{ notes: noted('group', 'staff') }, { clientNotes: noted('group', 'staff') }], no: [{ notes: noted('group', 'guests') }, { notes: noted('x', 'staff') }, {}] },
  { acl: ['note', 'group staff'], yes: [{ notes: noted('group', 'guests', 'staff') }], no: [{ notes: noted('group', 'guests,staff') }] },
  { acl: ['note', 'group'], yes: [{ notes: noted('group', 'anything') }], no: [{}] },
  { acl: ['srcdomain', '.x.org'], yes: [{ clients: named('a.x.org') }], no: [{ clients: named('x.net') }, { clients: named('') }, {}] },
  { acl: ['srcdomain', 'none'], yes: [{ clients: named('') }], no: [{ clients: named('x.net') }] },
  { acl: ['srcdom_regex', '-i ^PC[0-9]'], yes: [{ clients: named('pc7.x.org') }], no: [{ clients: named('server') }] },
  { acl: ['arp', '0:1:2:AA:bb:cc'], yes: [{ clients: { ...named(''), hardwareOf: () => '00:01:02:aa:bb:cc' } }], no: [{ clients: { ...named(''), hardwareOf: () => '' } }, {}] },
  { acl: ['eui64', '02:00:5e:ff:fe:00:53:01'], yes: [{ clientAddress: '2001:db8::200:5eff:fe00:5301' }], no: [{ clientAddress: '2001:db8::1' }, { clientAddress: '192.0.2.1' }] },
  { acl: ['maxconn', '2'], yes: [{ clients: { ...named(''), connectionsOf: () => 3 } }], no: [{ clients: { ...named(''), connectionsOf: () => 2 } }, {}] },
  { acl: ['client_connection_mark', '0x10/0xff'], yes: [{ clients: marked(0x10) }, { clients: marked(0xabcd_ff10) }], no: [{ clients: marked(0x110 + 1) }, { clients: marked(0) }, { clients: marked(null) }, { clients: marked(0x10), introduced: true }, {}] },
  { acl: ['client_connection_mark', '16 0xffffffff'], yes: [{ clients: marked(16) }, { clients: marked(0xffff_ffff) }], no: [{ clients: marked(0x110) }] },
  { acl: ['client_connection_mark', '020 0/0xf0'], yes: [{ clients: marked(16) }, { clients: marked(0) }, { clients: marked(0xf) }], no: [{ clients: marked(0x30) }, { clients: marked(null) }] },
  { acl: ['ssl::server_name', '.x.org'], yes: [{ host: 'a.x.org' }], no: [{ host: 'x.net' }] },
  { acl: ['ssl::server_name_regex', '^a\\.'], yes: [{ host: 'a.x.org' }], no: [{ host: 'x.net' }] },
  { acl: ['ssl::server_name', '.x.org'], yes: [{ host: '192.0.2.1', serverName: 'a.x.org' }, { host: '192.0.2.1', certificateNames: ['x.net', 'a.x.org'] }, { host: '192.0.2.1', certificateNames: ['.x.org'] }], no: [{ host: 'a.x.org', serverName: 'x.net' }, { host: 'x.net', certificateNames: ['a.x.org'] }, { serverName: 'x.net', certificateNames: ['a.x.org'] }] },
  { acl: ['ssl::server_name', 'none'], yes: [{}], no: [{ host: 'x.net' }, { serverName: 'x.net' }] },
  { acl: ['connections_encrypted'], yes: [{ encrypted: true, scheme: 'https' }], no: [{}] },
  { acl: ['at_step', 'SslBump2 SslBump3'], yes: [{ step: 2 }, { step: 3 }], no: [{ step: 1 }, {}] },
  { acl: ['at_step', 'SslBump1 SslBump2'], yes: [{}], no: [] },
  { acl: ['at_step', 'SslBump2'], yes: [], no: [{}] },
  { acl: ['transaction_initiator', 'client'], yes: [{}], no: [] },
  { acl: ['transaction_initiator', 'internal'], yes: [], no: [{}] },
  { acl: ['hier_code', 'HIER_NONE'], yes: [{}], no: [] },
  { acl: ['urllogin', '^$'], yes: [], no: [{}] },
  { acl: ['req_header', 'X-Kind ^a,.b$'], yes: [{ fields: view('X-Kind', 'a', 'x-kind', 'b') }], no: [{ fields: view('X-Kind', 'a') }, {}] },
]

test('marks that cannot be are refused, and what can never match is said', () => {
  for (const text of ['0x100000000', '1/2/3', 'ten', '-1', '0x', '08']) {
    expect(remarks(acl('a', 'client_connection_mark', text)), text).toEqual([`fatal: '${text}' is no mark [write MARK or MARK/MASK, each from 0 to 0xffffffff]`])
  }
  expect(remarks(acl('a', 'client_connection_mark', '0x1ff/0xff'))).toEqual(["warning: '0x1ff/0xff' never matches: the mark has bits that are not in its mask"])
})

test('the mark of a connection is asked once, and again after it was changed; whoever the client is taken for', () => {
  let asked = 0
  const facts = factsOf({ clients: { ...named(''), connectionMarkOf: () => ++asked } })
  expect([facts.connectionMark(), facts.connectionMark()]).toEqual([1, 1])
  facts.believe(endpoint('203.0.113.9', 0))
  expect(facts.connectionMark()).toBe(1)
  facts.forgetConnectionMark()
  expect(facts.connectionMark()).toBe(2)
})

describe('types', () => {
  test.each(rows.map(row => [row.acl.join(' '), row] as const))('%s', (_, row) => {
    const [type, ...lines] = row.acl
    for (const facts of row.yes) expect(matches(acl('a', type, ...lines), factsOf(facts)), JSON.stringify(facts)).toBe(true)
    for (const facts of row.no) expect(matches(acl('a', type, ...lines), factsOf(facts)), JSON.stringify(facts)).toBe(false)
  })

  test('of groups: all-of takes all of a line and any of its lines, any-of takes any', () => {
    const { acls, problems } = compileAcls([
      acl('get', 'method', 'GET'),
      acl('web', 'port', '80'),
      acl('me', 'src', '192.0.2.1'),
      acl('all2', 'all-of', 'get web', 'me !web'),
      acl('any2', 'any-of', 'get', '!me'),
      acl('nested', 'any-of', 'all2'),
      acl('empty', 'all-of'),
      acl('nothing', 'any-of'),
    ])
    expect(problems).toEqual([])
    const match = (name: string, facts: AccessFacts) => acls.get(name)?.match(facts)
    const cases: [AccessFacts, number, number][] = [
      [factsOf({ method: 'GET', port: 80 }), 1, 1],
      [factsOf({ method: 'GET', port: 81 }), 1, 1],
      [factsOf({ method: 'PUT', port: 80 }), 0, 0],
      [factsOf({ method: 'PUT', port: 81, clientAddress: '192.0.2.2' }), 0, 1],
    ]
    for (const [facts, all2, any2] of cases) {
      expect([match('all2', facts), match('any2', facts), match('nested', facts)]).toEqual([all2, any2, all2])
      expect([match('empty', facts), match('nothing', facts)]).toEqual([1, 0])
    }
  })

  test('a group of something unknown is fatal', () => {
    expect(remarks(acl('g', 'any-of', 'nobody'))).toEqual(['fatal: ACL not found: nobody'])
  })

  test.each([
    ['0.3', 0.3],
    ['.5', 0.5],
    ['1/3', 1 / 3],
    ['3:5', 3 / 8],
  ])('random %s', (value, chance) => {
    const at = (drawn: number) => matches(acl('r', 'random', value), factsOf({}), { random: () => drawn })
    expect([at(0), at(chance - 1e-9), at(chance), at(0.999)]).toEqual([true, true, false, false])
  })
})

describe('time, in local time', () => {
  // 2026-11-20 is a Friday
  const at = (text: string) => factsOf({ now: wallMs(new Date(`2026-11-${text}`).getTime()) })
  test.each([
    ['10:00-11:00', ['20T10:00:00', '21T10:30:00', '20T11:00:59'], ['20T09:59:59', '20T11:01:00']],
    ['F', ['20T00:00:00', '20T23:59:59'], ['19T23:59:59', '21T00:00:00']],
    ['D 08:00-18:00', ['16T08:00:00', '20T18:00:30'], ['21T12:00:00', '22T12:00:00', '20T18:01:00']],
    ['AS 00:00-24:00', ['21T00:00:00', '22T23:59:59'], ['20T12:00:00']],
    ['MTWHF 09:00-10:00 F 20:00-21:00', ['18T09:30:00', '20T20:30:00'], ['18T20:30:00', '21T09:30:00']],
    ['M', ['16T12:00:00'], ['17T12:00:00']],
    ['H T', ['19T12:00:00', '17T12:00:00'], ['18T12:00:00']],
  ])('%s', (value, inside, outside) => {
    for (const text of inside) expect(matches(acl('t', 'time', value), at(text)), text).toBe(true)
    for (const text of outside) expect(matches(acl('t', 'time', value), at(text)), text).toBe(false)
  })

  test('lines are alternatives, and days of one line do not wait for the times of the next', () => {
    const two = acl('t', 'time', 'F', '10:00-11:00')
    expect(matches(two, at('20T23:00:00'))).toBe(true)
    expect(matches(two, at('19T10:30:00'))).toBe(true)
    expect(matches(two, at('19T12:00:00'))).toBe(false)
  })

  test.each([
    ['11:00-10:00', "fatal: aclParseTimeSpec: Reversed time range '11:00-10:00'"],
    ['10:00-24:01', "fatal: aclParseTimeSpec: Bad time range '10:00-24:01'"],
    ['10-11', "fatal: aclParseTimeSpec: Bad time range '10-11'"],
    ['X', "fatal: aclParseTimeSpec: Bad Day 'X'"],
    ['M-F', "warning: 'M-F' is no range of days: it means the days it names"],
  ])('%s: %s', (value, expected) => {
    expect(remarks(acl('t', 'time', value))[0]).toContain(expected)
  })
})

describe('what is wrong with a value is said at its place', () => {
  test.each([
    ['port', '70000', "fatal: '70000' is no port"],
    ['port', '90-80', "fatal: the range '90-80' ends before it begins"],
    ['port', 'http', "fatal: 'http' is no port"],
    ['method', 'G(T', "fatal: 'G(T' cannot be a method"],
    ['method', 'get', "note: method 'get' is read as GET"],
    ['proto', 'gemini', "warning: Ignoring unknown protocol 'gemini' in the ACL named 'a'"],
    ['random', '2', "fatal: '2' is no chance"],
    ['random', '3/2', "fatal: '3/2' is no chance"],
    ['url_regex', 'a\\d', "warning: regex 'a\\d', character 2: \\d is the letter d [did you mean [0-9]?]"],
    ['url_regex', '(a', "error: invalid regex '(a', character 1: '(' is never closed"],
    ['url_regex', '(a)\\1', "warning: regex '(a)\\1' refers back: it is slow, and a text it takes too long for is refused"],
    ['url_regex', '(a{300}){300}', "warning: regex '(a{300}){300}' is very large"],
    ['dstdom_regex', 'a(?=b)', "error: invalid regex 'a(?=b)', character 3: '(?=' is Perl syntax"],
  ])('%s %s: %s', (type, value, expected) => {
    expect(remarks(acl('a', type, value))[0]).toContain(expected)
  })
})

test('the facts of a finished transaction can be asked again', () => {
  const outcome = {
    client: endpoint('192.0.2.1', 1),
    clientLocal: endpoint('198.51.100.1', 80),
    portName: 'lan',
    method: 'GET',
    uri: 'http://x.org:8080/a?b',
    requestFields: view('User-Agent', 'u'),
    startedAt: wallMs(5),
  } as unknown as Outcome // the other fields are not looked at
  expect(factsOfOutcome(outcome)).toMatchObject({
    method: 'GET', scheme: 'http', uri: 'http://x.org:8080/a?b', host: 'x.org', port: 8080, urlPath: '/a?b', portName: 'lan', now: 5,
  })
  expect(factsOfOutcome({ ...outcome, method: 'CONNECT', uri: 'x.org:443' })).toMatchObject({ scheme: '', host: 'x.org', port: 443, urlPath: '' })
  expect(factsOfOutcome({ ...outcome, uri: 'error:invalid-request' })).toMatchObject({ scheme: '', host: '', port: 0, urlPath: '' })
  expect(factsOfOutcome({ ...outcome, uri: 'http://x.org/' })).toMatchObject({ port: 80 })
})
