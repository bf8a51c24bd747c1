import type { AclUse, Location, TlsFlag, TlsVersion } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { readOnOff } from '../values.ts'
import { accessList, readUses, valueList } from './access.ts'
import { accepted, type Kind, works } from './directive.ts'
import { choice, count, kept, needWord, onOff, size, text, word } from './kinds.ts'
import { children } from './programs.ts'
import { likely, readSecureOptions } from './port-tls.ts'

// TLS towards origins, and the certificates clients are shown in their place.

export type OutgoingTlsFlag = TlsFlag | 'DONT_VERIFY_PEER' | 'DONT_VERIFY_DOMAIN'

/** tls_outgoing_options; the same for a cache_peer. Files are read when the conf is compiled. */
export interface OutgoingTls {
  /** `disable`: nothing is fetched by TLS. */
  readonly disabled: boolean
  /** Our certificate, for servers that ask, and its key; null = in the same file. */
  readonly cert: string | null
  readonly key: string | null
  /** OpenSSL's list; '' = the usual ones. */
  readonly cipher: string
  readonly minVersion: TlsVersion
  /** The one version of the old version=; null = all from minVersion on. */
  readonly onlyVersion: TlsVersion | null
  /** SSL_OP_ bits, and the words they were. */
  readonly options: number
  readonly optionWords: string
  readonly caFiles: readonly string[]
  readonly caPaths: readonly string[]
  readonly crlFiles: readonly string[]
  readonly flags: readonly OutgoingTlsFlag[]
  /** What this system trusts is trusted. */
  readonly defaultCa: boolean
  /** Certificates have to name this instead of the request's host; null = the host. */
  readonly domain: string | null
  /** The last line; null = there is none. */
  readonly at: Location | null
}

export const usualOutgoingTls: OutgoingTls = {
  disabled: false,
  cert: null,
  key: null,
  cipher: '',
  minVersion: 'TLSv1',
  onlyVersion: null,
  options: 0,
  optionWords: '',
  caFiles: [],
  caPaths: [],
  crlFiles: [],
  flags: [],
  defaultCa: true,
  domain: null,
  at: null,
}

type Changes = Partial<OutgoingTls>

/** What one `name=value` changes; null: it was refused, and the line has said why. */
type ReadOption = (value: string, before: OutgoingTls, line: Line, word: Word) => Changes | null

const refused = (line: Line, word: Word, message: string, hint = ''): null => {
  line.fatal(`${line.name}: ${message}`, word, hint)
  return null
}

/** By the names of tls_outgoing_options; those of a cache_peer have `ssl` or `tls-` in front. */
export const outgoingTlsOptions: Readonly<Record<string, ReadOption>> = {
  'cert': value => ({ cert: value }),
  'key': value => ({ key: value }),
  'cipher': value => ({ cipher: value }),
  'min-version': (value, _before, line, word) => {
    const version = /^1\.[0-3]$/.test(value) ? versionOf(Number(value.slice(2))) : undefined
    return version === undefined ? refused(line, word, `min-version is 1.0, 1.1, 1.2 or 1.3, got '${value}'`) : { minVersion: version }
  },
  'version': (value, _before, line, word) => {
    if (value === '1') return { onlyVersion: null }
    if (value === '2' || value === '3') return refused(line, word, 'SSL 2 and 3 are not spoken', 'write min-version=1.2')
    const version = /^[4-6]$/.test(value) ? versionOf(Number(value) - 4) : undefined
    return version === undefined ? refused(line, word, `version is a number from 1 to 6, got '${value}'`) : { onlyVersion: version }
  },
  'options': (value, before, line, word) => ({
    options: readSecureOptions(value, before.options, line, word),
    optionWords: before.optionWords === '' ? value : `${before.optionWords}:${value}`,
  }),
  'cafile': (value, before) => ({ caFiles: [...before.caFiles, value] }),
  'capath': (value, before) => ({ caPaths: [...before.caPaths, value] }),
  'crlfile': (value, before) => ({ crlFiles: [...before.crlFiles, value] }),
  'flags': (value, before, line, word) => {
    const flags = [...before.flags]
    for (const name of value.split(/[:,]/)) {
      const flag = outgoingFlags.find(one => one === name)
      if (flag === undefined) return refused(line, word, `Unknown TLS flag '${name}'`, likely(name, outgoingFlags))
      if (flag === 'DONT_VERIFY_PEER') line.warning(`${line.name}: DONT_VERIFY_PEER: certificates of servers are not looked at, anybody can pose as any of them`, word, 'give the CA with cafile=, or tolerate single errors with sslproxy_cert_error')
      if (flag === 'DONT_VERIFY_DOMAIN') line.warning(`${line.name}: DONT_VERIFY_DOMAIN: whoever has any certificate can pose as any server`, word)
      if (!flags.includes(flag)) flags.push(flag)
    }
    return { flags }
  },
  'default-ca': (value, _before, line, word) => {
    const read = readOnOff(value)
    return read.ok ? { defaultCa: read.value } : refused(line, word, `default-ca: ${read.message}`, read.hint)
  },
  'domain': value => ({ domain: value }),
}

const outgoingFlags: readonly OutgoingTlsFlag[] = [
  'DONT_VERIFY_PEER', 'DONT_VERIFY_DOMAIN', 'NO_SESSION_REUSE', 'VERIFY_CRL', 'VERIFY_CRL_ALL', 'NO_DEFAULT_CA', 'DELAYED_AUTH',
  'CONDITIONAL_AUTH',
]

const versionOf = (minor: number): TlsVersion | undefined => (['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const)[minor]

/** Squid's: each word adds to what stands already, also on later lines. */
const outgoing: Kind<OutgoingTls> = {
  grammar: 'disable | [cert=FILE] [key=FILE] [cipher=...] [min-version=1.N] [options=...] [cafile=FILE] [capath=FOLDER] [crlfile=FILE] [flags=...] [default-ca=on|off] [domain=NAME]',
  limits: '',
  initial: usualOutgoingTls,
  adds: true,
  read(line, before) {
    let tls: OutgoingTls = { ...before, at: line.at() }
    for (let next = line.next(); next !== null; next = line.next()) {
      if (next.text === 'disable') {
        tls = { ...usualOutgoingTls, disabled: true, at: line.at() }
        continue
      }
      const changes = readOutgoingOption(next, tls, line)
      if (changes === null) return undefined
      tls = { ...tls, disabled: false, ...changes }
    }
    if (tls.key === null || tls.cert !== null) return tls
    line.fatal(`${line.name}: key= needs the cert= it belongs to`)
    return undefined
  },
  write: tls => [tls.disabled ? 'disable' : outgoingText(tls)],
}

const readOutgoingOption = (next: Word, before: OutgoingTls, line: Line): Changes | null => {
  const at = next.text.indexOf('=')
  const name = at < 0 ? next.text : next.text.slice(0, at)
  // sslcert=, sslkey= and so on are read by Squid, too; the older sslproxy_ lines come by these names
  const plain = Object.hasOwn(outgoingTlsOptions, name) ? name : name.replace(/^(?:ssl|tls-)/, '')
  const read = Object.hasOwn(outgoingTlsOptions, plain) ? outgoingTlsOptions[plain] : undefined
  if (read === undefined) return refused(line, next, `unknown option '${next.text}'`, likely(name, Object.keys(outgoingTlsOptions)))
  const value = at < 0 ? '' : next.text.slice(at + 1)
  return value === '' ? refused(line, next, `option '${name}' needs a value`) : read(value, before, line, next)
}

const outgoingText = (tls: OutgoingTls): string => {
  const { cert, key, cipher, minVersion, onlyVersion, optionWords, caFiles, caPaths, crlFiles, flags, defaultCa, domain } = tls
  const words = [`min-version=${minVersion === 'TLSv1' ? '1.0' : minVersion.slice(4)}`]
  if (cert !== null) words.push(`cert=${cert}`)
  if (key !== null) words.push(`key=${key}`)
  if (cipher !== '') words.push(`cipher=${cipher}`)
  if (onlyVersion !== null) words.push(`version=${4 + (onlyVersion === 'TLSv1' ? 0 : Number(onlyVersion.slice(6)))}`)
  if (optionWords !== '') words.push(`options=${optionWords}`)
  for (const file of caFiles) words.push(`cafile=${file}`)
  for (const folder of caPaths) words.push(`capath=${folder}`)
  for (const file of crlFiles) words.push(`crlfile=${file}`)
  if (flags.length > 0) words.push(`flags=${flags.join(',')}`)
  if (!defaultCa) words.push('default-ca=off')
  if (domain !== null) words.push(`domain=${domain}`)
  return words.join(' ')
}

/** sslproxy_cert_adapt's first word. */
export interface CertAdaptation {
  readonly algorithm: 'setValidAfter' | 'setValidBefore' | 'setCommonName'
  /** setCommonName{NAME}; null = the name of the request. */
  readonly commonName: string | null
}

const adaptation = (line: Line): CertAdaptation | undefined => {
  const next = needWord(line, 'setValidAfter, setValidBefore or setCommonName')
  if (next === undefined) return undefined
  const found = /^(setValidAfter|setValidBefore|setCommonName)(?:\{([^{}]+)\})?$/.exec(next.text)
  const algorithm = found?.[1]
  const commonName = found?.[2] ?? null
  if (algorithm === 'setCommonName') return { algorithm, commonName }
  if ((algorithm === 'setValidAfter' || algorithm === 'setValidBefore') && commonName === null) return { algorithm, commonName }
  refused(line, next, `expecting setValidAfter, setValidBefore or setCommonName{NAME}, got '${next.text}'`, likely(next.text, ['setValidAfter', 'setValidBefore', 'setCommonName']))
  return undefined
}

const signWords = ['signTrusted', 'signUntrusted', 'signSelf'] as const

const signing = (line: Line): (typeof signWords)[number] | undefined => {
  const next = needWord(line, signWords.join(', '))
  const found = signWords.find(one => one === next?.text)
  if (found === undefined && next !== undefined) refused(line, next, `expecting one of ${signWords.join(', ')}, got '${next.text}'`, likely(next.text, signWords))
  return found
}

export interface ValidatorLine {
  readonly command: readonly string[]
  /** Seconds. */
  readonly ttl: number
  readonly cacheBytes: number
}

const validator: Kind<ValidatorLine | null> = {
  grammar: '[ttl=N] [cache=N] PROGRAM [ARGUMENT ...]',
  limits: '',
  initial: null,
  read(line) {
    let ttl = 3600
    let cacheBytes = 64 * 1024 * 1024
    for (let next = line.peek(); next !== null && /^[a-z]+=/.test(next.text); next = line.peek()) {
      line.next()
      const [, name, value] = /^(ttl|cache)=(\d{1,9})$/.exec(next.text) ?? []
      if (name === 'ttl') ttl = Number(value)
      else if (name === 'cache') cacheBytes = Number(value)
      else refused(line, next, `expecting ttl=N or cache=N, got '${next.text}'`)
    }
    const words: string[] = []
    for (let next = line.next(); next !== null; next = line.next()) words.push(next.text)
    if (words.length > 0) return { command: words, ttl, cacheBytes }
    line.fatal(`${line.name} needs a program`)
    return undefined
  },
  write: value => (value === null ? [] : [`ttl=${value.ttl} cache=${value.cacheBytes} ${value.command.join(' ')}`]),
}

export interface KeyLogLine {
  readonly path: string
  readonly acls: readonly AclUse[]
  readonly text: string
  readonly at: Location
}

/** Squid reads options of access_log there, too; there is one file. */
const keyLog: Kind<KeyLogLine | null> = {
  grammar: 'none | [stdio:]PATH [if [!]ACL ...]',
  limits: '',
  initial: null,
  read(line) {
    const place = needWord(line, 'a file, or none')
    if (place === undefined) return undefined
    if (place.text === 'none') return null
    const path = place.text.replace(/^(?:stdio|daemon):/, '')
    if (!path.startsWith('/')) {
      refused(line, place, `expecting a file with its whole path, got '${place.text}'`, 'such as stdio:/var/log/glassquid/keys.log')
      return undefined
    }
    while (/^[a-z-]+=/.test(line.peek()?.text ?? '')) {
      const option = line.next()
      if (option !== null) line.warning(`${line.name}: '${option.text}' has no effect`, option)
    }
    const condition = line.next()
    if (condition !== null && condition.text !== 'if') {
      refused(line, condition, `expecting 'if' and ACLs, got '${condition.text}'`)
      return undefined
    }
    return { path, acls: condition === null ? [] : readUses(line, 'fast'), text: line.read, at: line.at() }
  },
  write: value => [value === null ? 'none' : value.text.replace(/^\S+\s+/, '')],
}

export const tlsOutgoingDirectives = {
  tls_outgoing_options: works(
    outgoing,
    `TLS towards origins: requests for https:// URLs, and what is bumped. Lines add to one another. cert=, key=: our own
certificate, for servers that ask. cafile=, capath=: CAs that are trusted beside those of the system (default-ca=off:
instead of them). crlfile=: revocation lists; then every certificate of a chain is looked up in them.
min-version=1.0 is what Squid says; what OpenSSL thinks safe is the other limit, today 1.2.
The certificate has to name the host of the request. flags: DONT_VERIFY_PEER (nothing is verified), DONT_VERIFY_DOMAIN,
NO_SESSION_REUSE, NO_DEFAULT_CA. disable: nothing is fetched by TLS.`,
    { default: 'min-version=1.0', example: 'tls_outgoing_options min-version=1.2 cafile=/etc/ssl/company.pem' },
  ),
  sslproxy_cert_error: works(
    accessList('fast'),
    `Which errors of servers' certificates are tolerated. It is asked for every error by itself: ssl_error and the ssl::cert...
ACLs see that one. What is not allowed ends in 503 ERR_SECURE_CONNECT_FAIL.`,
    { default: 'deny all', example: 'acl oldDevice dstdomain printer.example.com\nsslproxy_cert_error allow oldDevice ssl::certHasExpired' },
  ),
  sslcrtd_program: accepted(text('COMMAND'), 'Certificates are made within the proxy, without a helper and without its database.'),
  sslcrtd_children: accepted(kept('N [startup=N] [idle=N]'), 'There are no such helpers: see sslcrtd_program.', {
    default: '32 startup=5 idle=1',
  }),
  sslcrtvalidator_program: works(
    validator,
    `A program that has the last word on certificates of servers: told the name, the chain and what OpenSSL finds wrong, it says
which errors there are, and sslproxy_cert_error then whether they are tolerated. Squid's protocol: several lines, the answer
ends with the byte 1. Without an answer the request ends in 500 ERR_GATEWAY_FAILURE. ttl= and cache=: for how many seconds,
and in how many bytes, answers are kept.`,
    { example: 'sslcrtvalidator_program ttl=600 cache=1048576 /usr/local/bin/judge-certificates' },
  ),
  sslcrtvalidator_children: works(children({ max: 32, startup: 5, idle: 1, concurrency: 1, queueMax: null }), 'How many of these programs run.', {
    default: '32 startup=5 idle=1 concurrency=1',
  }),
  tls_key_log: works(
    keyLog,
    `A file for the secrets of TLS sessions with servers and with clients, to read captures with (Wireshark:
"Pre-Master-Secret log"). Whoever has it reads what was said: it is for finding faults, and for the requests its ACLs name.
When a client of an https_port with a certificate of its own is asked about, there is no request yet: src, myportname, time
and the like count.`,
    { default: 'none', example: 'tls_key_log stdio:/var/log/glassquid/keys.log if localhost' },
  ),
  sslproxy_session_ttl: works(count(), 'How long TLS sessions of servers are kept for a shorter handshake, in seconds. Only those of servers without a certificate error.', { default: '300' }),
  sslproxy_session_cache_size: works(size(), 'How much memory these sessions may take. 0: none are kept.', { default: '2 MB' }),
  sslproxy_foreign_intermediate_certs: works(
    word('FILE'),
    'Certificates of CAs, in PEM, that servers forget to send. They complete chains and are not trusted by themselves.',
  ),
  tls_fetch_issuers: works(
    onOff(),
    `Fetches certificates of CAs that servers forget to send from where the server's certificate says they are (RFC 5280
4.2.2.1), as browsers do: by HTTP, from port 80, never from this machine, and from private networks only for servers there.
They complete chains and are not trusted by themselves.`,
    { default: 'on' },
  ),
  sslproxy_cert_sign_hash: works(choice(['sha256', 'sha384', 'sha512', 'sha1']), 'The hash in signatures of generated certificates.', {
    default: 'sha256',
    reload: 'new connections',
  }),
  sslproxy_cert_sign: works(
    valueList('signTrusted|signUntrusted|signSelf', 'fast', signing),
    `Who signs the certificate a client of a bumped connection is shown; the first line that matches. signUntrusted: a CA made
up for it, so that the client warns; signSelf: the certificate itself. Without a matching line: signUntrusted for
ssl::certUntrusted, signSelf for ssl::certSelfSigned, else signTrusted, the CA of the port.`,
    { reload: 'new connections' },
  ),
  sslproxy_cert_adapt: works(
    valueList('setValidAfter|setValidBefore|setCommonName[{NAME}]', 'fast', adaptation),
    `What of the server's certificate is not taken over into the generated one: dates from the CA of the port instead, or
another name (without {NAME} that of the request). Of each of the three the first line that matches counts.`,
    { reload: 'new connections', example: 'sslproxy_cert_adapt setValidAfter ssl::certHasExpired' },
  ),
}
