// What a gateway of Zorp's kind can do, row by row, and the test that shows it. Rows are shown on real kernel rules in network
// namespaces where there is a kernel in it; `tables` are the exact edges, without a kernel. A row whose test has gone, or has
// another name, fails here: the table is to be read, and has to be true.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { home } from './sources.ts'

/** `file: title`, the title as it stands in the source. */
interface Row {
  readonly what: string
  readonly live: readonly string[]
  readonly tables?: readonly string[]
}

const binds = 'test/scenario/binds-gateway.test.ts'
const dispatch = 'test/scenario/dispatch-gateway.test.ts'
const plugs = 'test/scenario/plug-gateway.test.ts'
const rules = 'test/scenario/rules-gateway.test.ts'
const routers = 'test/scenario/routers-gateway.test.ts'
const services = 'test/scenario/services-gateway.test.ts'
const receivers = 'test/scenario/receivers-gateway.test.ts'
const expected = 'test/native/expect.test.ts'

const rows: Readonly<Record<string, Row>> = {
  D1: { what: 'bind to an address and port', live: [`${dispatch}: each address has the service of its listener, and only that`] },
  D2: {
    what: 'bind to an interface, whose addresses are followed',
    live: [`${binds}: an interface is listened on at each of its addresses, and nowhere else`, `${binds}: addresses that come get a listener, those that go lose it`],
  },
  D3: { what: 'bind to a group of interfaces', live: [`${binds}: an interface joins a group and leaves it`] },
  D4: {
    what: 'several on one port, in order',
    live: [`${dispatch}: of two on one port the lower priority number is asked first; what it declines the other gets`, `${expected}: comes before the listener that has the same port of all addresses`],
    tables: ['test/dispatch/dispatcher.test.ts: is offered in the order of priorities, within one to the newest first'],
  },
  D5: {
    what: 'what one declines the next gets; nobody: closed',
    live: [`${dispatch}: of two on one port the lower priority number is asked first; what it declines the other gets`, `${dispatch}: without the other listener what the first declines is closed, and said`],
  },
  D6: { what: 'a refusal is a taking', live: [`${dispatch}: a refusal is a taking: nobody below is asked`] },
  D7: { what: 'related connections, the peer looked at before the place is given away', live: [`${expected}: refuses a third party first, and still serves the expected peer`] },
  D8: {
    what: 'the kernel chooses the port and it is written back',
    live: [`${expected}: holds a place once for two who wait there alike, and chooses ports itself`],
    tables: ['test/comm/expect.test.ts: is one of the range, by chance, never the same for two', 'test/dispatch/dispatcher.test.ts: with port 0 is always a new one, known by the port the kernel chose'],
  },
  D9: { what: 'direct hits', live: [`${services}: whoever connects to the listener itself is turned away`] },
  D10: {
    what: 'one that is thought about keeps nobody waiting',
    live: [`${dispatch}: while one on a port is being thought about, others there are served`],
    tables: ['test/dispatch/listeners.test.ts: keeps nobody else on the port waiting'],
  },
  R1: {
    what: 'the best match of many dimensions, in any order',
    live: [`${rules}: among many connections`, `${rules}: what no other rule wants gets the one that says nothing`],
    tables: ['test/dispatch/rule.test.ts: any set of rules decides as the description says', 'test/dispatch/rule.test.ts: the order of the lines does not matter'],
  },
  R2: { what: 'collisions', live: [], tables: ['test/dispatch/rule.test.ts: of %i rules that say the same the lowest id decides', 'test/dispatch/rule.test.ts: a thousand that collide are told of twenty times'] },
  R3: { what: 'depth of zones', live: [`${rules}: among many connections`], tables: ['test/dispatch/rule.test.ts: the deepest of those above the address'] },
  R4: { what: 'interfaces, groups, ports, IPv6', live: [`${rules}: among many connections`, `${rules}: interfaces may change their group while it runs`, `${receivers}: by which interface the first came counts for rules, $family`] },
  R5: { what: 'explain', live: [`${rules}: by $by, as explain says beforehand`], tables: ['test/cli/explain-tuple.test.ts: tells the rule, its score, the service, the zones up to their topmost, and what else matches'] },
  R6: {
    what: 'reload',
    live: ['test/fault/gateway-servers.test.ts: a conf that is read again and again while a thousand connections pass costs none of them, nor memory'],
    tables: ['test/scenario/rules.test.ts: of the rules again and again costs none of a thousand connections', 'test/load/sessions.test.ts: none of 1,000 is lost while the conf is loaded again and again'],
  },
  R7: {
    what: 'denying by reset and by ICMP',
    live: ['%s', 'all of a listener, by TPROXY and by NAT', 'what the kernel cannot be told the proxy denies, and that is said'].map(title => `test/scenario/deny-gateway.test.ts: ${title}`),
    tables: ['test/scenario/plug.test.ts: kind=%s'],
  },
  R8: { what: 'forwarding by the kernel', live: ['%s, %s port %i %s: the kernel passes it, address and port as they were', 'what the kernel cannot be told the proxy passes on in the client’s name, and that is said'].map(title => `test/scenario/forward-gateway.test.ts: ${title}`) },
  Z1: { what: 'longest prefix', live: [`${rules}: among many connections`], tables: ['test/acl/zone.test.ts: nested networks', 'test/acl/zone.test.ts: agrees with a search through all of them'] },
  Z2: { what: 'zones are administered by zones', live: [`${rules}: among many connections`], tables: ['test/acl/zone.test.ts: is by parents and not by networks'] },
  Z3: { what: 'services of zones, umbrella', live: [], tables: ['test/acl/zone.test.ts: an umbrella stops inheritance for its own children, too', 'test/scenario/rules.test.ts: in a zone whose inbound= does not name the service cannot be reached'] },
  Z4: { what: 'zones of host names', live: [`${rules}: a zone of a host name follows it`], tables: ['test/acl/zone.test.ts: are asked again when their records run out, and follow them'] },
  Z5: { what: 'zones of targets, after NAT', live: [`${routers}: may not be another than the service says`, `${routers}: counts, and not where the client was going`] },
  X1: {
    what: 'transparent, directed, in-band routers; who may choose',
    live: [`${routers}: transparent with forced_port goes to another port of where the client was going`, `${routers}: directed goes to the first of its servers, wherever the client was going`, `${routers}: directed has the last word for http: Host is the name of a site there; where it may not choose, choosing is refused`],
    tables: ['test/router/router.test.ts: refuses aloud a hint that names another server, when the protocol may not choose'],
  },
  X2: { what: 'the client’s address', live: [`${services}: a plug, $family by $way`] },
  X3: {
    what: 'the client’s port',
    live: ['any: the client’s address, a port of the kernel’s choice', 'exact: the client’s port', 'group: the client’s port while it is free', 'random: another port of the same class', 'a number: that port', 'the same port of two clients, in our name: exact fails cleanly, group takes another of its class'].map(title => `${routers}: ${title}`),
  },
  X4: { what: 'forced_port', live: [`${routers}: transparent with forced_port goes to another port of where the client was going`] },
  C1: {
    what: 'failover, round robin',
    live: [`${routers}: failover goes on where a server refuses, and does not ask it again for a while`, `${routers}: failover gives up after two rounds when nobody is there`, `${routers}: round_robin shares sessions out`],
    tables: ['test/chainer/course.test.ts: ends after timeout_state and a little more, counted from the first failure'],
  },
  C2: { what: 'who failed is known by address, port and protocol', live: [`${plugs}: a dead port says nothing of the other port of that host, for other services as well`], tables: ['test/chainer/course.test.ts: knows protocols: what is down for streams may answer datagrams'] },
  C3: { what: 'checks', live: [`${routers}: availability leaves out a server that is down before any client has met it`] },
  C4: {
    what: 'two families at once; a denied target is passed over',
    live: [`${plugs}: a server whose IPv6 goes nowhere is reached by IPv4, long before connect_timeout`, `${routers}: that is denied is passed over, and the next target asked`],
    tables: ['test/chainer/course.test.ts: is asked by the second after a quarter of a second, and the first that connects wins'],
  },
  C5: { what: 'a proxy beside a proxy', live: [`${plugs}: sideways through a second proxy: the bytes are the same, and the server hears the client`], tables: ['test/scenario/stack.test.ts: http behind plug, and http beside http: requests are answered, and from the cache'] },
  C6: { what: 'datagrams here, a stream there', live: [`${plugs}: datagrams to a server that has a stream: messages with their length there, the answer from its address`], tables: ['test/scenario/plug-framing.test.ts: each message is a datagram without its length, however the stream is cut'] },
  N1: { what: 'NAT policies', live: [`${rules}: SNAT: N:M keeps the host part`], tables: ['test/chainer/nat.test.ts: the first line that matches decides', 'test/chainer/nat.test.ts: static gives its port where it has one'] },
  N2: { what: 'one decision for one address', live: [`${rules}: SNAT by chance: one address for one client`], tables: ['test/chainer/nat.test.ts: one client gets one address a hundred times, the next one another', 'test/chainer/nat.test.ts: SNAT and DNAT by one policy decide apart, and ports stay their own'] },
  N3: { what: 'NAT64', live: [`${rules}: NAT64: an IPv6 client and a server that has IPv4 alone`], tables: ['test/chainer/nat.test.ts: %s: %s'] },
  K1: { what: 'programs and their verdicts', live: [`${plugs}: a program refuses before the server has got a byte, and lets the rest pass`], tables: ['test/scenario/stack.test.ts: %s, before a byte has reached the server', 'test/scenario/stacked-content.test.ts: a refusal before the first byte is an answer of ours; what is well passes, and HEAD has nothing to look at'] },
  T1: { what: 'detectors', live: [`${dispatch}: a detector knows %s by its first bytes, and they arrive`], tables: ['test/dispatch/detect.test.ts: a hello of OpenSSL, cut anywhere, in segments and in records', 'test/scenario/rules.test.ts: wait for the rest of a first line'] },
  L1: { what: 'sessions of a service', live: [`${plugs}: max_sessions: one more is turned away; when the first has left there is room`], tables: ['test/load/sessions.test.ts: 10,000 of them leave no slot taken, no descriptor open and no entry behind'] },
  L2: { what: 'limits of clients, zones and bandwidth', live: [`${plugs}: max_sessions_per_client: each client has its own`], tables: ['test/scenario/plug-limits.test.ts: of a client: its sessions share, another client has its own', 'test/service/limits.test.ts: of a zone is for each zone; who is in none is not counted'] },
  G1: {
    what: 'plug',
    live: [`${plugs}: each half ends by itself, and the record counts what the client counted`, `${plugs}: a session in which nothing moves ends after idle_timeout`],
    tables: ['test/load/plug.test.ts: arrives whole at both ends at once', 'test/scenario/plug-limits.test.ts: one_way=to_server: the client hears nothing but the end', 'test/scenario/plug-limits.test.ts: stats_interval: tells its bytes while it runs'],
  },
  U1: { what: 'answers come from where the client had sent to', live: [`${receivers}: $family, $what: answers come from the server’s address, the server sees $source`] },
  U2: { what: 'a burst is one session', live: [`${receivers}: a burst of 100 before the first answer, to port %i: one flow, all of it, in order`] },
  U3: { what: 'bounds and quiet times', live: [`${receivers}: a flood with invented sources: what runs goes on, memory and descriptors stay bounded`], tables: ['test/contract/datagrams.ts: a datagram either way begins the time anew'] },
  U4: { what: 'datagrams of any size', live: [`${receivers}: empty, fragmented and the largest, $family`] },
  U5: { what: 'no cross-talk', live: [`${receivers}: two destinations from one port are two flows, and do not mix`, `${receivers}: a thousand flows at once, each answered, and nothing is left of them`] },
  Q1: { what: 'secondary sessions', live: [`${plugs}: secondary_mask=0xC: what goes to the same server is one instance, up to the limit`], tables: ['test/scenario/plug-limits.test.ts: mask $mask: $wanted instances for four connections', 'test/scenario/plug-limits.test.ts: one more than the limit begins a new instance, and an ended one makes room'] },
  O1: { what: 'a record per session', live: [`${plugs}: each half ends by itself, and the record counts what the client counted`, `${rules}: by $by`] },
  O2: { what: 'an operator ends a session', live: [`${plugs}: the operator sees a session and ends it, with the command line`] },
  O3: {
    what: 'several processes',
    live: ['test/cli/workers.test.ts: serve as one: shares, sums, invalidations, purges, logs, reloads', 'test/fault/gateway-servers.test.ts: loses with a worker that is killed the connections of that worker, and no others'],
  },
  // what TPROXY 2 kept a table for, on today's kernel
  I1: { what: 'who waits comes before the administrator’s rules', live: [`${expected}: wins over a rule of the administrator’s that matches; when it is closed the rule has the port again`] },
  I2: { what: 'afterwards the real host answers', live: [`${expected}: is gone after one, after its time, and after close: the real host answers, or refuses`] },
  I3: { what: 'a killed process leaves nothing', live: [`${expected}: leaves nothing behind a process that is killed`, `${expected}: is a lease: a killed process leaves what runs out, and the next one takes it away at once`] },
  I4: { what: 'thousands at once', live: [`${expected}: are sockets while they are, and none after`] },
  I5: { what: 'for one peer only', live: [`${expected}: refuses a third party first, and still serves the expected peer`, `${expected}: wins over the administrator’s rule, for the expected peer alone; then the rule has the port again`] },
  I6: { what: 'IPv6 as well', live: [`${expected}: a connection that is waited for, %s \${why ?? ''}`] },
  I7: { what: 'a listener on all addresses is not reached through foreign ones', live: [`${expected}: does not open a listener on all addresses to foreign ones`] },
}

const ids = [
  ...Array.from({ length: 10 }, (_, i) => `D${i + 1}`), ...Array.from({ length: 8 }, (_, i) => `R${i + 1}`),
  ...Array.from({ length: 5 }, (_, i) => `Z${i + 1}`), 'X1', 'X2', 'X3', 'X4', 'C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'N1', 'N2', 'N3',
  'K1', 'T1', 'L1', 'L2', 'G1', 'U1', 'U2', 'U3', 'U4', 'U5', 'Q1', 'O1', 'O2', 'O3', ...Array.from({ length: 7 }, (_, i) => `I${i + 1}`),
]

const sources = new Map<string, string>()
const sourceOf = (file: string): string => {
  const known = sources.get(file)
  if (known !== undefined) return known
  const path = join(home, file)
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  sources.set(file, text)
  return text
}

/** Whether the title begins a test or a group of tests there: it follows `(` and a quotation mark. */
const stands = (entry: string): boolean => {
  const at = entry.indexOf(': ')
  const [file, title] = [entry.slice(0, at), entry.slice(at + 2)]
  const text = sourceOf(file)
  return ["'", '"', '`'].some(mark => text.includes(`(${mark}${title}${mark}`) || text.includes(`\n    ${mark}${title}${mark}`))
}

it('every row is shown by a test that is there', () => {
  const gone = Object.entries(rows).flatMap(([id, { live, tables = [] }]) => [...live, ...tables].filter(entry => !stands(entry)).map(entry => `${id} ${entry}`))
  expect(gone).toEqual([])
  expect(Object.keys(rows).sort()).toEqual([...ids].sort())
})

it('what is live runs in namespaces', () => {
  const files = new Set(Object.values(rows).flatMap(({ live }) => live.map(entry => entry.slice(0, entry.indexOf(': ')))))
  expect([...files].filter(file => !/openNetwork|withLab|withNetwork|unshare|support\/gateway/.test(sourceOf(file)))).toEqual([])
  for (const [id, { live, tables = [] }] of Object.entries(rows)) expect(live.length + tables.length, id).toBeGreaterThan(0)
})

it('a title that stands nowhere is noticed', () => {
  expect(stands(`${rules}: among many connections`)).toBe(true)
  expect(stands(`${rules}: among many`)).toBe(false)
  expect(stands('test/none.test.ts: among many connections')).toBe(false)
})
