import type { Line } from '../line.ts'
import type { AclUse, Location } from '../config.ts'
import { nearest } from '../nearest.ts'
import { readOnOff, readTime, wholeNumber } from '../values.ts'
import { accessList, namedAccessList, readUses } from './access.ts'
import { accepted, works } from './directive.ts'
import { count, lines, needWord, onOff, word } from './kinds.ts'

// ICAP services and which messages they see.

export interface IcapServiceLine {
  readonly name: string
  readonly vector: 'reqmod' | 'respmod'
  readonly uri: string
  readonly host: string
  readonly port: number
  readonly bypass: boolean
  readonly connectionsMax: number | null
  readonly onOverload: 'block' | 'bypass' | 'wait' | 'force'
  readonly text: string
  readonly at: Location
}

export interface AdaptationGroupLine {
  readonly name: string
  readonly services: readonly string[]
  readonly text: string
  readonly at: Location
}

export interface AdaptationMetaLine {
  readonly name: string
  readonly value: string
  /** `value` has %codes. */
  readonly isFormat: boolean
  readonly acls: readonly AclUse[]
  readonly text: string
  readonly at: Location
}

export interface FailureLimit {
  /** -1 = any number. */
  readonly failures: number
  /** Milliseconds; 0 = for ever. */
  readonly windowMs: number
}

const vectors: Readonly<Record<string, 'reqmod' | 'respmod' | null>> = {
  reqmod_precache: 'reqmod',
  respmod_precache: 'respmod',
  reqmod_postcache: null,
  respmod_postcache: null,
}

/** Options may stand before the URI, and an old conf says `1` for bypass=on. */
const readService = (line: Line): IcapServiceLine | undefined => {
  const name = needWord(line, 'a name')
  const point = name === undefined ? undefined : needWord(line, 'reqmod_precache or respmod_precache')
  if (name === undefined || point === undefined) return undefined
  const vector = Object.hasOwn(vectors, point.text) ? vectors[point.text] : undefined
  if (vector === undefined || vector === null) {
    const like = nearest(point.text, ['reqmod_precache', 'respmod_precache'])
    line.fatal(`${line.name}: expecting reqmod_precache or respmod_precache, got '${point.text}'`, point, like === null ? 'Squid has no other either' : `did you mean ${like}?`)
    return undefined
  }
  let uri = ''
  const options = new Map<string, string>()
  for (let next = line.next(); next !== null; next = line.next()) {
    if (/^icaps?:\/\//i.test(next.text)) uri = next.text
    else if (next.text.includes('://')) {
      line.fatal(`${line.name}: expecting icap://HOST[:PORT]/SERVICE, got '${next.text}'`, next)
      return undefined
    } else if (next.text === '0' || next.text === '1') options.set('bypass', next.text)
    else if (/^[a-z-]+=/.test(next.text)) options.set(next.text.slice(0, next.text.indexOf('=')), next.text.slice(next.text.indexOf('=') + 1))
    else {
      line.fatal(`${line.name}: unknown option '${next.text}'`, next, 'options are bypass=on|off, max-conn=N, on-overload=block|bypass|wait|force')
      return undefined
    }
  }
  const place = /^icap:\/\/(?:\[([0-9a-f:.]+)\]|([^:/[\]]+))(?::(\d{1,5}))?(?:\/|$)/i.exec(uri)
  const port = Number(place?.[3] ?? 1344)
  if (place === null || port < 1 || port > 65_535) {
    const secure = /^icaps:/i.test(uri)
    line.fatal(`${line.name}: expecting icap://HOST[:PORT]/SERVICE, got '${uri}'`, null, secure ? 'icaps is not spoken yet' : '')
    return undefined
  }
  const bypass = readOnOff((options.get('bypass') ?? 'off').replace(/^1$/, 'on').replace(/^0$/, 'off'))
  if (!bypass.ok) line.fatal(`${line.name}: bypass: ${bypass.message}`, null, bypass.hint)
  const most = options.get('max-conn')
  const connectionsMax = most === undefined ? null : wholeNumber(most)
  if (most !== undefined && (connectionsMax === null || connectionsMax < 1)) line.fatal(`${line.name}: max-conn needs a number from 1 on`)
  const overload = options.get('on-overload') ?? (bypass.ok && bypass.value ? 'bypass' : 'wait')
  if (overload !== 'block' && overload !== 'bypass' && overload !== 'wait' && overload !== 'force') {
    line.fatal(`${line.name}: on-overload is block, bypass, wait or force, not '${overload}'`)
    return undefined
  }
  for (const option of options.keys()) {
    if (option === 'routing') line.warning(`${line.name}: routing= is not followed: services do not choose the next one`)
    else if (!['bypass', 'max-conn', 'on-overload', 'ipv6'].includes(option)) line.warning(`${line.name}: option ${option}= is ignored`)
  }
  if (!bypass.ok) return undefined
  return {
    name: name.text, vector, uri, host: place[1] ?? place[2] ?? '', port, bypass: bypass.value, connectionsMax,
    onOverload: overload, text: line.read, at: line.at(),
  }
}

const readGroup = (line: Line): AdaptationGroupLine | undefined => {
  const name = needWord(line, 'a name')
  const services: string[] = []
  for (let next = line.next(); next !== null; next = line.next()) services.push(next.text)
  if (name === undefined) return undefined
  if (services.length > 0) return { name: name.text, services, text: line.read, at: line.at() }
  line.fatal(`${line.name} needs the names of services`)
  return undefined
}

const readMeta = (line: Line): AdaptationMetaLine | undefined => {
  const name = needWord(line, 'the name of a field')
  const value = name === undefined ? undefined : line.quotable()
  if (value === null) line.fatal(`${line.name} needs a value`)
  if (name === undefined || value === undefined || value === null) return undefined
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name.text)) {
    line.fatal(`${line.name}: '${name.text}' is no name of a field`, name)
    return undefined
  }
  return { name: name.text, value: value.text, isFormat: value.quoted && line.scope.quotedValues, acls: readUses(line, 'fast'), text: line.read, at: line.at() }
}

const failureLimit = {
  grammar: 'N [in TIME]',
  limits: '-1: any number',
  initial: { failures: 10, windowMs: 0 } as FailureLimit,
  read(line: Line): FailureLimit | undefined {
    const first = needWord(line, 'a number')
    const failures = first === undefined ? null : wholeNumber(first.text)
    if (first === undefined || failures === null || failures < -1) {
      if (first !== undefined) line.fatal(`${line.name}: expecting a number, got '${first.text}'`, first)
      return undefined
    }
    if (line.next() === null) return { failures, windowMs: 0 }
    const time = needWord(line, 'a time')
    const read = time === undefined ? undefined : readTime(time.text, line.peek()?.text, 1000, 1)
    if (read === undefined || !read.ok) {
      if (read !== undefined) line.fatal(`${line.name}: ${read.message}`, time ?? null, read.hint)
      return undefined
    }
    if (read.words === 2) line.next()
    return { failures, windowMs: read.value }
  },
  write: ({ failures, windowMs }: FailureLimit) => [windowMs === 0 ? String(failures) : `${failures} in ${windowMs / 1000} seconds`],
}

export const icapDirectives = {
  icap_enable: works(onOff(), 'Shows messages to the services of icap_service that adaptation_access names.', {
    default: 'off',
    example: `icap_enable on
icap_service scan respmod_precache icap://127.0.0.1:1344/srv_clamav bypass=off
adaptation_access scan allow all`,
  }),
  icap_service: works(
    lines('NAME reqmod_precache|respmod_precache URI [bypass=on|off] [max-conn=N] [on-overload=block|bypass|wait|force]', readService),
    `A service that may change or answer messages (RFC 3507): requests after http_access, responses before they are stored.
bypass=on: when it fails messages go on as they are; otherwise the client gets 500 ERR_ICAP_FAILURE. No more than 64 KB of
a message is kept for a service that might not want it (204) or fail; after that the message ends where the service does.`,
    { example: 'icap_service filter reqmod_precache icap://127.0.0.1:1344/url_check bypass=on' },
  ),
  icap_service_failure_limit: works(failureLimit, 'After more failures than this a service rests. "in TIME": older ones are forgotten.', {
    default: '10',
  }),
  icap_service_revival_delay: works(count(), 'Seconds a failed service rests before its OPTIONS are asked again.', { default: '180' }),
  icap_preview_enable: works(onOff(), 'Sends the beginning of content first, where a service wants that, and the rest when it asks.', {
    default: 'on',
  }),
  icap_preview_size: works(count({ min: -1 }), 'The most bytes of a preview; -1: as many as the service asks for.', { default: '-1' }),
  icap_206_enable: accepted(onOff(), 'Services are not told that they may answer with a part (206), so none does: it says 204, or sends the whole.', { default: 'on' }),
  icap_default_options_ttl: works(count(), "Seconds a service's OPTIONS are kept when it names none.", { default: '60' }),
  icap_persistent_connections: works(onOff(), 'Keeps connections to services.', { default: 'on' }),
  icap_client_username_header: works(word('FIELD'), 'The field that carries the user name.', { default: 'X-Client-Username' }),
  icap_client_username_encode: works(onOff(), 'The user name is sent in base64, as are names a field cannot hold.', { default: 'off' }),
  icap_retry: works(
    accessList('fast'),
    `Which messages are shown to a service again that has failed before anything of its answer came, while what was shown
is kept (64 KB). A kept connection that had ended meanwhile does not count: that is tried again in any case.`,
    { default: 'deny all' },
  ),
  icap_retry_limit: works(count({ max: 100 }), 'How often a message may be shown to one service again (icap_retry).', { default: '0' }),
  adaptation_send_client_ip: works(onOff(), "Tells services the client's address, in X-Client-IP.", {
    aliases: ['icap_send_client_ip'],
    default: 'off',
  }),
  adaptation_send_username: works(onOff(), 'Tells services the name of the user, if there is one.', {
    aliases: ['icap_send_client_username'],
    default: 'off',
  }),
  adaptation_uses_indirect_client: works(
    onOff(),
    'The client adaptation_send_client_ip tells of is the one follow_x_forwarded_for has found, not who is connected.',
    { aliases: ['icap_uses_indirect_client'], default: 'on' },
  ),
  adaptation_service_set: works(lines('NAME SERVICE ...', readGroup), `Services of which the first that works is used; when it
fails before anything of its answer has come, the next.`),
  adaptation_service_chain: works(lines('NAME SERVICE ...', readGroup), 'Services that all see the message, one after the other.'),
  adaptation_access: works(
    namedAccessList('SERVICE|STACK', 'slow'),
    `Which messages a service, set, chain or stacked program sees: for requests and for responses the first that allows.
Without a line it is not used. A stack line with a program and direction=to_server is for what requests bring, to_client for
responses; programs need no icap_enable. For responses names are not looked up: an ACL that would have to does not match.`,
    { example: 'icap_service scan respmod_precache icap://127.0.0.1:1344/echo\nadaptation_access scan allow all' },
  ),
  adaptation_service_iteration_limit: works(
    count({ min: 1 }),
    'How many services a set or a chain may have. Services do not choose the next one here, so there are no loops to be ended.',
    { default: '16' },
  ),
  adaptation_masterx_shared_names: works(
    word('FIELD'),
    'A field that services share: what one says in it beside its answer, those that see the same request or its response after it are told.',
    { example: 'adaptation_masterx_shared_names X-Subscriber-ID' },
  ),
  adaptation_meta: works(lines('NAME VALUE [[!]ACL ...]', readMeta), `Fields services are told with a message.
In quotes the value may hold blanks, and with configuration_includes_quoted_values the %codes of logformat.`, {
    example: 'adaptation_meta X-Department sales',
  }),
}
