import { type Endpoint, errorTable, type FieldView, type IcapRecord, type Outcome } from '../../base/index.ts'
import { Fields, reasonPhrase } from '../../http/index.ts'
import { resultText } from '../result-text.ts'
import { compileStrftime } from './strftime.ts'
import { withoutSecrets } from './secrets.ts'
import { loggedUri, mediaType } from './uri-text.ts'

// What each %code stands for. A value that is not there, or '' , is printed as `-`.

/** When a line is written, and as which of its log. */
export interface LineMoment {
  wallMs: number
  sequence: number
  /** Of icap_log. */
  icap: IcapRecord | null
}

export type Value = (outcome: Outcome, moment: LineMoment) => string

/** What stands around a code in the format. */
export interface CodeUse {
  /** Between { and }; '' = none. */
  readonly argument: string
  readonly stripQuery: boolean
  /** It is for a program that decides, not for a log. */
  readonly tellsSecrets: boolean
  /** `.N` of the widths; 0 = none. */
  readonly precision: number
}

export interface Code {
  readonly doc: string
  /** A number: `0` pads it with zeros, `.N` does not cut it. */
  readonly number?: true
  /** Comes from a peer: encoded by default. Other codes are encoded only where the format says so. */
  readonly peer?: true
  /** It is always missing: whoever writes it into a format is told so. */
  readonly silent?: true
  /** What is missing takes the width of the code, too; of all others its `-` stands alone, as Squid has it. */
  readonly wideDash?: true
  readonly value: (use: CodeUse) => Value
}

const plain = (doc: string, value: Value): Code => ({ doc, value: () => value })
const peer = (doc: string, value: Value): Code => ({ doc, peer: true, value: () => value })
const number = (doc: string, value: (outcome: Outcome, moment: LineMoment) => number): Code => ({
  doc,
  number: true,
  value: () => (outcome, moment) => {
    const n = value(outcome, moment)
    return n < 0 ? '' : String(n)
  },
})
const icapText = (doc: string, value: (icap: IcapRecord) => string): Code => plain(doc, (_, m) => (m.icap === null ? '' : value(m.icap)))
const icapNumber = (doc: string, value: (icap: IcapRecord) => number): Code => number(doc, (_, m) => (m.icap === null ? -1 : Math.floor(value(m.icap))))
/** Known, and nothing to say. */
const silent = (doc: string): Code => ({ doc, silent: true, value: () => () => '' })

const asked = (o: Outcome): string => o.askedUri || o.uri

/** '' where no client asked. */
export const clientAddress = (o: Outcome): string => (o.initiator === 'validation' ? '' : o.client.address)
const listeningEnd = (o: Outcome): Endpoint | null => o.introduced?.local ?? (o.taken === 'direct' ? o.clientLocal : null)
const introducedFields = ({ introduced }: Outcome): FieldView | null => (introduced === null ? null : Fields.from(introduced.pairs))
const contentBytes = (o: Outcome): number => Math.max(0, o.responseBytes - o.responseHeadBytes)

/** A server that said 304, or nothing at all, had no content: what was sent is ours. Of a range the whole is meant. */
const wholeBytes = (o: Outcome): number => {
  if (o.serverContentBytes > 0 || (o.serverContentBytes === 0 && o.serverStatus !== 304 && o.error === null)) return o.serverContentBytes
  const whole = o.status === 206 ? /\/(\d{1,15})$/.exec(o.responseFields?.get('content-range') ?? '')?.[1] : undefined
  return whole === undefined ? contentBytes(o) : Number(whole)
}
const hexadecimal = (n = 0): string => `0x${n.toString(16)}`
export const elapsedMs = (o: Outcome): number => Math.max(0, Math.floor(o.endedMono - o.startedMono))

export const codes: Readonly<Record<string, Code>> = {
  // client
  '>a': plain("the client's address; - where the cache itself asked", clientAddress),
  '>A': plain("the client's name; its address, since names are not looked up for logs", clientAddress),
  '>p': number("the client's port", o => o.client.port),
  '>eui': plain("the client's Ethernet address, where eui_lookup is on and it is a neighbour", o => o.clientHardware),
  '>la': plain('the address the client connected to; intercepted: where it was going', o => o.clientLocal.address),
  '>lp': number('the port the client connected to', o => o.clientLocal.port),
  'la': plain('our listening address; not told for intercepted connections', o => listeningEnd(o)?.address ?? ''),
  'lp': number('our listening port; not told for intercepted connections', o => listeningEnd(o)?.port ?? -1),
  '>qos': plain('TOS of packets to the client', o => hexadecimal(o.packets?.clientTos)),
  '>nfmark': plain('netfilter mark of packets to the client', o => hexadecimal(o.packets?.clientMark)),
  'transport::>connection_id': plain('number of the client connection: its session', o => /:(\d+)/.exec(o.sessionId)?.[1] ?? ''),

  // server
  '<a': plain("the last server's address", o => o.server?.address ?? ''),
  '<A': plain("the last server's name: of a cache_peer its own, else the request's host", o => o.peer || (o.server === null ? '' : uriParts(o.uri).host)),
  '<p': number("the last server's port", o => o.server?.port ?? -1),
  '<la': plain("our address towards the server; forged: the client's", o => o.serverLocal?.address ?? ''),
  '<lp': number('our port towards the server', o => o.serverLocal?.port ?? -1),
  '<qos': plain('TOS of packets to the server', o => (o.server === null ? '' : hexadecimal(o.packets?.serverTos))),
  '<nfmark': plain('netfilter mark of packets to the server', o => (o.server === null ? '' : hexadecimal(o.packets?.serverMark))),

  // time
  'ts': number('seconds since 1970', (_, m) => Math.floor(m.wallMs / 1000)),
  'tu': { doc: 'milliseconds of the second', number: true, value: ({ precision }) => (_, m) => String(subsecond(m.wallMs, precision)) },
  'tl': { doc: 'local time, strftime', value: u => { const t = compileStrftime(u.argument || '%d/%b/%Y:%H:%M:%S %z', 'local'); return (_, m) => t(m.wallMs) } },
  'tg': { doc: 'GMT, strftime', value: u => { const t = compileStrftime(u.argument || '%d/%b/%Y:%H:%M:%S', 'gmt'); return (_, m) => t(m.wallMs) } },
  'tr': number('milliseconds the transaction took', elapsedMs),
  'dt': number('milliseconds spent waiting for DNS', o => Math.floor(o.dnsMs)),
  'tS': plain('when the transaction began, seconds.milliseconds', o => `${Math.floor(o.startedAt / 1000)}.${String(Math.floor(o.startedAt % 1000)).padStart(3, '0')}`),
  'busy_time': silent('CPU time of the transaction'),
  '<pt': number("milliseconds from the request's last byte to the response's last one", o => Math.floor(o.serverResponseMs)),
  '<tt': number('milliseconds with servers in all', o => Math.floor(o.serverTotalMs)),

  // request
  'rm': plain('method', o => o.method),
  '>rm': plain('method as received', o => o.method),
  '<rm': plain('method as sent', o => o.method),
  'ru': { doc: 'URI, without its query when strip_query_terms is on', value: ({ stripQuery }) => o => loggedUri(asked(o), stripQuery) },
  '>ru': peer('URI as received', o => loggedUri(asked(o), false)),
  '<ru': peer('URI as sent to a server; of what is answered without one as it would have been', o => loggedUri(o.uri, false)),
  '>rs': plain('scheme', o => uriParts(asked(o)).scheme),
  '<rs': plain('scheme as sent', o => uriParts(o.uri).scheme),
  '>rd': plain('host', o => uriParts(asked(o)).host),
  '<rd': plain('host as sent', o => uriParts(o.uri).host),
  '>rP': plain('port', o => uriParts(asked(o)).port),
  '<rP': plain('port as sent', o => uriParts(o.uri).port),
  '>rp': peer('path and query', o => uriParts(asked(o)).path),
  '<rp': peer('path and query as sent', o => uriParts(o.uri).path),
  'rv': plain('protocol version', o => `1.${o.versionMinor}`),
  '>rv': plain('protocol version', o => `1.${o.versionMinor}`),
  '<rv': plain('protocol version as sent', o => (o.server === null ? '' : '1.1')),
  '>h': { doc: 'request field, or all', peer: true, value: u => fieldValue(u.argument, o => o.requestFields, () => '', u.tellsSecrets) },
  '>ha': { doc: 'request field after adaptation by ICAP, or all', peer: true, value: u => fieldValue(u.argument, o => o.adaptedFields ?? o.requestFields, () => '', u.tellsSecrets) },
  'sn': number('number of the line in its log', (_, m) => m.sequence),

  // reply
  '>Hs': number('status sent to the client', o => o.status),
  '<Hs': number('status of the server', o => o.serverStatus || -1),
  'mt': { doc: 'media type', wideDash: true, value: () => o => mediaType(o.contentType) },
  '<h': { doc: 'response field as the client got it, or all', peer: true, value: u => fieldValue(u.argument, o => o.responseFields, statusLine) },

  // sizes
  'st': number('bytes of request and response', o => o.requestHeadBytes + o.requestContentBytes + o.responseBytes),
  '>st': number('bytes of the request', o => o.requestHeadBytes + o.requestContentBytes),
  '<st': number('bytes of the response', o => o.responseBytes),
  '>sh': number("bytes of the request's head", o => o.requestHeadBytes),
  '<sh': number("bytes of the response's head", o => o.responseHeadBytes),
  '<sH': number('bytes of content sent', contentBytes),
  '<sS': number('bytes of content the server or the cache had; of an error page its own', wholeBytes),
  '<bs': number('bytes of content from the server', o => (o.serverStatus === 0 && o.serverContentBytes === 0 && o.error !== null ? -1 : o.serverContentBytes)),

  // result
  'Ss': plain('result code', resultText),
  'Sh': plain('hierarchy code', o => (o.icpTimedOut ? `TIMEOUT_${o.hierarchy}` : o.hierarchy)),
  'err_code': plain('error page', o => (o.error === null ? '' : errorTable[o.error].page)),
  'err_detail': peer('what went wrong', o => o.errorDetail),
  'request_attempts': number('connections tried', o => o.attempts),
  'note': { doc: 'annotations: of that name, or all', peer: true, value: u => noteValue(u.argument) },
  'master_xaction': number('number of the transaction', o => o.number),
  'credentials': silent('what the client proves itself by, which no log is told'),

  // ours
  'glass::taken': plain('how the connection came: tproxy, nat or direct', o => o.taken),
  'glass::session': plain('path of the session: service and number', o => o.sessionId),
  'glass::port': plain("the listener's name", o => o.portName),
  'glass::reuse': plain('why the cache answered as it did', o => o.reuseReason),
  'glass::store': plain('why the response was stored or not', o => o.storeReason),
  'glass::rule': plain('the line of http_access that decided', o => o.accessLine),
  'glass::error': plain('what went wrong, as our own tables call it', o => o.error ?? ''),
  'glass::forged': plain("yes: the server was asked with the client's address", o => (o.forged ? 'yes' : '')),

  // users
  'un': plain('user name: proved, or else from a helper', o => o.user || o.helperUser),
  'ul': plain('user name from authentication', o => o.user),
  'ue': plain('user name from an external ACL helper', o => o.helperUser),
  'et': plain('tag from an external ACL helper', o => o.tag),
  'ea': plain('log text from an external ACL helper', o => o.helperLog),

  // TLS, PROXY protocol, adaptation
  'ssl::bump_mode': plain('how TLS was treated: splice, bump, terminate ...', o => o.clientTls?.bumpMode ?? ''),
  'ssl::>sni': { doc: 'the server as the TLS client called it', peer: true, value: () => o => o.clientTls?.sni ?? '' },
  'ssl::>cert_subject': { doc: "whom the client's certificate names", peer: true, value: () => o => o.clientTls?.certificateSubject ?? '' },
  'ssl::>cert_issuer': { doc: "who signed the client's certificate", peer: true, value: () => o => o.clientTls?.certificateIssuer ?? '' },
  'ssl::<cert_subject': peer("subject of the server's certificate", o => o.serverTls?.subject ?? ''),
  'ssl::<cert_issuer': peer("issuer of the server's certificate", o => o.serverTls?.issuer ?? ''),
  'ssl::<cert': peer("the server's certificate, PEM", o => o.serverTls?.certificate ?? ''),
  'ssl::<cert_errors': { doc: "what is wrong with the server's certificate; the separator is ':' or the argument", peer: true, value: u => certificateErrors(u.argument) },
  'ssl::>negotiated_version': plain('TLS version with the client', o => o.clientTls?.version ?? ''),
  'ssl::<negotiated_version': plain('TLS version with the server', o => o.serverTls?.version ?? ''),
  'ssl::>negotiated_cipher': plain('cipher with the client', o => o.clientTls?.cipher ?? ''),
  'ssl::<negotiated_cipher': plain('cipher with the server', o => o.serverTls?.cipher ?? ''),
  'ssl::>received_hello_version': plain('version of the ClientHello', o => o.clientTls?.helloVersion ?? ''),
  'ssl::<received_hello_version': silent('version of the ServerHello'),
  'ssl::>received_supported_version': plain('highest version the client offered', o => o.clientTls?.supportedVersion ?? ''),
  'ssl::<received_supported_version': silent('highest version of the server'),
  'ssl::>handshake': silent('the raw handshake'),
  '>handshake': silent('the first bytes of the client'),
  'proxy_protocol::>h': { doc: 'what a PROXY protocol header said: a name, a TLV by its number, or all', peer: true, value: u => fieldValue(u.argument, introducedFields, () => '') },
  'adapt::all_trs': plain('milliseconds of each ICAP transaction; those with one service joined by +', o => stepsOf(o).map(step => step.map(wholeMs).join('+')).join(',')),
  'adapt::sum_trs': plain('milliseconds with each ICAP service', o => stepsOf(o).map(step => wholeMs(sumOf(step))).join(',')),
  'adapt::<last_h': { doc: 'field of the last ICAP response, or all', peer: true, value: u => fieldValue(u.argument, o => o.adaptations?.at(-1)?.responseFields ?? null, () => '') },
  'icap::tt': number('milliseconds with ICAP services in all', o => (o.adaptations === null ? -1 : Math.floor(sumOf(o.adaptations.map(one => one.tookMs))))),

  // of icap_log
  'icap::ru': icapText('URI of the service', i => i.uri),
  'icap::rm': icapText('REQMOD, RESPMOD or OPTIONS', i => i.method),
  'icap::>st': icapNumber('bytes sent to the service', i => i.bytesSent),
  'icap::<st': icapNumber('bytes received from the service', i => i.bytesReceived),
  'icap::<bs': icapNumber('bytes of content received from the service', i => i.contentBytes),
  'icap::tr': icapNumber('milliseconds the ICAP transaction took', i => i.tookMs),
  'icap::tio': icapNumber('of these, those with a connection to the service', i => i.withServiceMs),
  'icap::to': icapText('what came of it: ICAP_ECHO, ICAP_MOD, ICAP_SAT, ICAP_OPT, ICAP_GONE, ICAP_ERR_...', i => i.outcome),
  'icap::Hs': icapNumber('status of the ICAP response', i => i.status),
  'icap::<A': icapText('address of the service', i => i.server?.address ?? ''),
  'icap::<service_name': icapText('name of the service', i => i.service),
  'icap::>h': { doc: 'field of the ICAP request, or all', peer: true, value: u => icapField(u.argument, i => i.requestFields) },
  'icap::<h': { doc: 'field of the ICAP response, or all', peer: true, value: u => icapField(u.argument, i => i.responseFields) },
}

/** Squid's former names. */
export const formerCodes: Readonly<Record<string, string>> = {
  'Hs': '>Hs',
  'oa': '<la',
  '>v': '>rv',
  'rp': '>rp',
  'rG': '>rp',
  'us': 'un',
  'ui': 'un',
}

/** Digits as Squid counts them: `%.6tu` are hundred-thousandths. */
const subsecond = (wallMs: number, precision: number): number => {
  const micro = Math.floor((wallMs % 1000) * 1000)
  return Math.floor(micro / (precision > 1 ? 10 ** (7 - Math.min(precision, 7)) : 1000))
}

interface UriParts {
  readonly scheme: string
  readonly host: string
  readonly port: string
  readonly path: string
}

const uriParts = (uri: string): UriParts => {
  if (uri === partsOf) return parts
  partsOf = uri
  parts = split(uri)
  return parts
}

const split = (uri: string): UriParts => {
  const found = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)(?::(\d*))?([/?#].*)?$/is.exec(uri)
  if (found === null || uri.startsWith('error:')) return { scheme: '', host: '', port: '', path: '' }
  const [, scheme = '', host = '', port = '', path = ''] = found
  const usual = scheme === 'http' ? '80' : scheme === 'https' ? '443' : ''
  return { scheme, host, port: port || usual, path }
}

/** Several codes of a line ask for the same URI. */
let partsOf = ''
let parts: UriParts = split('')

/** `Name`, `Name:item`, `Name:;item`; '' = the whole head. */
const fieldValue = (argument: string, fieldsOf: (o: Outcome) => FieldView | null, firstLine: (o: Outcome) => string, tellsSecrets = false): Value => {
  const toldOf = tellsSecrets ? (_: string, value: string): string => value : withoutSecrets
  if (argument === '') return o => wholeHead(fieldsOf(o), firstLine(o))
  const colon = argument.indexOf(':', 1) // those of the PROXY protocol begin with one
  const name = (colon < 0 ? argument : argument.slice(0, colon)).toLowerCase()
  if (colon < 0) return o => toldOf(name, fieldsOf(o)?.joined(name) ?? '')
  const rest = argument.slice(colon + 1)
  const separator = /^[,;:]/.test(rest) ? rest.charAt(0) : ','
  const item = separator === rest.charAt(0) ? rest.slice(1) : rest
  return o => itemOf(toldOf(name, fieldsOf(o)?.joined(name) ?? ''), separator, `${item}=`)
}

const itemOf = (list: string, separator: string, start: string): string => {
  for (const item of splitList(list, separator)) if (item.startsWith(start)) return item.slice(start.length)
  return ''
}

/** `NAME@depth=N`, as Squid writes them. */
const certificateErrors = (argument: string): Value => {
  const between = argument || ':'
  return ({ serverTls }) => serverTls?.errors.map(({ name, depth }) => `${name}@depth=${depth}`).join(between) ?? ''
}

/** `name`, `name:separator`; '' = all, a line each. */
const noteValue = (argument: string): Value => {
  if (argument === '') {
    return ({ notes }) => {
      let lines = ''
      for (let i = 0; notes !== null && i + 1 < notes.pairs.length; i += 2) lines += `${notes.pairs[i]}: ${notes.pairs[i + 1]}\r\n`
      return lines
    }
  }
  const colon = argument.indexOf(':')
  const name = colon < 0 ? argument : argument.slice(0, colon)
  const between = colon < 0 ? ',' : argument.slice(colon + 1) || ','
  return ({ notes }) => (notes === null ? '' : notes.valuesOf(name).join(between))
}

/** As fieldValue, of an ICAP message. */
const icapField = (argument: string, fieldsOf: (icap: IcapRecord) => FieldView | null): Value => {
  let icap: IcapRecord | null = null
  const value = fieldValue(argument, () => (icap === null ? null : fieldsOf(icap)), () => '')
  return (outcome, moment) => {
    icap = moment.icap
    return value(outcome, moment)
  }
}

/** Times of ICAP transactions, those that follow each other with one service together. */
const stepsOf = ({ adaptations }: Outcome): number[][] => {
  const steps: number[][] = []
  let service = ''
  for (const one of adaptations ?? []) {
    if (one.service !== service) steps.push([])
    service = one.service
    steps.at(-1)?.push(one.tookMs)
  }
  return steps
}

const sumOf = (times: readonly number[]): number => times.reduce((sum, time) => sum + time, 0)
const wholeMs = (time: number): string => String(Math.floor(time))

/** A comma always separates, as in Squid: lines of one name are joined by it. Nothing does inside a quoted string. */
const splitList = (list: string, separator: string): string[] => {
  const items: string[] = []
  let from = 0
  let quoted = false
  for (let i = 0; i <= list.length; i++) {
    const c = list.charAt(i)
    if (c === '"' && list.charAt(i - 1) !== '\\') quoted = !quoted
    if (i < list.length && ((c !== separator && c !== ',') || quoted)) continue
    items.push(list.slice(from, i).trim())
    from = i + 1
  }
  return items
}

const wholeHead = (fields: FieldView | null, firstLine: string): string => {
  if (fields === null) return ''
  let head = firstLine
  for (let i = 0; i + 1 < fields.pairs.length; i += 2) {
    const name = fields.pairs[i] ?? ''
    head += `${name}: ${withoutSecrets(name.toLowerCase(), fields.pairs[i + 1] ?? '')}\r\n`
  }
  return firstLine === '' ? head : `${head}\r\n`
}

const statusLine = (o: Outcome): string => `HTTP/1.1 ${o.status} ${reasonPhrase(o.status)}\r\n`
