import { canonicalAddress, seconds } from '../../base/index.ts'
import type { PortConfig, PortMode, TcpKeepalive } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { portNumber, readOnOff } from '../values.ts'
import { later, works } from './directive.ts'
import { count, kept, lines, needWord } from './kinds.ts'
import { type BuildingTls, judgeTls, tlsOptions, usualTls } from './port-tls.ts'

// http_port [HOST:|IP:|[IPv6]:]PORT [mode] [options]. Options may stand in any order; what excludes what is judged when
// all have been seen.

interface Building {
  mode: PortMode
  modeWord: Word | null
  name: string | null
  defaultSite: string | null
  vhost: boolean | null
  vport: number | 'local' | null
  protocol: 'http' | 'https'
  actAsOrigin: boolean
  ignoreCacheControl: boolean
  allowDirect: boolean
  connectionAuth: boolean
  tcpKeepalive: TcpKeepalive | null
  disablePmtuDiscovery: 'off' | 'transparent' | 'always'
  workerQueues: boolean
  introduced: boolean
  readonly tls: BuildingTls
  /** Options that only accel ports have, for the complaint. */
  readonly accelOptions: { readonly name: string; readonly word: Word }[]
}

/** Refusals are reported by the line; reading goes on, so that one line shows all its faults. */
type ReadOption = (port: Building, value: string | null, line: Line, word: Word) => void

const refuse = (line: Line, word: Word, message: string, hint = ''): void =>
  line.fatal(`${line.name}: ${message}`, word, hint)

const mode =
  (wanted: PortMode, complaint: string): ReadOption =>
  (port, _value, line, word) => {
    if (port.modeWord !== null && port.mode !== wanted)
      refuse(line, word, complaint, 'write one line per mode, each with its own port')
    port.mode = wanted
    port.modeWord = word
  }

const needValue = (line: Line, word: Word, value: string | null): value is string => {
  if (value !== null && value !== '') return true
  refuse(line, word, `option '${word.text}' needs a value`)
  return false
}

const onOffValue = (line: Line, word: Word, value: string | null): boolean => {
  if (value === null) return true
  const read = readOnOff(value)
  if (!read.ok) refuse(line, word, read.message, read.hint)
  return read.ok && read.value
}

const ignored: ReadOption = (_port, _value, line, word) =>
  line.note(`${line.name}: option '${word.text}' has no effect`, word, 'remove it')

const accelOnly =
  (read: ReadOption): ReadOption =>
  (port, value, line, word) => {
    port.accelOptions.push({ name: word.text.replace(/=.*$/, ''), word })
    read(port, value, line, word)
  }

const portOptions: Readonly<Record<string, ReadOption>> = {
  'accel': mode('accel', 'Accelerator mode requires its own port. It cannot be shared with other modes.'),
  'intercept': mode(
    'intercept',
    'Intercept mode requires its own interception port. It cannot be shared with other modes.',
  ),
  'transparent': mode(
    'intercept',
    'Intercept mode requires its own interception port. It cannot be shared with other modes.',
  ),
  'tproxy': mode('tproxy', 'TPROXY option requires its own interception port. It cannot be shared with other modes.'),
  'defaultsite': accelOnly((port, value, line, word) => {
    if (needValue(line, word, value)) port.defaultSite = value
  }),
  'vhost': port => {
    port.vhost = true
  },
  'no-vhost': accelOnly(port => {
    port.vhost = false
  }),
  'vport': accelOnly((port, value, line, word) => {
    if (value === null) port.vport = 'local'
    else {
      const number = portNumber(value)
      if (number === null || number === 0) refuse(line, word, `expecting a port, got '${value}'`)
      else port.vport = number
    }
  }),
  'protocol': accelOnly((port, value, line, word) => {
    const lower = (value ?? '').toLowerCase()
    if (lower === 'http' || lower === 'https') port.protocol = lower
    else refuse(line, word, `protocol is HTTP or HTTPS, got '${value ?? ''}'`)
  }),
  'act-as-origin': accelOnly(port => {
    port.actAsOrigin = true
  }),
  'ignore-cc': accelOnly(port => {
    port.ignoreCacheControl = true
  }),
  'allow-direct': accelOnly(port => {
    port.allowDirect = true
  }),
  'name': (port, value, line, word) => {
    if (needValue(line, word, value)) port.name = value
  },
  'connection-auth': (port, value, line, word) => {
    port.connectionAuth = onOffValue(line, word, value)
  },
  'no-connection-auth': port => {
    port.connectionAuth = false
  },
  'tcpkeepalive': (port, value, line, word) => {
    port.tcpKeepalive = readKeepalive(value, line, word)
  },
  'disable-pmtu-discovery': (port, value, line, word) => {
    if (value === 'off' || value === 'transparent' || value === 'always') {
      port.disablePmtuDiscovery = value
    } else refuse(line, word, `disable-pmtu-discovery is off, transparent or always, got '${value ?? ''}'`)
  },
  'worker-queues': port => {
    port.workerQueues = true
  },
  'require-proxy-header': (port, _value, line, word) => {
    if (line.name === 'https_port') refuse(line, word, 'require-proxy-header option is not supported on HTTPS ports.')
    port.introduced = true
  },
  'ftp-track-dirs': ignored,
  'urlgroup': ignored,
  'http11': ignored,
  ...Object.fromEntries(
    Object.entries(tlsOptions).map(([name, read]): [string, ReadOption] => [
      name,
      (port, value, line, word) => {
        port.tls.first ??= word
        read(port.tls, value, line, word)
      },
    ]),
  ),
}

const readKeepalive = (value: string | null, line: Line, word: Word): TcpKeepalive | null => {
  if (value === null) return { idle: seconds(0), interval: seconds(0), timeout: seconds(0) }
  const parts = value.split(',')
  if (parts.length > 3 || !parts.every(p => /^\d{0,6}$/.test(p))) {
    refuse(line, word, `tcpkeepalive is idle,interval,timeout in seconds, got '${value}'`)
    return null
  }
  const [idle = 0, interval = 0, timeout = 0] = parts.map(Number)
  return { idle: seconds(idle), interval: seconds(interval), timeout: seconds(timeout) }
}

export const readPort = (line: Line): PortConfig | undefined => portOf(line, false)
const readHttpsPort = (line: Line): PortConfig | undefined => portOf(line, true)

const portOf = (line: Line, secure: boolean): PortConfig | undefined => {
  const first = needWord(line, '[HOST:]PORT')
  if (first === undefined) return undefined
  const place = readPlace(first, line)
  const port: Building = {
    mode: 'forward',
    modeWord: null,
    name: null,
    defaultSite: null,
    vhost: null,
    vport: null,
    protocol: secure ? 'https' : 'http',
    actAsOrigin: false,
    ignoreCacheControl: false,
    allowDirect: false,
    connectionAuth: true,
    tcpKeepalive: null,
    disablePmtuDiscovery: 'off',
    workerQueues: false,
    introduced: false,
    tls: usualTls(),
    accelOptions: [],
  }
  for (let word = line.next(); word !== null; word = line.next()) readOption(port, line, word)
  judge(port, line)
  const tls = judgeTls(port.tls, port, secure, line)
  if (place === null) return undefined
  const { modeWord: _, accelOptions: __, ...rest } = port
  return {
    ...rest,
    ...place,
    tls,
    name: port.name ?? first.text,
    vhost: port.vhost ?? port.mode === 'accel',
    text: line.read,
    at: line.at(),
  }
}

const readOption = (port: Building, line: Line, word: Word): void => {
  const equals = word.text.indexOf('=')
  const name = equals < 0 ? word.text : word.text.slice(0, equals)
  const read = Object.hasOwn(portOptions, name) ? portOptions[name] : undefined
  if (read !== undefined) return read(port, equals < 0 ? null : word.text.slice(equals + 1), line, word)
  const like = nearest(name, Object.keys(portOptions))
  line.fatal(`Unknown ${line.name} option '${word.text}'.`, word, like === null ? '' : `did you mean ${like}?`)
}

/** What options say of each other. */
const judge = (port: Building, line: Line): void => {
  if (port.vhost === true && port.mode === 'forward') {
    port.mode = 'accel' // as Squid 2 read it
    line.warning(
      `${line.name}: 'vhost' is deprecated; it turns the port into an accelerator`,
      null,
      "write 'accel', which implies vhost",
    )
  }
  if (port.mode !== 'accel') {
    for (const { name, word } of port.accelOptions)
      refuse(line, word, `${name} option requires Acceleration mode flag.`, "add 'accel'")
    if (port.vhost === true)
      refuse(
        line,
        port.modeWord ?? { text: '', offset: 0, quoted: false, isFile: false },
        'vhost option requires Acceleration mode flag.',
        "remove 'vhost'",
      )
  }
}

type Place = Pick<PortConfig, 'address' | 'hostName' | 'port' | 'dualStack'>

const readPlace = (word: Word, line: Line): Place | null => {
  const text = word.text
  if (/^\d+$/.test(text)) return withPort(text, { address: null, hostName: null, dualStack: true }, word, line)
  if (text.startsWith('[') && !text.includes(']')) return bad(line, word, `missing ']' on IPv6 address: ${text}`)
  const colon = text.startsWith('[') ? text.indexOf(':', text.indexOf(']')) : text.lastIndexOf(':')
  if (colon < 0) return bad(line, word, `missing Port in: ${text}`, `write ${text}:3128`)
  const host = text.slice(0, colon)
  const address = canonicalAddress(host)
  if (address !== null && (host.startsWith('[') || !host.includes(':'))) {
    return withPort(text.slice(colon + 1), { address, hostName: null, dualStack: address === '::' }, word, line)
  }
  if (host.includes(':'))
    return bad(line, word, `an IPv6 address needs brackets: ${text}`, `write [${host}]:${text.slice(colon + 1)}`)
  if (/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$/.test(host) && !/^[\d.]+$/.test(host)) {
    return withPort(text.slice(colon + 1), { address: null, hostName: host, dualStack: false }, word, line)
  }
  return bad(
    line,
    word,
    `failed to resolve Host/IP: ${host}`,
    host === '*' || host === '' ? `write ${text.slice(colon + 1)} alone for every address` : '',
  )
}

const withPort = (digits: string, place: Omit<Place, 'port'>, word: Word, line: Line): Place | null => {
  const port = portNumber(digits)
  if (port === null) return bad(line, word, `expecting a port from 1 to 65535, got '${digits}'`)
  if (port === 0 && !line.scope.world.portZero) return bad(line, word, `Port cannot be 0: ${word.text}`)
  return { ...place, port }
}

const bad = (line: Line, word: Word, message: string, hint = ''): null => {
  refuse(line, word, message, hint)
  return null
}

export const portDirectives = {
  http_port: works(
    lines('[HOST:|IP:|[IPv6]:]PORT [accel|intercept|tproxy] [options]', readPort, 'PORT 1 to 65535'),
    `Where clients are listened to; each line is one socket. Without an address the socket takes IPv4 and IPv6.

Without a mode the port is a forward proxy: clients are told of it and send it whole URIs and CONNECT.
User information in such a URI (http://USER:PASSWORD@HOST/) is sent on as Authorization, and told nobody.
"intercept" (also written "transparent") takes connections that a REDIRECT or DNAT rule sent here, "tproxy" those of a
TPROXY rule; the latter also goes to origins with the client's own address (see spoof_client_ip). "glassquid rules"
prints the kernel rules for the ports of this file.

"accel" stands in front of sites of your own: vhost (the default; no-vhost), defaultsite=NAME, vport[=N],
protocol=HTTP|HTTPS, act-as-origin, ignore-cc, allow-direct. act-as-origin: what is stored leaves as if it had been made
now, with the present as its Date and Expires moved along; the old ones and its age are in X-Origin-Date, X-Origin-Expires and
X-Cache-Age.

name=NAME is the port's name for myportname and the log.

require-proxy-header: clients come through a balancer that says whose each connection is, by the PROXY protocol, version 1
or 2 (HAProxy: send-proxy, send-proxy-v2). What it says counts as the client's address, and as where it was going; on
interception ports it stands for the look-up in the kernel, and the client's address is not used towards origins. Whose word
is taken is for proxy_protocol_access. A connection without such a header, or with one that is wrong, is closed.

ssl-bump makes what clients ask for with CONNECT a matter of ssl_bump; it needs tls-cert=, see https_port.

connection-auth[=on|off], on unless told: NTLM and Negotiate prove to an origin who a client is once for a connection. From
that proof on the connection to the origin is that client connection's alone, carries all its requests to the site, stores
nothing, and ends with it. off: clients do not see such challenges.

tcpkeepalive[=idle,interval,timeout], in seconds: the kernel asks silent clients whether they are still there, after idle
seconds, every interval seconds, and gives them up timeout seconds later; 0 is the system's.
disable-pmtu-discovery=off|transparent|always: packets to clients may be cut on their way; transparent: of interception
ports.

worker-queues is what workers have anyway.`,
    {
      aliases: ['ascii_port'],
      reload: 'new connections',
      example:
        'http_port 3128\nhttp_port 3129 intercept\nhttp_port 3130 tproxy\nhttp_port [2001:db8::1]:80 accel defaultsite=www.example.org',
    },
  ),
  https_port: works(
    lines('[HOST:|IP:|[IPv6]:]PORT [accel|intercept|tproxy] tls-cert=FILE [options]', readHttpsPort, 'PORT 1 to 65535'),
    `As http_port, for clients that begin with TLS.

Without a mode, and with "accel", the port shows its own certificate: tls-cert=FILE (its chain behind it) and
tls-key=FILE, which may be the same file. Given several times, the one whose names the client asks for is shown, else the
first. clientca=FILE asks clients for a certificate of one of these CAs, and closes without one unless
sslflags=CONDITIONAL_AUTH; crlfile=FILE and sslflags=VERIFY_CRL name those that were withdrawn.

"intercept" and "tproxy" need ssl-bump, and ssl-bump needs one of them: what becomes of each connection is said by
ssl_bump, tls-cert= is the CA that signs what clients are shown, and generate-host-certificates=off shows tls-cert= itself.
dynamic_cert_mem_cache_size=SIZE (4MB) is what certificates that were made may take.

options= has OpenSSL's words (NO_TLSv1_2, NO_TICKET, CIPHER_SERVER_PREFERENCE ...), parted by commas; cipher= its list of
ciphers; tls-min-version=1.N (1.2; RFC 8996 has put an end to earlier ones); tls-dh=[CURVE:]FILE; cafile=, capath= and
tls-default-ca for clients' certificates; sslcontext=; sslflags= DELAYED_AUTH, CONDITIONAL_AUTH, NO_SESSION_REUSE,
VERIFY_CRL, VERIFY_CRL_ALL, NO_DEFAULT_CA. HTTP/1.1 is spoken inside.`,
    {
      reload: 'new connections',
      example:
        'https_port 443 accel defaultsite=www.example.org tls-cert=/etc/glassquid/www.pem\nhttps_port 3131 intercept ssl-bump tls-cert=/etc/glassquid/ca.pem',
    },
  ),
  ftp_port: later(
    kept('[HOST:]PORT [mode] [options]'),
    'Where FTP clients are listened to. The port is not opened yet.',
    { family: 'FTP' },
  ),
  icp_port: works(
    count({ max: 65535 }),
    'The UDP port where other proxies ask by ICP what is stored here; 0: nobody may, and no peer is asked either.',
    { aliases: ['udp_port'], default: '0' },
  ),
  htcp_port: later(count({ max: 65535 }), 'The UDP port of HTCP; 0 is off.', { default: '0', family: 'HTCP' }),
  snmp_port: later(count({ max: 65535 }), 'The UDP port of SNMP; 0 is off.', { default: '0', family: 'SNMP' }),
}
