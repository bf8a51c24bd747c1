import { type Bytes, bytes, type DurationMs, type Endpoint, ms } from '../../base/index.ts'
import type {
  ChainerConfig, CheckConfig, ForgePort, ListenerConfig, NamedLine, NameUse, ReceiverConfig, RouterConfig,
  ServiceConfig, ServiceKind, StackConfig, TakingConfig,
} from '../config.ts'
import type { Line, Word } from '../line.ts'
import { portNumber, readServer, wholeNumber } from '../values.ts'
import { bindGrammar, bindLimits, readBind } from './bind.ts'
import { works } from './directive.ts'
import { count, lines } from './kinds.ts'
import { named, properName, readChoice, readName, refused } from './named.ts'
import {
  choiceOption, nameOption, namesOption, numberOption, onOffOption, type OptionReader, type OptionReaders, readOptions,
  textOption, timeOption,
} from './options.ts'

// What takes connections, and what becomes of them: listener, service, router, chainer, stack. A service is a proxy, a
// router and a chainer under one name; a listener (or a rule) says which service a connection gets. Names know no case,
// and may be used above the line that defines them.

type Writable<T> = { -readonly [K in keyof T]: T[K] }

const proxies: readonly ServiceKind[] = ['http', 'plug', 'deny', 'forward']

// --- router ---

const forgePort: OptionReader<ForgePort> = (line, { name, value, word }) => {
  if (value === 'any' || value === 'group' || value === 'exact' || value === 'random') return value
  const port = portNumber(value)
  if (port !== null && port > 0) return port
  return refused(line, word, `${name} is any, group, exact, random or a port, got '${value}'`)
}

const forcedPort = numberOption(1, 65535)

const routerLine = (line: Line): RouterConfig | undefined => {
  const name = readName(line, 'NAME KIND')
  const kind = name === undefined ? undefined : readChoice(line, 'kind of router', ['transparent', 'directed', 'inband'] as const)
  if (name === undefined || kind === undefined) return undefined
  const targets = kind === 'directed' ? readTargets(line) : []
  const into = { forcedPort: 0, forgeAddr: false, forgePort: 'any' as ForgePort, overridable: kind === 'inband' }
  const common = {
    forgeAddr: { name: 'forge_addr', read: onOffOption },
    forgePort: { name: 'forge_port', read: forgePort },
  }
  if (kind === 'inband') readOptions(line, into, common)
  else {
    readOptions(line, into, {
      ...common,
      overridable: { name: 'overridable', read: onOffOption },
      ...(kind === 'transparent' ? { forcedPort: { name: 'forced_port', read: forcedPort } } : undefined),
    })
  }
  if (targets === undefined) return undefined
  return { ...named(line, name, []), kind, targets, ...into }
}

/** More than can be tried are a slip. */
const targetsMax = 64

const readTargets = (line: Line): readonly Endpoint[] | undefined => {
  const targets: Endpoint[] = []
  for (let word = line.peek(); word !== null && !word.text.includes('='); word = line.peek()) {
    line.next()
    const target = readServer(word.text, 0)
    if (!target.ok) return refused(line, word, target.message, 'write ADDRESS:PORT')
    if (target.value.port === 0) return refused(line, word, `a port is missing: ${word.text}`, `write ${word.text}:PORT`)
    targets.push(target.value)
  }
  if (targets.length === 0) return refused(line, null, 'directed needs ADDRESS:PORT ...')
  if (targets.length > targetsMax) return refused(line, null, `${targets.length} targets are too many, at most ${targetsMax}`)
  return targets
}

// --- chainer ---

const checks: OptionReader<readonly CheckConfig[]> = (line, { name, value, word }) => {
  const found: CheckConfig[] = []
  for (const text of value.split(',')) {
    if (text === 'tcp') found.push({ kind: 'tcp' })
    else if (text.startsWith('http:/')) found.push({ kind: 'http', path: text.slice('http:'.length) })
    else if (text.startsWith('program:/')) found.push({ kind: 'program', path: text.slice('program:'.length) })
    else return refused(line, word, `${name} is tcp, http:/PATH or program:/PATH, with commas between several, got '${text}'`)
  }
  return found
}

const chainerKinds = ['connect', 'multi_target', 'failover', 'round_robin', 'availability', 'side_stack'] as const

const chainerLine = (line: Line): ChainerConfig | undefined => {
  const name = readName(line, 'NAME KIND')
  const kind = name === undefined ? undefined : readChoice(line, 'kind of chainer', chainerKinds)
  if (name === undefined || kind === undefined) return undefined
  const uses: NameUse[] = []
  const into: Writable<Omit<ChainerConfig, keyof NamedLine | 'kind'>> = {
    protocol: 'auto',
    framing: 'none',
    timeoutConnect: null,
    timeoutState: ms(60_000),
    checks: [{ kind: 'tcp' }],
    checkInterval: ms(10_000),
    checkTimeout: ms(5000),
    rightProxy: null,
    rightChainer: 'connect',
  }
  const stateful = kind === 'failover' || kind === 'round_robin'
  readOptions(line, into, {
    protocol: { name: 'protocol', read: choiceOption('auto', 'tcp', 'udp') },
    framing: { name: 'framing', read: choiceOption('none', 'dns') },
    timeoutConnect: { name: 'timeout_connect', read: timeOption('refused') },
    ...(stateful ? { timeoutState: { name: 'timeout_state', read: timeOption('refused') } } : undefined),
    ...(kind === 'availability'
      ? {
          checks: { name: 'check', read: checks },
          checkInterval: { name: 'interval', read: timeOption('refused') },
          checkTimeout: { name: 'timeout', read: timeOption('refused') },
        }
      : undefined),
    ...(kind === 'side_stack'
      ? {
          rightProxy: { name: 'right', read: choiceOption('http', 'plug', 'deny') },
          rightChainer: { name: 'right_chainer', read: nameOption('chainer', uses) },
        }
      : undefined),
  })
  if (into.framing !== 'none' && into.protocol === 'auto') {
    line.warning(`${line.name}: framing=${into.framing} is for where servers are spoken to in another protocol than clients`, null, 'write protocol=tcp or protocol=udp')
  }
  if (kind === 'side_stack' && into.rightProxy === null) return refused(line, null, 'side_stack needs right=PROXY')
  return { ...named(line, name, uses), kind, ...into }
}

// --- service ---

const denyKinds = choiceOption(
  'reset', 'close', 'drop', 'tcp_reset', 'net_unreachable', 'host_unreachable', 'port_unreachable', 'admin_prohibited',
)
const sessionsMax = numberOption(0, 0x7fffffff)

/** null: 0, no limit. */
const rateOption: OptionReader<number | null> = (line, { name, value, word }) => {
  const found = /^(\d{1,9})(bit|kbit|mbit|gbit|b|kb|mb|gb)?\/s$/i.exec(value)
  const unit = rateUnits[found?.[2]?.toLowerCase() ?? 'b']
  if (value === '0') return null
  if (found === null || unit === undefined) {
    return refused(line, word, `${name} is bytes or bits per second, got '${value}'`, 'write 500KB/s or 10Mbit/s')
  }
  const bytes = Number(found[1]) * unit
  if (bytes >= 1000 && bytes <= 125e9) return bytes
  return refused(line, word, `${name} is from 1000B/s to 1000Gbit/s, got '${value}'`, 'the first bytes of a session take a packet or two at once')
}

/** Bytes. Bits come in thousands, as networks count them; so do the bytes here. */
const rateUnits: Readonly<Record<string, number>> = {
  b: 1, kb: 1000, mb: 1e6, gb: 1e9, bit: 1 / 8, kbit: 125, mbit: 125_000, gbit: 125e6,
}

/** Four bits, in hex as Zorp's documents write them, or decimal. */
const maskOption: OptionReader<number> = (line, { name, value, word }) => {
  if (/^(?:0x[0-9a-f]|1[0-5]|[0-9])$/i.test(value)) return Number(value)
  return refused(line, word, `${name} is from 0x0 to 0xF, got '${value}'`, '1 source address, 2 source port, 4 destination address, 8 destination port')
}

const serviceLine = (line: Line): ServiceConfig | undefined => {
  const name = readName(line, 'NAME PROXY')
  const proxy = name === undefined ? undefined : readChoice(line, 'proxy', proxies)
  if (name === undefined || proxy === undefined) return undefined
  const uses: NameUse[] = []
  const into: Writable<Omit<ServiceConfig, keyof NamedLine | 'proxy'>> = {
    router: 'transparent',
    chainer: 'connect',
    snat: null,
    dnat: null,
    limitTargetZones: [],
    sessionsMax: 0,
    sessionsPerClientMax: 0,
    sessionsPerZoneMax: 0,
    keepalive: 'none',
    denyKind: 'reset',
    idleTimeout: ms(15 * 60_000),
    stack: null,
    oneWay: 'no',
    bandwidth: null,
    bandwidthPerClient: null,
    bandwidthPerZone: null,
    statsInterval: ms(Number.POSITIVE_INFINITY),
    secondarySessions: 0,
    secondaryMask: 0xf,
  }
  // what the kernel forwards nobody changes or counts
  readOptions(line, into, proxy === 'forward' ? {} : {
    router: { name: 'router', read: nameOption('router', uses) },
    chainer: { name: 'chainer', read: nameOption('chainer', uses) },
    snat: { name: 'snat', read: nameOption('nat_policy', uses) },
    dnat: { name: 'dnat', read: nameOption('nat_policy', uses) },
    limitTargetZones: { name: 'limit_target_zones', read: namesOption('zone', uses) },
    sessionsMax: { name: 'max_sessions', read: sessionsMax },
    sessionsPerClientMax: { name: 'max_sessions_per_client', read: sessionsMax },
    sessionsPerZoneMax: { name: 'max_sessions_per_zone', read: sessionsMax },
    keepalive: { name: 'keepalive', read: choiceOption('none', 'client', 'server', 'both') },
    ...(proxy === 'deny' ? { denyKind: { name: 'kind', read: denyKinds } } : undefined),
    ...(proxy === 'plug'
      ? {
          idleTimeout: { name: 'idle_timeout', read: timeOption('forever') },
          stack: { name: 'stack', read: nameOption('stack', uses) },
          oneWay: { name: 'one_way', read: choiceOption('no', 'to_server', 'to_client') },
          bandwidth: { name: 'bandwidth', read: rateOption },
          bandwidthPerClient: { name: 'bandwidth_per_client', read: rateOption },
          bandwidthPerZone: { name: 'bandwidth_per_zone', read: rateOption },
          statsInterval: { name: 'stats_interval', read: timeOption('forever') },
          secondarySessions: { name: 'secondary_sessions', read: numberOption(0, 65535) },
          secondaryMask: { name: 'secondary_mask', read: maskOption },
        }
      : undefined),
  })
  return { ...named(line, name, uses), proxy, ...into }
}

// --- stack ---

const stackLine = (line: Line): StackConfig | undefined => {
  const name = readName(line, 'NAME proxy=PROXY|program="COMMAND"')
  if (name === undefined) return undefined
  const into: Writable<Omit<StackConfig, keyof NamedLine>> = {
    proxy: null,
    program: null,
    direction: 'both',
    timeout: ms(60_000) as DurationMs,
  }
  readOptions(line, into, {
    proxy: { name: 'proxy', read: choiceOption('http', 'plug', 'deny') },
    program: { name: 'program', read: textOption },
    direction: { name: 'direction', read: choiceOption('both', 'to_server', 'to_client') },
    timeout: { name: 'timeout', read: timeOption('forever') },
  })
  if ((into.proxy === null) === (into.program === null)) return refused(line, null, 'a stack is either proxy=PROXY or program="COMMAND"')
  return { ...named(line, name, []), ...into }
}

// --- listener ---

type Taking = Writable<Omit<TakingConfig, keyof NamedLine | 'bind' | 'taken'>> & {
  name: string
  rules: boolean
  taken: TakingConfig['taken'] | null
}

type Own<T extends TakingConfig> = Writable<Omit<T, keyof TakingConfig>>

const takenBy =
  (taken: TakingConfig['taken']) =>
  (into: Taking, line: Line, word: Word): void => {
    if (into.taken !== null && into.taken !== taken)
      refused(line, word, `one of ${into.taken} and ${taken}, not both`, 'write one line for each, with a port of its own')
    into.taken = taken
  }

const listenerName: OptionReader<string> = (line, { value, word }) =>
  properName.test(value) ? value : refused(line, word, `'${value}' is no proper name`)

/** Everything of such a line; `own` is what it has beyond the others. */
const takingLine = <T extends TakingConfig>(
  line: Line,
  ways: readonly TakingConfig['taken'][],
  own: Own<T>,
  options: OptionReaders<Own<T>>,
): (TakingConfig & Own<T>) | undefined => {
  const place = line.next()
  if (place === null) return refused(line, null, `needs ${bindGrammar} service=NAME|rules`)
  const bind = readBind(place, line)
  const uses: NameUse[] = []
  const into: Taking & Own<T> = { taken: null, service: null, rules: false, priority: 100, name: place.text, ...own }
  const common: OptionReaders<Taking> = {
    service: { name: 'service', read: nameOption('service', uses) },
    name: { name: 'name', read: listenerName },
    priority: { name: 'priority', read: numberOption(-1000, 1000) },
  }
  readOptions<Taking & Own<T>>(line, into, { ...common, ...options } as OptionReaders<Taking & Own<T>>, {
    ...Object.fromEntries(ways.map(way => [way, takenBy(way)])),
    rules: listening => {
      listening.rules = true
    },
  })
  if (bind === null) return undefined
  if (into.rules === (into.service !== null)) return refused(line, null, 'says either service=NAME or rules')
  const { rules: _, taken, ...rest } = into
  const read = { ...rest, ...named(line, into.name, uses), bind, taken: taken ?? 'direct' }
  return read as typeof read & Own<T> // `rest` has what `own` had: the compiler cannot tell of a type it does not know
}

const listenerLine = (line: Line): ListenerConfig | undefined =>
  takingLine<ListenerConfig>(line, ['tproxy', 'intercept', 'direct'], { backlog: 4096 }, {
    backlog: { name: 'backlog', read: numberOption(1, 65535) },
  })

// --- receiver ---

/** What one address may take of the flows, if not told otherwise: clients behind one NAT are many. */
const flowsMax = 16_384
const flowsPerClientMax = 4096

/** Redirecting has no look-up for datagrams (SO_ORIGINAL_DST is TCP's), so there is no intercept here. */
const receiverLine = (line: Line): ReceiverConfig | undefined =>
  takingLine<ReceiverConfig>(line, ['tproxy', 'direct'], { idleTimeout: null, flowsMax, flowsPerClientMax, bufferBytes: bytes(1024 * 1024) }, {
    idleTimeout: { name: 'idle_timeout', read: timeOption('refused') },
    flowsMax: { name: 'flows_max', read: numberOption(1, 1_000_000) },
    flowsPerClientMax: { name: 'flows_per_client', read: numberOption(1, 1_000_000) },
    bufferBytes: { name: 'rcvbuf', read: bufferOption },
  })

const bufferOption: OptionReader<Bytes> = (line, { name, value, word }) => {
  const number = wholeNumber(value)
  if (number !== null && number >= 4096 && number <= 1024 * 1024 * 1024) return bytes(number)
  return refused(line, word, `${name} is bytes from 4096 to 1073741824, got '${value}'`)
}

// --- the table ---

export const serviceDirectives = {
  listener: works(
    lines(`${bindGrammar} service=NAME|rules [tproxy|intercept|direct] [options]`, listenerLine, bindLimits),
    `Where connections of any protocol are taken. What comes gets the service named, or with "rules" the one of the best
matching rule line. tproxy and intercept say how the kernel brings connections here, as for http_port; whoever connects
to such a port itself is turned away. Without them the port is for clients that know of it.

iface:NAME:PORT listens at each address the interface has, IPv4 and IPv6, and follows them as they come and go, without
a restart; group:NAME:PORT does so for every interface in the group (a name of /etc/iproute2/group, or its number).
FIRST-LAST instead of PORT is one listener on each port. Where the addon does not load, changes are seen within five
seconds.

name=NAME is its name for the log (the address as written, if not given). priority=N: of several who listen at the same
place the one with the lowest number is asked first. backlog=N: connections the kernel keeps until they are taken.`,
    {
      reload: 'new connections',
      example: 'service everything plug\nlistener 3130 tproxy service=everything\nlistener 127.0.0.1:2525 service=everything name=local\nlistener iface:eth1:8000-8003 service=everything',
    },
  ),
  receiver: works(
    lines(`${bindGrammar} service=NAME|rules [tproxy|direct] [options]`, receiverLine, bindLimits),
    `Where UDP datagrams are taken: as listener. The datagrams of one client to one destination are one flow, and a flow
is to services what a connection is. Answers come from the address the client had sent to. Each flow has a socket towards
its server, so they count against the descriptors.

idle_timeout=TIME: a flow that was quiet for so long has ended. Without it the destination's port decides: DNS (53) half a
second after its last answer or ten seconds without one, NTP (123) one and ten, RADIUS thirty, all others a minute, or
thirty seconds without any answer. flows_max=N and flows_per_client=N: flows at once; when the receiver has as many, those
without an answer make room after a second, and what finds no room is dropped. rcvbuf=BYTES: how much the kernel keeps
until it is read.`,
    { reload: 'new connections', example: 'service names plug\nreceiver 3153 tproxy service=names flows_per_client=500' },
  ),
  service: works(
    lines('NAME http|plug|deny|forward [options]', serviceLine),
    `What is done with connections, under one name: which proxy speaks with the client, which router says where to,
which chainer goes there.

http is this proxy with its cache; plug passes bytes both ways; deny refuses; forward leaves it to the kernel.

router=NAME, chainer=NAME: lines of that name, or the built-in routers "transparent" and "inband" and the chainer
"connect". snat=NAME and dnat=NAME: nat_policy lines for the source and the destination of connections to servers.
limit_target_zones=ZONE,...: servers must be in one of these zones, after dnat. max_sessions=N,
max_sessions_per_client=N, max_sessions_per_zone=N (the client's): sessions at once; more are refused, 0 is no limit.
keepalive=none|client|server|both: where the kernel asks whether the other side is still there.

plug: idle_timeout=TIME (of datagrams the receiver's), stack=NAME. one_way=to_server|to_client: what goes the other way
is thrown away, only its end is passed on. bandwidth=RATE, bandwidth_per_client=RATE, bandwidth_per_zone=RATE: bytes per
second each way of a session, of all sessions of a client's address, of its zone (500KB/s, 10Mbit/s; counted in thousands);
a quarter of a second's worth may pass at once. stats_interval=TIME: so often a running session tells its bytes in
cache_log (section 103).

secondary_sessions=N: a session takes up to N connections more that are like its first one, each with its own connection
to the server; secondary_mask=MASK says what must be alike: 0x1 source address, 0x2 source port, 0x4 destination address,
0x8 destination port. Others, and those beyond N, begin a session of their own.

deny: kind=reset|close: a connection is taken and then reset or ended. With the other kinds the kernel refuses, as the host
or a router on the way would, before anything is taken: drop (in silence), tcp_reset, and by ICMP of either family
net_unreachable, host_unreachable, port_unreachable, admin_prohibited. "glassquid rules nft" makes the kernel rules for
it, where all of a listener's connections are denied, and for those rule lines that speak of nothing but proto, src, dst,
src_port, dst_port, src_iface and src_group and that no other rule line can come before; it tells of those it leaves to the
proxy, which resets connections and drops datagrams.

forward has no options: "glassquid rules nft" lets pass by what it can be told of, as for deny, so it is routed as if there
were no proxy, and no session is known of it. What is left to the proxy it passes on like a plug, with the client's address.`,
    {
      reload: 'new connections',
      example: 'router outside transparent forge_addr=on\nservice everything plug router=outside max_sessions_per_client=100',
    },
  ),
  max_sessions: works(
    count(),
    'Sessions of all services together; 0 is no limit. Whoever comes when there are as many is turned away.',
    { default: '0', reload: 'new connections' },
  ),
  router: works(
    lines('NAME transparent|inband [options], or NAME directed ADDRESS:PORT ... [options]', routerLine),
    `Where a session of a service goes. transparent: to where the client was going, on another port with forced_port=N.
directed: to these servers. inband: to where the protocol says.

forge_addr=on: servers see the client's address. forge_port: which port they see: any (the kernel's choice), group (the
client's, or another of its class if it is taken; classes are 1-513, 514-1024 and 1025-65535), exact (the client's; if it
is taken, the connection fails), random (any of the client's class), or a number.

overridable=on: the protocol may name another server. Otherwise what it names must be the router's target, or the
session is refused.`,
    {
      reload: 'new connections',
      example: 'router outside transparent forge_addr=on forge_port=group\nrouter mail directed 192.0.2.25:25 192.0.2.26:25',
    },
  ),
  chainer: works(
    lines('NAME connect|multi_target|failover|round_robin|availability|side_stack [options]', chainerLine),
    `How the router's targets are reached. connect: the first one. multi_target: all in turn, beginning with another one
each time. failover: in the order given, passing over those that failed less than timeout_state ago. round_robin: the
same, beginning with another one each time. availability: those whose checks succeed. side_stack: by way of another
proxy.

When all have failed, failover and round_robin forget who had failed and try each once more before they give up. By
datagrams everybody can be reached; a server has failed when its host says that nobody is there, or, for DNS, NTP and
RADIUS, when a flow ended without any answer. The next flow goes to the next server.

timeout_connect=TIME is for one try. check=tcp|http:/PATH|program:/PATH,..., interval=TIME, timeout=TIME: a target is
up when every check succeeds within the time; a program gets --timeout SECONDS ADDRESS PORT and answers by its exit
code. right=PROXY right_chainer=NAME: the proxy on the server's side of a side_stack. protocol=tcp|udp and framing=dns:
towards servers another protocol than the client's.`,
    {
      reload: 'new connections',
      example: 'chainer both failover timeout_state=30s timeout_connect=5s',
    },
  ),
  stack: works(
    lines('NAME proxy=PROXY | NAME program="COMMAND" [options]', stackLine),
    `What the bytes of a plug go through on their way: another proxy (proxy=http|plug|deny), which then speaks with the
server, or a program, run by /bin/sh.

A program has the client's side at descriptor 0 and the server's at 1, both as sockets: with direction=both it passes
bytes on in either direction; with to_server or to_client it reads on 0 what goes that way and writes it on 1, and the
other way does not concern it. On descriptor 3 it may say, on a line of its own, SETVERDICT accept, reject, drop or error,
with a reason behind it; until then, or until its first byte, nothing has been passed on. A program that ends with an
error, or says nothing for timeout=TIME in the beginning, costs its session and nobody else's. It finds
GLASSQUID_SESSION, _SERVICE, _CLIENT, _DESTINATION and _SERVER in its environment.

With adaptation_access the content of HTTP messages goes through a program, each message through one of its own: it reads
the content on 0 until its end and writes what is to go on, and be stored, on 1. Nothing of the message has gone on before
its first byte: a refusal until then is answered with 403. Content is shown as it travels: compressed it is not unpacked, and
of a range the program sees the range (request_header_access Accept-Encoding and Range say what clients may ask for).
GLASSQUID_MESSAGE (request or response), _METHOD, _URI and _HEAD tell what it looks at.`,
    {
      reload: 'new connections',
      example: 'stack scanner program="/usr/local/bin/scan --quick" direction=to_client\nacl pages rep_mime_type ^text/html\nadaptation_access scanner allow pages',
    },
  ),
}
