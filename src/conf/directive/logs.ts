import { type Bytes, kib, maskWord, parseIPv4 } from '../../base/index.ts'
import type { AccessLogLine, DebugOptions, LogFormat, LogModule } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { readSize, wholeNumber } from '../values.ts'
import { accessList, readUses } from './access.ts'
import { accepted, type Kind, later, works } from './directive.ts'
import { count, kept, lines, needWord, onOff, word, wordOrNone } from './kinds.ts'

// access_log in its four styles:
//
//   MODULE:PLACE [option=value ...] [acl ...]       today's
//   MODULE:PLACE FORMAT [acl ...]                   the first word is a format if there is one of that name, else an ACL
//   PATH ...                                        stdio:PATH
//   none [acl ...]                                  ends logging of what matches for the lines below

/** Formats that need no logformat line. */
const builtInFormats: readonly string[] = ['squid', 'common', 'combined', 'referrer', 'useragent', 'json', 'icap_squid']

const modules: readonly string[] = ['stdio', 'daemon', 'syslog', 'udp', 'tcp', 'none']
const isModule = (name: string): name is LogModule => modules.includes(name)

const bufferSize = kib(64)

interface Options {
  format: string | null
  bufferSize: Bytes
  onError: 'die' | 'drop'
  rotate: number | null
}

const readAccessLog = (line: Line): AccessLogLine | undefined => readLog(line, line.scope.commonByDefault ? 'common' : 'squid')

const readLog = (line: Line, usual: string): AccessLogLine | undefined => {
  const first = needWord(line, 'a place: MODULE:PLACE, a path or none')
  const target = first && readTarget(line, first)
  if (target === undefined) return undefined
  const options: Options = { format: null, bufferSize, onError: 'drop', rotate: null }
  while (target.module !== 'none' && /^[a-z-]+=/.test(line.peek()?.text ?? '')) readOption(line, options)
  if (target.module !== 'none' && options.format === null) readFormatName(line, options)
  const acls = readUses(line, 'fast')
  const format = options.format ?? usual
  return { ...target, ...options, format, acls, text: line.read, at: line.at() }
}

interface Target {
  readonly module: LogModule
  readonly place: string
  readonly level: number | null
}

const readTarget = (line: Line, word: Word): Target | undefined => {
  if (word.text === 'none') return { module: 'none', place: '', level: null }
  const found = /^([A-Za-z][A-Za-z0-9]*):(.*)$/s.exec(word.text)
  if (found === null) return { module: 'stdio', place: word.text, level: null }
  const [, name = '', place = ''] = found
  if (!isModule(name)) {
    const like = nearest(name, modules)
    line.fatal(
      `${line.name}: unknown log module '${name}'`,
      word,
      like === null ? `known are ${modules.join(', ')}` : `did you mean ${like}:?`,
    )
    return undefined
  }
  if (name === 'none') return { module: 'none', place: '', level: null }
  if (place === '') {
    line.fatal(`${line.name}: ${name}: needs a place`, word)
    return undefined
  }
  if (name === 'syslog') return syslogTarget(line, word, place)
  if (name !== 'udp' && name !== 'tcp') return { module: name, place, level: null }
  // udp://host:port and udp:host:port are the same to Squid
  const remote = place.replace(/^\/\//, '')
  const port = /^(?:\[[0-9A-Fa-f:.]+\]|[^:/\s]+):(\d{1,5})$/.exec(remote)?.[1]
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65535) return { module: name, place: remote, level: null }
  line.fatal(`${line.name}: expecting ${name}://HOST:PORT, got '${word.text}'`, word, `for example: ${name}://192.0.2.1:514`)
  return undefined
}

/** RFC 5424 6.2.1, as syslog(3) names them. */
const facilities: Readonly<Record<string, number>> = {
  kern: 0, user: 1, mail: 2, daemon: 3, auth: 4, security: 4, syslog: 5, lpr: 6, news: 7, uucp: 8, cron: 9, authpriv: 10,
  ftp: 11, local0: 16, local1: 17, local2: 18, local3: 19, local4: 20, local5: 21, local6: 22, local7: 23,
}
const priorities: Readonly<Record<string, number>> = {
  emerg: 0, alert: 1, crit: 2, err: 3, error: 3, warning: 4, warn: 4, notice: 5, info: 6, debug: 7,
}

/** `local5.info`, `local5|info`, and `local5` for its info. */
const syslogTarget = (line: Line, word: Word, place: string): Target | undefined => {
  const [facility = '', priority = 'info', ...more] = place.toLowerCase().split(/[.|]/)
  const [high, low] = [facilities[facility], priorities[priority]]
  if (high !== undefined && low !== undefined && more.length === 0) return { module: 'syslog', place, level: high * 8 + low }
  const like = high === undefined ? nearest(facility, Object.keys(facilities)) : low === undefined ? nearest(priority, Object.keys(priorities)) : null
  line.fatal(`${line.name}: '${place}' is no FACILITY.PRIORITY of syslog`, word, like === null ? 'for example: syslog:daemon.info' : `did you mean ${like}?`)
  return undefined
}

const readOption = (line: Line, options: Options): void => {
  const word = line.next()
  if (word === null) return
  const equals = word.text.indexOf('=')
  const name = word.text.slice(0, equals)
  const value = word.text.slice(equals + 1)
  if (name === 'logformat') options.format = readFormat(line, word, value)
  else if (name === 'buffer-size') {
    const size = readSize(value, undefined, kib(1))
    if (size.ok) options.bufferSize = size.value
    else line.fatal(`${line.name}: buffer-size: ${size.message}`, word, size.hint)
  } else if (name === 'on-error' && (value === 'die' || value === 'drop')) options.onError = value
  else if (name === 'rotate' && wholeNumber(value) !== null) options.rotate = wholeNumber(value)
  else if (name === 'on-error' || name === 'rotate')
    line.fatal(`${line.name}: '${value}' is no value of ${name}`, word)
  else {
    const like = nearest(name, ['logformat', 'buffer-size', 'on-error', 'rotate'])
    line.fatal(`${line.name}: unknown option '${name}'`, word, like === null ? '' : `did you mean ${like}=?`)
  }
}

const readFormatName = (line: Line, options: Options): void => {
  const word = line.peek()
  if (word === null) return
  const name = word.text
  const isFormat = name === 'auto' || builtInFormats.includes(name) || line.scope.formats.has(name)
  if (!isFormat) return
  // an ACL may carry a format's name; the format wins, as in Squid
  line.next()
  options.format = readFormat(line, word, name)
}

const readFormat = (line: Line, word: Word, name: string): string => {
  if (name === 'auto') {
    line.warning(`${line.name}: format 'auto' is read as 'squid'`, word)
    return 'squid'
  }
  if (!builtInFormats.includes(name) && !line.scope.formats.has(name)) {
    const like = nearest(name, [...builtInFormats, ...line.scope.formats.keys()])
    line.fatal(
      `${line.name}: there is no logformat '${name}' above`,
      word,
      like === null ? '' : `did you mean ${like}?`,
    )
  }
  return name
}

const readLogFormat = (line: Line): LogFormat | null | undefined => {
  const name = needWord(line, 'a name and a format')
  if (name === undefined) return undefined
  const text = line.rest().text
  if (text === '') {
    line.fatal(`${line.name} ${name.text}: the format is missing`, name)
    return undefined
  }
  if (builtInFormats.includes(name.text)) {
    line.warning(
      `logformat ${name.text} is a built-in format. Ignoring redefinition attempt.`,
      name,
      'give yours another name',
    )
    return null
  }
  const format: LogFormat = { name: name.text, text, at: line.at() }
  const before = line.scope.formats.get(name.text)
  if (before !== undefined) {
    line.warning(`logformat ${name.text} is already defined. Ignoring.`, name, `that of line ${before.at.line} counts: give yours another name`)
    return null
  }
  line.scope.formats.set(name.text, format)
  return format
}

const logFormats: Kind<readonly LogFormat[]> = {
  grammar: 'NAME FORMAT',
  limits: '',
  initial: [],
  read(line, before) {
    const format = readLogFormat(line)
    if (!format) return format === null ? before : undefined
    return [...before.filter(f => f.name !== format.name), format]
  },
  write: value => value.map(f => `${f.name} ${f.text}`),
}

const debugOptions: Kind<DebugOptions> = {
  grammar: 'SECTION,LEVEL ... [rotate=N]',
  limits: 'SECTION ALL or 0 to 99; LEVEL 0 to 9',
  initial: { levels: [], rotate: null },
  read(line) {
    const levels: { section: number | 'ALL'; level: number }[] = []
    let rotate: number | null = null
    for (let word = needWord(line, 'SECTION,LEVEL') ?? null; word !== null; word = line.next()) {
      const pair = /^(ALL|\d{1,2}),(-?\d)$/i.exec(word.text)
      const files = /^rotate=(\d{1,3})$/.exec(word.text)
      if (pair !== null)
        levels.push({ section: /^all$/i.test(pair[1] ?? '') ? 'ALL' : Number(pair[1]), level: Number(pair[2]) })
      else if (files !== null) rotate = Number(files[1])
      else line.fatal(`${line.name}: expecting SECTION,LEVEL, got '${word.text}'`, word, 'for example: ALL,1 33,2')
    }
    return { levels, rotate }
  },
  write: value => [
    [
      ...value.levels.map(l => `${l.section},${l.level}`),
      ...(value.rotate === null ? [] : [`rotate=${value.rotate}`]),
    ].join(' '),
  ],
}

const cacheLog: Kind<string | null> = {
  ...wordOrNone('[stdio:]PATH'),
  read(line) {
    const word = needWord(line, 'a path')
    if (word === undefined) return undefined
    const path = word.text.replace(/^(stdio|daemon):/, '')
    if (/^(?:syslog|udp|tcp):/.test(path)) {
      line.fatal(`${line.name}: expecting a path, got '${word.text}'`, word, line.name === 'cache_log' ? 'under systemd /dev/stderr goes to the journal' : '')
      return undefined
    }
    return path === 'none' ? null : path
  },
}

const accessLogs: Kind<readonly AccessLogLine[]> = {
  ...lines(
    'MODULE:PLACE|PATH|none [logformat=NAME] [buffer-size=SIZE] [on-error=die|drop] [rotate=N] [[!]ACL ...]',
    readAccessLog,
  ),
  write: value => value.map(writtenAccessLog),
}

const icapLogs: Kind<readonly AccessLogLine[]> = {
  ...accessLogs,
  ...lines(accessLogs.grammar, line => readLog(line, 'icap_squid')),
  write: value => value.map(writtenAccessLog),
}

const writtenAccessLog = (log: AccessLogLine): string => {
  const acls = log.acls.map(a => `${a.negated ? '!' : ''}${a.name}`)
  if (log.module === 'none') return ['none', ...acls].join(' ')
  const options = [
    `logformat=${log.format}`,
    ...(log.bufferSize === bufferSize ? [] : [`buffer-size=${log.bufferSize}bytes`]),
    ...(log.onError === 'drop' ? [] : [`on-error=${log.onError}`]),
    ...(log.rotate === null ? [] : [`rotate=${log.rotate}`]),
  ]
  return [`${log.module}:${log.place}`, ...options, ...acls].join(' ')
}

/** Bits of IPv4 addresses that are told: 32 = all. */
const clientNetmask: Kind<number> = {
  grammar: 'MASK|/BITS|no_addr',
  limits: '',
  initial: 32,
  read(line) {
    const word = needWord(line, 'a mask')
    if (word === undefined) return undefined
    if (word.text === 'no_addr' || word.text === 'none') return 32
    const bits = /^\/?(\d{1,2})$/.exec(word.text)?.[1]
    const count = bits === undefined ? bitsOfMask(parseIPv4(word.text)) : Number(bits)
    if (count >= 0 && count <= 32) return count
    line.fatal(`${line.name}: '${word.text}' is no mask`, word, 'for example: 255.255.255.0')
    return undefined
  },
  write: bits => [bits === 32 ? 'no_addr' : `/${bits}`],
}

/** -1: ones behind zeros. */
const bitsOfMask = (mask: number): number => {
  const ones = mask < 0 ? 33 : Math.clz32(~mask)
  return mask >= 0 && maskWord(ones) === mask ? ones : -1
}

export const logDirectives = {
  logformat: works(
    logFormats,
    `A format for access_log: text with %codes, taken to the end of the line as it stands. The built-in names cannot be given
away. %j in front of a code makes its value fit to stand in a JSON string. Passwords are left out, whatever is asked for:
of Authorization only the scheme is logged, of URIs no user information.`,
    { example: 'logformat brief %ts %>a %Ss/%03>Hs %rm %ru\nlogformat mine {"uri":"%j>ru","agent":"%j{User-Agent}>h"}' },
  ),
  access_log: works(
    accessLogs,
    `Where a line per transaction is written. Modules: stdio:PATH (also /dev/stdout), daemon:PATH (the same file, written
by ourselves), syslog:FACILITY.PRIORITY, udp://HOST:PORT (a datagram per line), tcp://HOST:PORT. Several lines: each that
matches its ACLs is written; "none" ends logging of what matches it. The older style names the format as a word before the
ACLs. Built-in formats: squid, common, combined, referrer, useragent, json. Lines are gathered up to buffer-size, a second
at most. Whatever is wrong with a place, nobody waits for it: lines wait in 8 MB of memory, then they are dropped, counted
(room_counters) and told in cache.log. on-error=die ends the proxy when a line is lost; the default is drop, unlike
Squid's.`,
    {
      aliases: ['cache_access_log'],
      default: 'daemon:/var/log/glassquid/access.log squid',
      example: 'access_log none localhost\naccess_log stdio:/var/log/glassquid/access.log logformat=combined',
    },
  ),
  cache_log: works(cacheLog, 'Where the proxy tells about itself: a path, /dev/stderr, or none.', {
    default: '/var/log/glassquid/cache.log',
  }),
  session_log: works(
    wordOrNone('[stdio:]PATH'),
    `Where a line of JSON per session is written when it is over, whatever the protocol: its service, rule and verdict, both
addresses and both zones, bytes, how it ended. A session is one client connection; what was asked on it is in the access
log.`,
    { default: 'none', example: 'session_log /var/log/glassquid/session.log' },
  ),
  debug_options: works(
    debugOptions,
    `How much cache_log tells, by section. 0 is only what is serious, 1 the usual. More than that is told of each transaction when it
is over: 33,2 what was asked and what came of it; 11,2 both heads, secrets masked; 28,3 the http_access line that decided; 22,3 and
20,3 why a stored response was used or not, and stored or not; 17,3 and 102,3 how the server was chosen and reached; 78,3 what names
took; 83,3 TLS at both ends; 93,3 ICAP; 89,3 where an intercepted client was going; 26,3 tunnels; 101,3 sessions. "-k debug" turns
everything on, and off again; "glassquid explain" tells of one request without a log.`,
    {
      default: 'ALL,1',
      example: 'debug_options ALL,1 33,2',
    },
  ),
  logfile_rotate: works(
    count({ max: 1000 }),
    'How many old log files "-k rotate" keeps (NAME.0 is the youngest). 0 only opens the files anew, for logrotate.',
    { default: '10' },
  ),
  strip_query_terms: works(onOff(), 'Leaves out what stands after "?" in logged URIs. It may hold secrets.', {
    default: 'on',
  }),
  cache_store_log: works(
    cacheLog,
    `A line for each response that is written to a cache_dir (SWAPOUT), read from one into memory (SWAPIN), let go (RELEASE),
or could not be written (SO_FAIL), in the format of Squid's store.log: time, action, number of the cache_dir, number in it,
key, status, Date, Last-Modified, end of freshness, type, Content-Length/bytes, method, URI. What was never stored has a
RELEASE without a directory (-1 FFFFFFFF). Worth its lines when a cache is examined, and not longer.`,
    { default: 'none', example: 'cache_store_log /var/log/glassquid/store.log' },
  ),
  stats_collection: works(
    accessList('fast'),
    "Which requests of clients count in the manager's figures and in client_list. Logs have them all.",
    { default: 'allow all', example: 'acl watcher src 192.0.2.9\nstats_collection deny watcher\nstats_collection allow all' },
  ),
  log_mime_hdrs: works(
    onOff(),
    'Appends the fields of request and response, as [...] [...], to lines of the formats squid and common. Credentials are left out.',
    { default: 'off' },
  ),
  buffered_logs: accepted(
    onOff(),
    'Lines are always gathered, for a second at most: a gain without the wait for a full buffer that "on" means in Squid.',
    { default: 'off' },
  ),
  client_netmask: works(
    clientNetmask,
    `How much of a client's address is told in access_log, session_log and the page client_list: 255.255.255.0, or /24, is
a network of 256. Of an IPv6 address the first 64 bits are then left, where Squid tells all. ACLs, those of access_log too,
see the whole. What clients write into fields themselves (X-Forwarded-For) is not changed.`,
    { default: 'no_addr', example: 'client_netmask 255.255.255.0' },
  ),
  log_uses_indirect_client: works(onOff(), 'Logs the client that follow_x_forwarded_for has found.', { default: 'on' }),
  cache_log_message: accepted(
    kept('id=N|ids=N-M [level=N] [limit=N]'),
    'The numbers are those of messages of Squid. What could fill cache.log here is told once a minute, with how often it was.',
  ),
  logfile_daemon: accepted(word('PATH'), 'Logs of daemon: are written by the proxy itself, which never waits for a disk.'),
  mime_table: later(word('PATH'), 'Types and icons of FTP listings.', { family: 'FTP' }),
  icap_log: works(
    icapLogs,
    `Where a line per ICAP transaction is written, OPTIONS included; as access_log, with icap_squid for the format that is not
named. The codes icap::... are about it, all others about the transaction it was for.`,
    { example: 'icap_log stdio:/var/log/glassquid/icap.log icap_squid' },
  ),
  netdb_filename: later(wordOrNone('PATH'), 'Where measured distances to origins are kept.', { family: 'netdb', off: 'none' }),
}
