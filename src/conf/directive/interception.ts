import { mib } from '../../base/index.ts'
import type { FlowsLine, RelatedConnections } from '../config.ts'
import type { Line } from '../line.ts'
import { nearest } from '../nearest.ts'
import { portNumber, readAddress, wholeNumber } from '../values.ts'
import { accessList, valueList } from './access.ts'
import { type Kind, later, works } from './directive.ts'
import { kept, lines, needWord, onOff, size, take, word } from './kinds.ts'

/** A number as C writes it, within `max`. */
const markOf =
  (what: string, max: number) =>
  (line: Line): number | undefined => {
    const word = needWord(line, what)
    if (word === undefined) return undefined
    const number = wholeNumber(word.text)
    if (number !== null && number >= 0 && number <= max) return number
    line.fatal(`${line.name}: expecting ${what} from 0 to 0x${max.toString(16)}, got '${word.text}'`, word)
    return undefined
  }

const readTos = (line: Line): number | undefined => {
  const at = line.peek()
  const tos = markOf('a TOS', 0xff)(line)
  if (tos === undefined || (tos & 3) === 0) return tos
  // RFC 3168: the two lowest bits belong to ECN and the kernel
  line.warning(
    `${line.name}: the lowest two bits of a TOS are the kernel's, 0x${tos.toString(16)} is read as 0x${(tos & 0xfc).toString(16)}`,
    at,
  )
  return tos & 0xfc
}

/** `MARK` or `MARK/MASK`. */
const readMark = (line: Line): { readonly value: number; readonly mask: number } | undefined => {
  const word = needWord(line, 'MARK[/MASK]')
  if (word === undefined) return undefined
  const [value, mask] = word.text.split('/', 2).map(wholeNumber)
  const within = (n: number | null | undefined): n is number => typeof n === 'number' && n >= 0 && n <= 0xffffffff
  if (within(value) && (mask === undefined || within(mask))) return { value, mask: mask ?? 0xffffffff }
  line.fatal(`${line.name}: expecting MARK or MARK/MASK, each from 0 to 0xffffffff, got '${word.text}'`, word)
  return undefined
}

const flowNames = { 'local-hit': 'localHit', 'sibling-hit': 'siblingHit', 'parent-hit': 'parentHit', 'miss': 'miss' } as const

const readFlows = (line: Line): FlowsLine | undefined => {
  const at = line.at()
  const first = line.peek()
  const kind = first?.text === 'mark' ? 'mark' : 'tos'
  if (first?.text === 'tos' || first?.text === 'mark') line.next()
  const flows: { -readonly [F in keyof FlowsLine['flows']]: FlowsLine['flows'][F] } = { localHit: null, siblingHit: null, parentHit: null, miss: null }
  const max = kind === 'tos' ? 0xff : 0xffffffff
  for (let word = line.next(); word !== null; word = line.next()) {
    if (word.text === 'disable-preserve-miss') continue
    const [name = '', text = ''] = word.text.split('=', 2)
    const flow = Object.hasOwn(flowNames, name) ? flowNames[name as keyof typeof flowNames] : undefined // its own, just seen
    const [value, mask] = text.split('/', 2).map(wholeNumber)
    if (flow === undefined) {
      const like = nearest(name, [...Object.keys(flowNames), 'disable-preserve-miss'])
      line.fatal(`${line.name}: unknown option '${word.text}'`, word, like === null ? '' : `did you mean ${like}?`)
    } else if (value === undefined || value === null || value < 0 || value > max || mask === null || (mask !== undefined && flow !== 'miss')) {
      line.fatal(`${line.name}: expecting ${name}= from 0 to 0x${max.toString(16)}, got '${word.text}'`, word)
    } else flows[flow] = kind === 'tos' ? value & 0xfc : value
  }
  return { kind, flows, text: line.read, at }
}

const readSource = (line: Line): string | undefined => {
  const word = needWord(line, 'an IP address')
  return word && take(line, word, readAddress(word.text))
}

/** Seconds; 0 = there is none. */
const acceptFilter: Kind<number> = {
  grammar: 'data[=SECONDS]|none',
  limits: 'SECONDS 1 to 3600',
  initial: 0,
  read(line) {
    const word = needWord(line, "'data', with seconds if you like")
    if (word === undefined) return undefined
    if (word.text === 'none') return 0
    if (word.text === 'httpready' || word.text === 'dataready') {
      line.warning(`${line.name}: this system has no filter '${word.text}'`, word, 'write: accept_filter data')
      return 0
    }
    const [name, seconds] = word.text.split('=', 2)
    const number = seconds === undefined ? 30 : wholeNumber(seconds)
    if (name === 'data' && number !== null && number > 0 && number <= 3600) return number
    line.fatal(`${line.name}: expecting 'data' or 'data=SECONDS', got '${word.text}'`, word)
    return undefined
  },
  write: value => [value === 0 ? 'none' : `data=${value}`],
}

const relatedConnections: Kind<RelatedConnections> = {
  grammar: 'sockets | nft_sets PORT',
  limits: 'PORT 1 to 65535',
  initial: { form: 'sockets' },
  read(line) {
    const form = needWord(line, "'sockets' or 'nft_sets PORT'")
    if (form === undefined) return undefined
    if (form.text === 'sockets') return { form: 'sockets' }
    if (form.text !== 'nft_sets') {
      line.fatal(`${line.name}: expecting 'sockets' or 'nft_sets PORT', got '${form.text}'`, form)
      return undefined
    }
    const word = needWord(line, 'the port of the listener that serves the sets')
    const port = word === undefined ? null : portNumber(word.text)
    if (word !== undefined && (port === null || port === 0)) line.fatal(`${line.name}: expecting a port from 1 to 65535, got '${word.text}'`, word)
    return port === null || port === 0 ? undefined : { form: 'nft_sets', port }
  },
  write: value => [value.form === 'sockets' ? value.form : `${value.form} ${value.port}`],
}

export const interceptionDirectives = {
  host_verify_strict: works(
    onOff(),
    `Intercepted requests name a host while the client connected to an address. If the name does not have that address, the
request still goes to the address and is not cached under the name. With "on" it is refused (409), and the same check
is made on forward and accel ports.`,
    { default: 'off' },
  ),
  client_dst_passthru: works(
    onOff(),
    `Intercepted requests go to the address the client connected to, even when their host has been verified. With "off" a
verified request may go to any address of its host. An unverified one always goes where the client wanted.`,
    { default: 'on' },
  ),
  spoof_client_ip: works(
    accessList('fast'),
    `On tproxy ports: whose address is used towards the origin. A denied client is fetched for with an address of ours. A
connection that cannot be made with the client's address fails; it never falls back to ours by itself.`,
    { default: 'allow all', example: 'spoof_client_ip deny localnet' },
  ),
  related_connections: works(
    relatedConnections,
    `How a session waits for a connection that belongs to it, at somebody else's address (the data connection of FTP).
sockets: one listens there for each, gone with the process however that ends. nft_sets: an element in a set of the rules
that "glassquid rules" makes, and one listener, on PORT of all addresses, for all of them; for tens of thousands at once.
The proxy then needs CAP_NET_ADMIN, and the rules have to be there when it starts.`,
    { default: 'sockets', reload: 'restart', example: 'related_connections nft_sets 3139' },
  ),
  tcp_outgoing_address: works(
    valueList('ADDRESS', 'fast', readSource),
    `The local address of connections to origins. The first line that matches, for each of IPv4 and IPv6. Not used where the
client's address is.`,
    {
      example: 'tcp_outgoing_address 192.0.2.7 staff\ntcp_outgoing_address 2001:db8::7 staff',
      reload: 'new connections',
    },
  ),
  tcp_outgoing_mark: works(
    valueList('MARK', 'fast', markOf('a mark', 0xffffffff), 'MARK 0 to 0xffffffff'),
    'The netfilter mark of connections to origins, for routing rules.',
    {
      example: 'tcp_outgoing_mark 0x10 staff',
      reload: 'new connections',
    },
  ),
  tcp_outgoing_tos: works(
    valueList('TOS', 'fast', readTos, 'TOS 0 to 0xfc; the lowest two bits are not settable'),
    'The type of service of connections to origins.',
    {
      aliases: ['tcp_outgoing_ds', 'tcp_outgoing_dscp'],
      example: 'tcp_outgoing_tos 0x20 staff',
      reload: 'new connections',
    },
  ),
  clientside_tos: works(
    valueList('TOS', 'fast', readTos, 'TOS 0 to 0xfc; the lowest two bits are not settable'),
    'The type of service of packets to clients, by the request they answer; the first line that matches.',
    { example: 'clientside_tos 0x20 staff' },
  ),
  mark_client_packet: works(
    valueList('MARK[/MASK]', 'fast', readMark, 'MARK and MASK 0 to 0xffffffff'),
    `The netfilter mark of packets to clients, by the request they answer; the first line that matches. With a MASK the other
bits stay. Needs CAP_NET_ADMIN, which is kept when the proxy starts as root.`,
    { aliases: ['clientside_mark'], example: 'mark_client_packet 0x10/0xf0 staff' },
  ),
  mark_client_connection: works(
    valueList('MARK[/MASK]', 'fast', readMark, 'MARK and MASK 0 to 0xffffffff'),
    `The mark of a client's connection as netfilter tracks it ("ct mark" in nft), by the request it brings; the first line that
matches. Rules see it on all packets of the connection, both ways. Needs CAP_NET_ADMIN, and a rule that makes the kernel track
connections.`,
    { example: 'mark_client_connection 0x200/0xf00 staff' },
  ),
  qos_flows: works(
    lines('[tos|mark] [local-hit=N] [sibling-hit=N] [parent-hit=N] [miss=N[/MASK]] [disable-preserve-miss]', readFlows, 'N 0 to 0xff for tos, to 0xffffffff for mark'),
    `The type of service, or the netfilter mark, of packets to clients by where the response comes from: out of this cache
(local-hit), out of another's, or from an origin (miss). It counts more than clientside_tos and mark_client_packet; what has
no number here stays as they say. A MASK of miss is about what would be taken over from packets of the server, which is not
done here, so neither is there anything to disable.`,
    { example: 'qos_flows tos local-hit=0x30 miss=0x08' },
  ),
  tproxy_uses_indirect_client: works(
    onOff(),
    `On tproxy ports: the address used towards origins is that of the client follow_x_forwarded_for has found, not of who is
connected. Its answers must come back by this machine.`,
    { default: 'off' },
  ),
  accept_filter: works(
    acceptFilter,
    `The kernel keeps new connections of http_port lines to itself until their first bytes are there, or for so many seconds, 30
unless told. Squid's names for filters of the BSDs (httpready, dataready) are not there on Linux.`,
    { default: 'none', reload: 'restart', example: 'accept_filter data=30' },
  ),
  tcp_recv_bufsize: works(size({ max: mib(64) }), 'The receive buffer of connections; 0: the kernel finds out by itself what is good, and does so better.', {
    default: '0 KB',
    reload: 'new connections',
  }),
  wccp2_router: later(kept('ADDRESS ...'), 'Routers that are asked to send traffic here.', { family: 'WCCP' }),
  wccp2_rebuild_wait: later(onOff(), 'Waits for the disk cache before registering.', { default: 'on', family: 'WCCP' }),
  wccp2_forwarding_method: later(word('gre|l2'), 'How packets come from the router.', { default: 'gre', family: 'WCCP' }),
  wccp2_return_method: later(word('gre|l2'), 'How packets go back to the router.', { default: 'gre', family: 'WCCP' }),
  wccp2_assignment_method: later(word('hash|mask'), 'How the router divides traffic.', { default: 'hash', family: 'WCCP' }),
  wccp2_service: later(kept('standard 0|dynamic ID [password=WORD]'), 'A WCCP service to take part in.', {
    default: 'standard 0',
    family: 'WCCP',
  }),
  wccp2_service_info: later(
    kept('ID protocol=tcp|udp flags=... priority=N ports=...'),
    'What a dynamic WCCP service takes.',
    { family: 'WCCP' },
  ),
  wccp2_weight: later(word('NUMBER'), 'Our share among several caches.', { default: '10000', family: 'WCCP' }),
  wccp2_address: later(word('ADDRESS'), 'The address used towards routers.', { default: '0.0.0.0', family: 'WCCP' }),
}
