import { ms, type Seconds, seconds } from '../../base/index.ts'
import type { AuthScheme, ExternalAclType, HelperChildrenConfig, RewriteTimeout } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { readOnOff, readTime, timeText, wholeNumber } from '../values.ts'
import { accessList } from './access.ts'
import { type Kind, works } from './directive.ts'
import { age, lines, needWord, onOff, take } from './kinds.ts'

// Programs that answer questions: rewriters, external ACLs, authentication. Their children are the helper room's.

/** Program and arguments, split at blanks; one that holds blanks stands in quotes. There is no shell. */
const command = (): Kind<readonly string[]> => ({
  grammar: 'PROGRAM [ARGUMENT ...]',
  limits: '',
  initial: [],
  read: line => readCommand(line),
  write: value => (value.length === 0 ? [] : [commandText(value)]),
})

const readCommand = (line: Line): readonly string[] | undefined => {
  const words: string[] = []
  for (let word = line.quotable(); word !== null; word = line.quotable()) {
    // -b"x y" are two words: only a quote that begins a word holds blanks together
    if (!word.quoted && /^[^"']+(["'])[^"']*$/.test(word.text)) {
      line.warning(`${line.name}: '${word.text}' is handed to the program with its quote, and ends here`, word, 'put the whole argument in quotes')
    }
    words.push(word.text)
  }
  if (words.length > 0) return words
  line.fatal(`${line.name} needs a program`)
  return undefined
}

const commandText = (words: readonly string[]): string =>
  words.map(word => (word === '' || /[\s"'#]/.test(word) ? `"${word.replace(/["\\]/g, '\\$&')}"` : word)).join(' ')

// --- children ---

const childrenMax = 1000
const concurrencyMax = 10_000
const queueMax = 100_000

type ChildrenOptions = { -readonly [K in keyof HelperChildrenConfig]: HelperChildrenConfig[K] }

export const children = (initial: HelperChildrenConfig): Kind<HelperChildrenConfig> => ({
  grammar: 'N [startup=N] [idle=N] [concurrency=N] [queue-size=N] [on-persistent-overload=die|ERR]',
  limits: `1 to ${childrenMax} children`,
  initial,
  read: line => readChildren(line, initial),
  write: value => [childrenText(value)],
})

const readChildren = (line: Line, initial: HelperChildrenConfig): HelperChildrenConfig | undefined => {
  const word = needWord(line, 'a number of children')
  if (word === undefined) return undefined
  const max = numberOf(line, word, line.name, word.text, 1, childrenMax)
  if (max === undefined) return undefined
  const options: ChildrenOptions = { ...initial, max }
  for (let next = line.next(); next !== null; next = line.next()) {
    const equals = next.text.indexOf('=')
    if (!childOption(line, next, next.text.slice(0, Math.max(0, equals)), next.text.slice(equals + 1), options)) return undefined
  }
  return { ...options, startup: Math.min(options.startup, max), idle: Math.min(options.idle, max) }
}

/** One `name=value` of a children line or of external_acl_type, where names begin with `children-`. */
const childOption = (line: Line, word: Word, name: string, value: string, into: ChildrenOptions): boolean => {
  switch (name) {
    case 'startup':
    case 'idle': {
      const n = numberOf(line, word, name, value, 0, childrenMax)
      if (n !== undefined) into[name] = n
      return n !== undefined
    }
    case 'concurrency': {
      const n = numberOf(line, word, name, value, 0, concurrencyMax)
      if (n !== undefined) into.concurrency = n
      return n !== undefined
    }
    case 'queue-size': {
      const n = numberOf(line, word, name, value, 0, queueMax)
      if (n !== undefined) into.queueMax = n
      return n !== undefined
    }
    case 'on-persistent-overload':
      if (value === 'die') line.warning('on-persistent-overload=die: this proxy does not end because of a helper', word, 'questions are answered with ERR then')
      else if (value !== 'ERR') {
        line.fatal(`on-persistent-overload is die or ERR, not '${value}'`, word)
        return false
      }
      return true
  }
  const like = nearest(name, ['startup', 'idle', 'concurrency', 'queue-size', 'on-persistent-overload'])
  line.fatal(`${line.name}: '${word.text}' is no option`, word, like === null ? '' : `did you mean ${like}=?`)
  return false
}

const numberOf = (line: Line, word: Word, what: string, text: string, min: number, max: number): number | undefined => {
  const n = wholeNumber(text)
  if (n !== null && n >= min && n <= max) return n
  line.fatal(`${what}: expecting a number from ${min} to ${max}, got '${text}'`, word)
  return undefined
}

const childrenText = (value: HelperChildrenConfig): string =>
  `${value.max} startup=${value.startup} idle=${value.idle} concurrency=${value.concurrency}${value.queueMax === null ? '' : ` queue-size=${value.queueMax}`}`

const many: HelperChildrenConfig = { max: 20, startup: 0, idle: 1, concurrency: 0, queueMax: null }

// --- url_rewrite_timeout ---

const rewriteTimeout: Kind<RewriteTimeout> = {
  grammar: 'TIME on_timeout=bypass|fail|retry|use_configured_response [response="..."]',
  limits: '',
  initial: { timeout: ms(30_000), onTimeout: 'fail', response: '' },
  read(line) {
    const word = needWord(line, 'a time')
    const timeout = word && take(line, word, readTime(word.text, line.peek()?.text, 1000, 1000))
    if (timeout === undefined) return undefined
    let onTimeout: RewriteTimeout['onTimeout'] = 'fail'
    let response = ''
    for (let option = line.option(); option !== null; option = line.option()) {
      const [name, value] = halves(option.text)
      if (name === 'response') response = value
      else if (name === 'on_timeout' && (value === 'bypass' || value === 'fail' || value === 'retry' || value === 'use_configured_response')) onTimeout = value
      else {
        line.fatal(`url_rewrite_timeout: '${option.text}' is no option`, option, 'on_timeout=bypass|fail|retry|use_configured_response, response="..."')
        return undefined
      }
    }
    if (onTimeout === 'use_configured_response' && response === '') line.fatal('on_timeout=use_configured_response needs response="..."')
    return { timeout: timeout === 0 ? ms(30_000) : ms(timeout), onTimeout, response }
  },
  write: ({ timeout, onTimeout, response }) => [
    `${timeText(timeout)} on_timeout=${onTimeout}${response === '' ? '' : ` response="${response.replace(/["\\]/g, '\\$&')}"`}`,
  ],
}

const halves = (text: string): readonly [string, string] => {
  const equals = text.indexOf('=')
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)]
}

/** `"FORMAT"`, with or without its quotes. */
const extras = (initial: string): Kind<string> => ({
  grammar: '"FORMAT"',
  limits: '',
  initial,
  read(line) {
    const rest = line.rest().text
    const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(rest)
    return quoted?.[1] === undefined ? rest : quoted[1].replace(/\\(["\\])/g, '$1')
  },
  write: value => [`"${value.replace(/["\\]/g, '\\$&')}"`],
})

// --- external_acl_type ---

const externalDefaults = { ttl: 3600, grace: 0, cacheMax: 262_144 }

const externalTypes: Kind<readonly ExternalAclType[]> = lines(
  'NAME [ttl=N] [negative_ttl=N] [grace=N] [cache=N] [children-max=N] [children-startup=N] [children-idle=N] [concurrency=N] [queue-size=N] FORMAT ... PROGRAM [ARGUMENT ...]',
  line => readExternalType(line),
)

const readExternalType = (line: Line): ExternalAclType | undefined => {
  const name = needWord(line, 'NAME FORMAT PROGRAM')
  if (name === undefined) return undefined
  const children: ChildrenOptions = { max: 5, startup: 0, idle: 1, concurrency: 0, queueMax: null }
  const times = { ttl: externalDefaults.ttl, negativeTtl: -1, grace: externalDefaults.grace, cacheMax: externalDefaults.cacheMax }
  const format: string[] = []
  for (let word = line.peek(); word !== null; word = line.peek()) {
    if (word.text.startsWith('%')) format.push(word.text)
    else if (format.length > 0 || !/^[a-z0-9-_]+(=|$)/.test(word.text) || word.text.startsWith('/')) break
    else if (!externalOption(line, word, children, times)) return undefined
    line.next()
  }
  if (format.length === 0) {
    line.fatal(`external_acl_type ${name.text} needs a FORMAT`, line.peek(), 'what the program is told, such as %SRC or %>ru')
    return undefined
  }
  const program = readCommand(line)
  if (program === undefined) return undefined
  const { ttl, grace, cacheMax } = times
  const negativeTtl = times.negativeTtl < 0 ? ttl : times.negativeTtl
  return {
    name: name.text, format, command: program, grace, cacheMax,
    ttl: seconds(ttl), negativeTtl: seconds(negativeTtl),
    children: { ...children, startup: Math.min(children.startup, children.max), idle: Math.min(children.idle, children.max) },
    text: line.read, at: line.at(name),
  }
}

const externalOption = (line: Line, word: Word, into: ChildrenOptions, times: { ttl: number; negativeTtl: number; grace: number; cacheMax: number }): boolean => {
  const [name, value] = halves(word.text)
  const numbers: Record<string, readonly ['ttl' | 'negativeTtl' | 'grace' | 'cacheMax', number]> = {
    ttl: ['ttl', 0x7fffffff], negative_ttl: ['negativeTtl', 0x7fffffff], grace: ['grace', 99], cache: ['cacheMax', 10_000_000],
  }
  const known = numbers[name]
  if (known !== undefined) {
    const n = numberOf(line, word, name, value, 0, known[1])
    if (n !== undefined) times[known[0]] = n
    return n !== undefined
  }
  switch (name) {
    case 'children':
    case 'children-max': {
      const n = numberOf(line, word, name, value, 1, childrenMax)
      if (n !== undefined) into.max = n
      return n !== undefined
    }
    case 'children-startup':
    case 'children-idle':
      return childOption(line, word, name.slice('children-'.length), value, into)
    case 'ipv4':
    case 'ipv6':
      return true // helpers speak through pipes
    case 'protocol':
      if (value === '2.5' || value === '3.4' || value === '3.0') return true
      line.fatal(`external_acl_type: protocol ${value} is unknown`, word, 'leave it out: fields are %-escaped')
      return false
    case 'quote':
      if (value !== 'url') line.warning('external_acl_type: fields are %-escaped, whatever quote= says', word)
      return true
  }
  return childOption(line, word, name, value, into)
}

// --- auth_param ---

const freshScheme = (scheme: AuthScheme['scheme'], line: Line): AuthScheme => ({
  scheme,
  command: [],
  realm: '',
  children: { ...many, max: scheme === 'basic' ? 5 : 20 },
  keyExtras: '',
  utf8: false,
  keepAlive: true,
  credentialsTtl: seconds(7200),
  caseSensitive: false,
  nonceGarbageInterval: seconds(300),
  nonceMaxDuration: seconds(1800),
  nonceMaxCount: 50,
  nonceStrictness: false,
  checkNonceCount: true,
  postWorkaround: false,
  at: line.at(),
})

const authSchemes: Kind<readonly AuthScheme[]> = {
  grammar: 'basic|digest|ntlm|negotiate PARAMETER VALUE',
  limits: '',
  initial: [],
  read(line, before) {
    const word = needWord(line, 'a scheme, a parameter and its value')
    const name = word?.text.toLowerCase()
    if (word === undefined || name === undefined) return undefined
    if (name !== 'basic' && name !== 'digest' && name !== 'ntlm' && name !== 'negotiate') {
      line.fatal(`auth_param: unknown scheme '${word.text}'`, word, 'basic, digest, ntlm and negotiate are there')
      return undefined
    }
    const known = before.find(one => one.scheme === name)
    const changed = schemeParameter(line, known ?? freshScheme(name, line))
    if (changed === undefined) return undefined
    return known === undefined ? [...before, changed] : before.map(one => (one === known ? changed : one))
  },
  write: value => value.flatMap(schemeText),
}

const schemeParameter = (line: Line, scheme: AuthScheme): AuthScheme | undefined => {
  const word = needWord(line, `a parameter of ${scheme.scheme}`)
  if (word === undefined) return undefined
  const parameters = ownParameters[scheme.scheme]
  switch (word.text) {
    case 'program': {
      const command = readCommand(line)
      return command && { ...scheme, command }
    }
    case 'children': {
      const children = readChildren(line, { ...many, max: scheme.children.max })
      return children && { ...scheme, children }
    }
    case 'realm': {
      const realm = line.rest().text
      if (realm === '') line.fatal('auth_param: realm needs a text')
      return realm === '' ? undefined : { ...scheme, realm: realm.replace(/^"(.*)"$/, '$1') }
    }
    case 'key_extras':
      return { ...scheme, keyExtras: extras('').read(line, '') ?? '' }
    case 'utf8':
      return flag(line, utf8 => ({ ...scheme, utf8 }))
    case 'keep_alive':
      return flag(line, keepAlive => ({ ...scheme, keepAlive }))
    case 'concurrency': {
      const n = needWord(line, 'a number')
      const concurrency = n && numberOf(line, n, 'concurrency', n.text, 0, concurrencyMax)
      return concurrency === undefined ? undefined : { ...scheme, children: { ...scheme.children, concurrency } }
    }
  }
  const read = parameters[word.text]
  if (read !== undefined) return read(line, scheme)
  const like = nearest(word.text, ['program', 'children', 'realm', 'key_extras', 'utf8', 'keep_alive', ...Object.keys(parameters)])
  line.fatal(`auth_param ${scheme.scheme}: unknown parameter '${word.text}'`, word, like === null ? '' : `did you mean ${like}?`)
  return undefined
}

type Parameters = Readonly<Record<string, (line: Line, scheme: AuthScheme) => AuthScheme | undefined>>

const flag = (line: Line, set: (on: boolean) => AuthScheme): AuthScheme | undefined => {
  const word = needWord(line, "'on' or 'off'")
  const on = word && take(line, word, readOnOff(word.text))
  return on === undefined ? undefined : set(on)
}

const time = (line: Line, set: (age: Seconds) => AuthScheme): AuthScheme | undefined => {
  const value = age().read(line, seconds(0))
  return value === undefined ? undefined : set(value)
}

const basicParameters: Parameters = {
  credentialsttl: (line, scheme) => time(line, credentialsTtl => ({ ...scheme, credentialsTtl })),
  casesensitive: (line, scheme) => flag(line, caseSensitive => ({ ...scheme, caseSensitive })),
}

const digestParameters: Parameters = {
  nonce_garbage_interval: (line, scheme) => time(line, nonceGarbageInterval => ({ ...scheme, nonceGarbageInterval })),
  nonce_max_duration: (line, scheme) => time(line, nonceMaxDuration => ({ ...scheme, nonceMaxDuration })),
  nonce_max_count(line, scheme) {
    const word = needWord(line, 'a number')
    const nonceMaxCount = word && numberOf(line, word, 'nonce_max_count', word.text, 1, 0x7fffffff)
    return nonceMaxCount === undefined ? undefined : { ...scheme, nonceMaxCount }
  },
  nonce_strictness: (line, scheme) => flag(line, nonceStrictness => ({ ...scheme, nonceStrictness })),
  check_nonce_count: (line, scheme) => flag(line, checkNonceCount => ({ ...scheme, checkNonceCount })),
  post_workaround: (line, scheme) => flag(line, postWorkaround => ({ ...scheme, postWorkaround })),
}

const ownParameters: Readonly<Record<AuthScheme['scheme'], Parameters>> = { basic: basicParameters, digest: digestParameters, ntlm: {}, negotiate: {} }

const schemeText = (value: AuthScheme): readonly string[] => {
  const { scheme } = value
  const word = (on: boolean) => (on ? 'on' : 'off')
  const own =
    scheme === 'ntlm' || scheme === 'negotiate'
      ? [`keep_alive ${word(value.keepAlive)}`]
      : scheme === 'basic'
      ? [`credentialsttl ${timeText(value.credentialsTtl * 1000)}`, `casesensitive ${word(value.caseSensitive)}`]
      : [
          `nonce_garbage_interval ${timeText(value.nonceGarbageInterval * 1000)}`,
          `nonce_max_duration ${timeText(value.nonceMaxDuration * 1000)}`,
          `nonce_max_count ${value.nonceMaxCount}`,
          `nonce_strictness ${word(value.nonceStrictness)}`,
          `check_nonce_count ${word(value.checkNonceCount)}`,
          `post_workaround ${word(value.postWorkaround)}`,
        ]
  const common = [
    ...(value.command.length === 0 ? [] : [`program ${commandText(value.command)}`]),
    ...(value.realm === '' ? [] : [`realm ${value.realm}`]),
    `children ${childrenText(value.children)}`,
    ...(value.keyExtras === '' ? [] : [`key_extras "${value.keyExtras.replace(/["\\]/g, '\\$&')}"`]),
    `utf8 ${word(value.utf8)}`,
  ]
  return [...common, ...own].map(text => `${scheme} ${text}`)
}

const helperExtras = '%>a/%>A %un %>rm myip=%la myport=%lp'

export const programDirectives = {
  external_acl_type: works(
    externalTypes,
    `A program that answers for ACLs of type external. FORMAT are codes of logformat, or Squid's older words (%SRC, %LOGIN, %DST,
%URI, %METHOD, %PATH, %PORT, %{Field} ...); %DATA is what the acl line says behind the type's name, and stands at the end
unless it is written. %LOGIN and %ul ask the client who he is first. The program answers OK (the ACL matches) or ERR, with
user=, tag=, message= (%o in error pages) and log= as far as it likes. Answers are kept for ttl (negative_ttl) seconds, in
the last grace percent of which they are asked for anew behind the client's back. A program that dies, hangs or is
overloaded never stops the proxy: what cannot be decided is refused, and asked again with the next request.`,
    { example: 'external_acl_type group ttl=300 children-max=5 concurrency=20 %LOGIN /usr/lib/squid/ext_unix_group_acl' },
  ),
  auth_param: works(
    authSchemes,
    `How users prove who they are: schemes are offered in the order of their first line. program names the helper, which is
asked "user password" (basic) or "user":"realm" (digest); for ntlm and negotiate (Kerberos) it hears the client's messages
(YR, KK) and one of its children is that client's until it has decided; what is proved then counts for that connection. Where it is basic_ncsa_auth FILE or digest_file_auth [-c] FILE
the file is read by the proxy itself, if it knows all its hashes: apr1, bcrypt (up to cost 14), SHA-256 and -512 crypt, MD5, {SHA}. Not possible on intercepting ports: browsers there know of no proxy. What a client has proved is
remembered for credentialsttl; passwords are only kept as hashes under a key that ends with the process. keep_alive off (ntlm,
negotiate) ends the connection with the first 407, for clients that do not get along with one that stays; post_workaround on
(digest) lets in who has hashed GET for a request of another method; utf8 on: programs get UTF-8, though clients say Latin-1.`,
    { example: 'auth_param basic program /usr/lib/squid/basic_ncsa_auth /etc/glassquid/passwd\nauth_param basic realm proxy' },
  ),
  authenticate_cache_garbage_interval: works(age({ min: 1000 }), 'How often forgotten users are cleared away.', { default: '1 hour' }),
  authenticate_ttl: works(age(), 'How long a user who no longer comes is remembered.', { default: '1 hour' }),
  authenticate_ip_ttl: works(age(), 'How long a user keeps an address, for max_user_ip.', { default: '1 second' }),
  url_rewrite_program: works(
    command(),
    `A program that is told of every request: URL, then what url_rewrite_extras says. It answers OK rewrite-url="..." to have
another one fetched, OK status=302 url="..." to redirect the client, ERR to leave it; older answers ("302:URL", a URL, an empty
line) are understood. What an intercepted client may be given follows its own Host: a rewritten URL is a new destination. An argument
that holds blanks stands in quotes.`,
    { aliases: ['redirect_program'], example: 'url_rewrite_program /usr/bin/squidGuard -c /etc/squidguard/squidGuard.conf' },
  ),
  url_rewrite_children: works(children(many), 'How many of these programs run, and how many questions each has at a time.', {
    aliases: ['redirect_children'],
    default: '20 startup=0 idle=1 concurrency=0',
  }),
  url_rewrite_access: works(accessList('slow'), 'Which requests the program sees.', { aliases: ['redirector_access'], default: 'allow all' }),
  url_rewrite_host_header: works(onOff(), 'The Host field follows the rewritten URL.', {
    aliases: ['redirect_rewrites_host_header'],
    default: 'on',
  }),
  url_rewrite_bypass: works(
    onOff(),
    'Requests go on unchanged while the program is overloaded, down or silent; otherwise url_rewrite_timeout says.',
    { aliases: ['redirector_bypass'], default: 'off' },
  ),
  url_rewrite_extras: works(extras(helperExtras), 'What the program is told behind the URL.', { default: `"${helperExtras}"` }),
  url_rewrite_timeout: works(
    rewriteTimeout,
    'How long the program may take, and what an answer that does not come means. Squid waits for ever unless this is given.',
    { default: '30 seconds on_timeout=fail' },
  ),
  store_id_program: works(
    command(),
    `A program that gives different URLs one cache key: OK store-id="...". The origin is asked for the URL; refresh_pattern sees
the id. It is asked after store_id_rule has had nothing to say. An intercepted request whose Host could not be
verified is not told: it must not come near a key that others share.`,
    { aliases: ['storeurl_rewrite_program'], example: 'store_id_program /usr/lib/squid/storeid_file_rewrite /etc/glassquid/store-id.txt' },
  ),
  store_id_extras: works(extras(helperExtras), 'What the program is told behind the URL.', { default: `"${helperExtras}"` }),
  store_id_children: works(children(many), 'How many of these programs run, and how many questions each has at a time.', {
    aliases: ['storeurl_rewrite_children'],
    default: '20 startup=0 idle=1 concurrency=0',
  }),
  store_id_access: works(accessList('slow'), 'Which requests the program sees.', {
    aliases: ['storeurl_rewrite_access', 'storeurl_access'],
    default: 'allow all',
  }),
  store_id_bypass: works(onOff(), 'Requests go on with their URL as key while the program is overloaded or down; otherwise they are not cached.', {
    aliases: ['storeurl_rewrite_bypass'],
    default: 'on',
  }),
}
