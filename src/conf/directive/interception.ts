import type { RelatedConnections } from '../config.ts'
import type { Line } from '../line.ts'
import { portNumber, readAddress, wholeNumber } from '../values.ts'
import { accessList, valueList } from './access.ts'
import { type Kind, later, works } from './directive.ts'
import { kept, needWord, onOff, take, word } from './kinds.ts'

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

const readSource = (line: Line): string | undefined => {
  const word = needWord(line, 'an IP address')
  return word && take(line, word, readAddress(word.text))
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
  clientside_tos: later(valueList('TOS', 'fast', readTos), 'The type of service of packets to clients.'),
  mark_client_packet: later(kept('MARK[/MASK] [[!]ACL ...]'), 'The netfilter mark of packets to clients.', {
    aliases: ['clientside_mark'],
  }),
  mark_client_connection: later(kept('MARK[/MASK] [[!]ACL ...]'), "The conntrack mark of clients' connections."),
  qos_flows: later(
    kept('tos|mark [local-hit=N] [sibling-hit=N] [parent-hit=N] [miss=N] ...'),
    'Type of service or mark by where a response came from.',
  ),
  tproxy_uses_indirect_client: later(onOff(), "Takes the address X-Forwarded-For names instead of the client's.", {
    default: 'off',
  }),
  accept_filter: later(word('NAME'), 'A kernel filter for new connections.'),
  tcp_recv_bufsize: later(kept('SIZE'), 'The receive buffer of sockets; the kernel tunes it by itself.', {
    default: '0 bytes',
  }),
  wccp2_router: later(kept('ADDRESS ...'), 'Routers that are asked to send traffic here.'),
  wccp2_rebuild_wait: later(onOff(), 'Waits for the disk cache before registering.', { default: 'on' }),
  wccp2_forwarding_method: later(word('gre|l2'), 'How packets come from the router.', { default: 'gre' }),
  wccp2_return_method: later(word('gre|l2'), 'How packets go back to the router.', { default: 'gre' }),
  wccp2_assignment_method: later(word('hash|mask'), 'How the router divides traffic.', { default: 'hash' }),
  wccp2_service: later(kept('standard 0|dynamic ID [password=WORD]'), 'A WCCP service to take part in.', {
    default: 'standard 0',
  }),
  wccp2_service_info: later(
    kept('ID protocol=tcp|udp flags=... priority=N ports=...'),
    'What a dynamic WCCP service takes.',
  ),
  wccp2_weight: later(word('NUMBER'), 'Our share among several caches.', { default: '10000' }),
  wccp2_address: later(word('ADDRESS'), 'The address used towards routers.', { default: '0.0.0.0' }),
}
