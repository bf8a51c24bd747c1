import { type Endpoint, endpointText, isLoopback } from '../../base/index.ts'
import { readServer } from '../values.ts'
import { accepted, type Kind, later, works } from './directive.ts'
import { age, choice, count, kept, needWord, onOff, percent, take, text, word, wordOrNone } from './kinds.ts'

const servers: Kind<readonly Endpoint[]> = {
  grammar: 'ADDRESS[:PORT] ...',
  limits: '',
  initial: [],
  read(line, before) {
    const found = [...before]
    for (let word = needWord(line, 'an IP address') ?? null; word !== null; word = line.next()) {
      const server = take(line, word, readServer(word.text, 53))
      if (server !== undefined) found.push(server)
    }
    return found
  },
  write: value =>
    value.length === 0 ? [] : [value.map(e => (e.port === 53 ? e.address : endpointText(e))).join(' ')],
}

/** A path, `auto` or `none` (null). */
const controlSocket: Kind<'auto' | string | null> = {
  grammar: 'PATH|auto|none',
  limits: 'at most 103 bytes',
  initial: 'auto',
  read(line) {
    const word = needWord(line, 'a path, auto or none')
    if (word === undefined) return undefined
    if (Buffer.byteLength(word.text) > socketPathBytesMax) {
      line.fatal(`${line.name}: the path is longer than ${socketPathBytesMax} bytes, which no Unix socket may be`, word)
      return undefined
    }
    return word.text === 'none' ? null : word.text
  },
  write: value => [value ?? 'none'],
}

/** Where programs that watch us ask; null = nowhere. */
const adminPort: Kind<Endpoint | null> = {
  grammar: '[ADDRESS:]PORT|none',
  limits: 'PORT 1 to 65535',
  initial: null,
  read(line) {
    const word = needWord(line, 'a port, with an address, or none')
    if (word === undefined) return undefined
    if (word.text === 'none') return null
    const text = /^\d+$/.test(word.text) ? `127.0.0.1:${word.text}` : word.text
    const read = readServer(text, 0)
    if (!read.ok || read.value.port === 0) {
      line.fatal(`${line.name}: expecting [ADDRESS:]PORT, got '${word.text}'`, word, 'for example: 127.0.0.1:9301')
      return undefined
    }
    if (!isLoopback(read.value.address)) {
      line.warning(`${line.name}: whoever reaches ${endpointText(read.value)} can read all figures`, word, 'bind it to 127.0.0.1')
    }
    return read.value
  },
  write: value => [value === null ? 'none' : endpointText(value)],
}

export interface CpuPlace {
  readonly process: number
  readonly core: number
}

const cpuAffinity: Kind<readonly CpuPlace[]> = {
  grammar: 'process_numbers=N,... cores=N,...',
  limits: 'as many of both, from 1',
  initial: [],
  read(line, before) {
    const lists = new Map<string, number[]>()
    for (let next = line.next(); next !== null; next = line.next()) {
      const [, name = '', list = ''] = /^(process_numbers|cores)=(\d{1,5}(?:,\d{1,5})*)$/.exec(next.text) ?? []
      if (name === '') line.fatal(`${line.name}: expecting process_numbers=N,... and cores=N,..., got '${next.text}'`, next)
      else lists.set(name, list.split(',').map(Number))
    }
    const processes = lists.get('process_numbers') ?? []
    const cores = lists.get('cores') ?? []
    if (processes.length > 0 && processes.length === cores.length && ![...processes, ...cores].includes(0)) {
      return [...before, ...processes.map((process, i) => ({ process, core: cores[i] ?? 1 }))]
    }
    line.fatal(`${line.name} needs as many processes as cores, both counted from 1`)
    return undefined
  },
  write: value => (value.length === 0 ? [] : [`process_numbers=${value.map(one => one.process).join(',')} cores=${value.map(one => one.core).join(',')}`]),
}

/** Octal. */
const fileMask: Kind<number> = {
  grammar: 'MASK',
  limits: 'octal, 0 to 0777',
  initial: 0,
  read(line) {
    const word = needWord(line, 'a mask')
    if (word === undefined) return undefined
    if (/^0?[0-7]{1,3}$/.test(word.text)) return Number.parseInt(word.text, 8)
    line.fatal(`${line.name}: expecting an octal mask, got '${word.text}'`, word, 'for example: 027')
    return undefined
  },
  write: mask => [mask.toString(8).padStart(3, '0')],
}

/** 104 with the zero byte on the BSDs, 108 on Linux. */
const socketPathBytesMax = 103

/** Its line counts for the lines below it. */
const quotedValues: Kind<boolean> = {
  ...onOff(),
  read(line, before) {
    const value = onOff().read(line, before)
    if (value !== undefined) line.scope.quotedValues = value
    return value
  },
  // written values stand as they are
  write: () => [],
}

export const processDirectives = {
  workers: works(
    count({ max: 1024 }),
    `How many processes share the work. Each listens on every port for itself and the kernel shares connections out; a cache_dir
is one for all; what is kept in memory is each one's own, and each has as much of it as the conf says: cache_mem,
max_filedescriptors, children of helpers, delay pools, limits of connections and sessions. A supervisor starts them, starts again who dies,
and answers -k and the command line for all. Lines that differ: if, \${process_number}, \${process_name}. 0 and 1: one
process, which does everything itself.`,
    { default: '1', reload: 'restart' },
  ),
  pid_filename: works(wordOrNone('PATH'), 'Where the process id is written, for -k. "none" writes no file.', {
    default: '/run/glassquid.pid',
    reload: 'restart',
  }),
  control_socket: works(
    controlSocket,
    `Where the running proxy answers the command line (glassquid purge, explain, manager): a Unix socket of mode 0600, whose
owner needs no password. "auto" puts it beside the pid file (/run/glassquid.sock), and opens none where there is no pid
file. It speaks HTTP: curl --unix-socket /run/glassquid.sock http://localhost/squid-internal-mgr/menu. Not a directive of
Squid.`,
    { default: 'auto', reload: 'restart', example: 'control_socket /run/glassquid/control.sock' },
  ),
  admin_port: works(
    adminPort,
    `Where programs that watch others ask, without a password: /metrics (Prometheus; ?compat=squid adds the names of
prometheus-squid-exporter), /healthz (the process lives) and /readyz (clients are served). Nothing can be changed there.
Without an address: 127.0.0.1. Not a directive of Squid.`,
    { default: 'none', example: 'admin_port 127.0.0.1:9301' },
  ),
  cache_effective_user: works(
    wordOrNone('USER'),
    `The user to become when started as root, before a log, a cache or a port is opened. Of root's capabilities those stay which
the conf needs: CAP_NET_RAW for tproxy and forged addresses, CAP_NET_BIND_SERVICE for ports below 1024, CAP_NET_ADMIN for
related_connections nft_sets. Folders of logs should be that user's, or rotation cannot rename in them.`,
    { reload: 'restart', example: 'cache_effective_user proxy' },
  ),
  cache_effective_group: works(
    wordOrNone('GROUP'),
    'The group to become when started as root, instead of those of the user.',
    { reload: 'restart' },
  ),
  coredump_dir: works(wordOrNone('DIRECTORY'), 'The working directory, where a core would be written; as large a core as the hard limit allows.', {
    reload: 'restart',
  }),
  max_filedescriptors: works(
    count({ max: 1 << 30 }),
    'How many files and sockets may be open. 0: as many as the system allows.',
    {
      aliases: ['max_filedesc'],
      default: '0',
      reload: 'restart',
    },
  ),
  dns_nameservers: works(servers, 'Which servers resolve names. Without it: those of /etc/resolv.conf.', {
    example: 'dns_nameservers 192.0.2.53 2001:db8::53',
  }),
  hosts_file: works(wordOrNone('PATH'), 'Names and addresses looked at before any server.', {
    default: '/etc/hosts',
  }),
  positive_dns_ttl: works(
    age({ min: 1000 }),
    'The longest time an address is remembered, whatever its record says.',
    { default: '6 hours' },
  ),
  negative_dns_ttl: works(
    age(),
    'How long a name without an address is remembered, and the shortest time an address is.',
    { default: '1 minute' },
  ),
  unknown_directives: works(
    choice(['error', 'warn']),
    `What an unknown directive is below this line: an error, or ("warn") a warning, for moving a conf over step by step. Names
that end in _access stay errors: they may forbid something. Not a directive of Squid.`,
    { default: 'error' },
  ),
  configuration_includes_quoted_values: works(
    quotedValues,
    `From this line on, words may be put in "quotes", with \\" and \\\\ inside, and parameters("FILE") takes ACL values from a
file. Words without quotes then hold letters, digits and . , ( ) - = _ / : + only. Switch it off around lines with a
regex.`,
    { default: 'off' },
  ),
  umask: works(
    fileMask,
    'Permissions that files and folders made by the proxy do not have, beside those of the umask it was started with.',
    { default: '027', reload: 'restart' },
  ),
  cpu_affinity_map: works(
    cpuAffinity,
    `Which process runs on which core, both counted from 1; of several workers the first is process 1. taskset (util-linux)
binds it when it starts.`,
    { reload: 'restart', example: 'cpu_affinity_map process_numbers=1,2 cores=1,3' },
  ),
  dns_retransmit_interval: works(
    age({ min: 1000 }),
    'How long a name server may take before the next is asked, and after all of them the first again, with twice the time.',
    { default: '5 seconds' },
  ),
  dns_defnames: works(
    onOff(),
    `A name that does not exist and has fewer dots than ndots (1) is looked for in the domains of resolv.conf (search, domain),
too. See append_domain, which does without asking. Read at start and at reload.`,
    { default: 'off' },
  ),
  dns_packet_max: accepted(kept('SIZE|none'), 'Larger packets are not announced (as by default in Squid): what does not fit into one comes by TCP.'),
  dns_multicast_local: works(
    onOff(),
    'Names under .local are asked of the machines on the link (multicast DNS), and not of name servers.',
    { default: 'off' },
  ),
  ignore_unknown_nameservers: accepted(
    onOff(),
    'Answers of servers that were not asked never reach the resolver: each is asked on a connected socket. "off" changes nothing.',
    { default: 'on' },
  ),
  ipcache_size: works(count({ min: 1 }), 'How many names are remembered; the one used longest ago is forgotten first.', { default: '1024' }),
  ipcache_low: accepted(percent(), 'The name cache is never swept: when it is full, one name goes for one that comes.', { default: '90' }),
  ipcache_high: accepted(percent(), 'As ipcache_low.', { default: '95' }),
  fqdncache_size: works(count(), 'How many names of addresses (srcdomain and the like) are remembered.', { default: '1024' }),
  pinger_program: accepted(text('COMMAND'), 'Distances are measured by no program beside the proxy.'),
  pinger_enable: later(onOff(), 'Measures distances to origins.', { default: 'on', family: 'netdb', off: 'off' }),
}
