import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'

// The command line: Squid's switches with Squid's meanings, and commands of our own beside them, never instead of them.
// Text in, one typed wish out; nothing is done here.

/** Where Debian would put it. */
export const defaultConfFile = '/etc/glassquid/glassquid.conf'

/** What `-k` can ask of a running proxy, and how it is told. Order matters: a prefix means the first that begins so. */
export const controlSignals = {
  reconfigure: { signal: 'SIGHUP', doc: 'read the conf again' },
  rotate: { signal: 'SIGUSR1', doc: 'rotate the logs' },
  debug: { signal: 'SIGUSR2', doc: 'toggle full debugging' },
  shutdown: { signal: 'SIGTERM', doc: 'stop when open transactions have ended (shutdown_lifetime)' },
  interrupt: { signal: 'SIGINT', doc: 'stop now' },
  kill: { signal: 'SIGKILL', doc: 'kill it' },
  check: { signal: 0, doc: 'is it running? Exit code 0 or 1' },
} as const satisfies Record<string, { readonly signal: NodeJS.Signals | 0; readonly doc: string }>

export type Control = keyof typeof controlSignals

export interface Common {
  readonly confFile: string
  /** False: nobody said -f; a missing default file is then told in other words. */
  readonly confGiven: boolean
  /** `-d`: messages up to this level also go to standard error. Null: not said. */
  readonly debugLevel: number | null
  /** Switches of Squid's that mean nothing here, as written. */
  readonly ignored: readonly string[]
}

export interface RulesWish {
  readonly form: 'nft' | 'iptables'
  readonly deed: 'apply' | 'undo'
  /** Show the commands instead of carrying them out. */
  readonly show: boolean
  readonly interfaces: readonly string[]
  readonly ports: string | null
  /** `PORTS=LISTENER` as written. */
  readonly take: readonly string[]
  readonly bypass: readonly string[]
  readonly exempt: readonly string[]
  readonly failClosed: boolean
  readonly local: boolean
  /** Whose connections are the proxy's own; null = cache_effective_user. */
  readonly user: string | null
  readonly mark: string | null
  readonly table: string | null
}

export interface ManagerWish {
  readonly page: string
  /** `name=value` as written. */
  readonly args: readonly string[]
  readonly json: boolean
  /** A page that changes something is asked for with POST. */
  readonly post: boolean
}

export interface DoctorWish {
  readonly interfaces: readonly string[]
  /** Also what is well. */
  readonly all: boolean
  readonly json: boolean
}

export type Wish =
  | ({ readonly kind: 'serve' } & Common)
  | ({ readonly kind: 'parse' } & Common)
  | ({ readonly kind: 'create' } & Common)
  | ({ readonly kind: 'control'; readonly control: Control } & Common)
  | ({ readonly kind: 'rules' } & RulesWish & Common)
  | ({ readonly kind: 'manager' } & ManagerWish & Common)
  | ({ readonly kind: 'doctor' } & DoctorWish & Common)
  | { readonly kind: 'lab'; readonly check: boolean }
  | { readonly kind: 'version' }
  | { readonly kind: 'help'; readonly topic: Command | null }
  | { readonly kind: 'wrong'; readonly message: string }

export type Command = 'rules' | 'doctor' | 'manager' | 'lab'

export const readArguments = (words: readonly string[]): Wish => {
  try {
    const [first = '', ...rest] = words
    if (first === 'rules') return readRules(rest)
    if (first === 'manager') return readManager(rest)
    if (first === 'doctor') return readDoctor(rest)
    if (first === 'lab') return readLab(rest)
    return readSwitches(words)
  } catch (error) {
    if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_')) {
      return wrong(error.message.split('. ')[0] ?? error.message)
    }
    throw error
  }
}

const wrong = (message: string): Wish => ({ kind: 'wrong', message })

// --- Squid's switches ---

/** Accepted since scripts and units write them; each is either always so here or has nothing to act on. */
const withoutEffect: Readonly<Record<string, string>> = {
  N: 'no-fork',
  C: 'no-signal-handlers',
  D: 'no-dns-tests',
  F: 'rebuild-first',
  R: 'no-reuseaddr',
  S: 'double-check',
  Y: 'fast-reload',
  X: 'debug-parsing',
  s: 'syslog',
}

const commonOptions = {
  config: { type: 'string', short: 'f' },
  debug: { type: 'string', short: 'd' },
} as const satisfies ParseArgsOptionsConfig

const switches = {
  ...commonOptions,
  control: { type: 'string', short: 'k' },
  create: { type: 'boolean', short: 'z' },
  version: { type: 'boolean', short: 'v' },
  help: { type: 'boolean', short: 'h' },
  foreground: { type: 'boolean' },
  facility: { type: 'string', short: 'l' },
  ...(Object.fromEntries(
    Object.entries(withoutEffect).map(([short, name]) => [name, { type: 'boolean', short }]),
  ) as Record<string, { type: 'boolean'; short: string }>), // one entry per line of the table above
} satisfies ParseArgsOptionsConfig

const readSwitches = (words: readonly string[]): Wish => {
  const { values, positionals } = parseArgs({ args: [...words], options: switches, allowPositionals: true, strict: true })
  const [stray] = positionals
  if (stray !== undefined) {
    const known = commands.find(command => command === stray)
    return wrong(known === undefined ? `unknown command '${stray}'` : `the command comes first: glassquid ${known} ...`)
  }
  if (values.help) return { kind: 'help', topic: null }
  if (values.version) return { kind: 'version' }
  // -N and --foreground are what we always do; the others are worth a word
  const ignored = Object.entries(withoutEffect)
    .filter(([short, name]) => short !== 'N' && Reflect.get(values, name) === true)
    .map(([short]) => `-${short}`)
  if (values.facility !== undefined) ignored.push(`-l ${values.facility}`)
  const common = readCommon(values, ignored)
  if (typeof common === 'string') return wrong(common)
  if (values.control !== undefined) return readControl(values.control, common)
  return { kind: values.create ? 'create' : 'serve', ...common }
}

const readControl = (word: string, common: Common): Wish => {
  if (word === '') return wrong('-k needs a word')
  const controls = Object.keys(controlSignals) as Control[] // Object.keys forgets that they are the table's
  const control = [...controls, 'parse' as const].find(name => name.startsWith(word))
  if (control === undefined) return wrong(`-k '${word}': there is ${[...controls, 'parse'].join(', ')}`)
  return control === 'parse' ? { kind: 'parse', ...common } : { kind: 'control', control, ...common }
}

const readCommon = (
  values: { readonly config?: string | undefined; readonly debug?: string | undefined },
  ignored: readonly string[],
): Common | string => {
  if (values.config === '') return '-f needs a file'
  if (values.debug !== undefined && !/^\d{1,2}$/.test(values.debug)) return `-d '${values.debug}': a level is a number from 0 to 9`
  return {
    confFile: values.config ?? defaultConfFile,
    confGiven: values.config !== undefined,
    debugLevel: values.debug === undefined ? null : Number(values.debug),
    ignored,
  }
}

// --- rules ---

const rulesOptions = {
  ...commonOptions,
  help: { type: 'boolean', short: 'h' },
  apply: { type: 'boolean' },
  undo: { type: 'boolean' },
  show: { type: 'boolean' },
  interface: { type: 'string', short: 'i', multiple: true },
  ports: { type: 'string', short: 'p' },
  take: { type: 'string', multiple: true },
  bypass: { type: 'string', multiple: true },
  exempt: { type: 'string', multiple: true },
  'fail-closed': { type: 'boolean' },
  'fail-open': { type: 'boolean' },
  local: { type: 'boolean' },
  user: { type: 'string' },
  mark: { type: 'string' },
  table: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig

const readRules = (words: readonly string[]): Wish => {
  const { values, positionals } = parseArgs({ args: [...words], options: rulesOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'rules' }
  const [form = 'nft', stray] = positionals
  if (form !== 'nft' && form !== 'iptables') return wrong(`rules '${form}': there is nft and iptables`)
  if (stray !== undefined) return wrong(`unexpected '${stray}'`)
  if (values.apply && values.undo) return wrong('--apply or --undo, not both')
  if (values['fail-closed'] && values['fail-open']) return wrong('--fail-closed or --fail-open, not both')
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  return {
    kind: 'rules',
    ...common,
    form,
    deed: values.undo ? 'undo' : 'apply',
    show: values.show === true || (!values.apply && !values.undo),
    interfaces: (values.interface ?? []).flatMap(text => text.split(',')),
    ports: values.ports ?? null,
    take: values.take ?? [],
    bypass: (values.bypass ?? []).flatMap(text => text.split(',')),
    exempt: (values.exempt ?? []).flatMap(text => text.split(',')),
    failClosed: values['fail-closed'] === true,
    local: values.local === true,
    user: values.user ?? null,
    mark: values.mark ?? null,
    table: values.table ?? null,
  }
}

// --- manager ---

const managerOptions = {
  ...commonOptions,
  help: { type: 'boolean', short: 'h' },
  json: { type: 'boolean' },
  post: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

const readManager = (words: readonly string[]): Wish => {
  const { values, positionals } = parseArgs({ args: [...words], options: managerOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'manager' }
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  const [page = 'menu', ...args] = positionals
  return { kind: 'manager', ...common, page, args, json: values.json === true, post: values.post === true }
}

// --- doctor ---

const doctorOptions = {
  ...commonOptions,
  help: { type: 'boolean', short: 'h' },
  interface: { type: 'string', short: 'i', multiple: true },
  all: { type: 'boolean', short: 'a' },
  json: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

const readDoctor = (words: readonly string[]): Wish => {
  const { values } = parseArgs({ args: [...words], options: doctorOptions, allowPositionals: false, strict: true })
  if (values.help) return { kind: 'help', topic: 'doctor' }
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  const interfaces = (values.interface ?? []).flatMap(text => text.split(','))
  return { kind: 'doctor', ...common, interfaces, all: values.all === true, json: values.json === true }
}

// --- lab ---

const labOptions = {
  help: { type: 'boolean', short: 'h' },
  check: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

const readLab = (words: readonly string[]): Wish => {
  const { values } = parseArgs({ args: [...words], options: labOptions, allowPositionals: false, strict: true })
  return values.help ? { kind: 'help', topic: 'lab' } : { kind: 'lab', check: values.check === true }
}

// --- words for people ---

const commands: readonly Command[] = ['rules', 'doctor', 'manager', 'lab']

export const usage = (topic: Command | null): string => usages[topic ?? 'all']

const usages: Readonly<Record<Command | 'all', string>> = {
  all: `usage: glassquid [-N] [-f FILE] [-k COMMAND] [-d LEVEL] [-z] [-v] [-h]
       glassquid rules [nft|iptables] [options]    kernel rules for the conf's ports
       glassquid manager [PAGE] [name=value ...]   pages of the running proxy
       glassquid doctor [options]                  what is wrong with this machine's interception, and its cure
       glassquid lab [--check]                     see it work: three machines, real traffic, no root

  -f FILE     the conf (${defaultConfFile})
  -k COMMAND  parse: check the conf; to a running proxy:
${Object.entries(controlSignals)
  .map(([name, { doc }]) => `              ${name.padEnd(12)} ${doc}`)
  .join('\n')}
  -d LEVEL    messages up to LEVEL also to standard error
  -z          make the cache folders, then end
  -N          stay in the foreground, which is what we always do
  -v, -h      version, this text
`,
  rules: `usage: glassquid rules [nft|iptables] [-f FILE] [options]

Prints a shell script that sends connections to the conf's interception ports, or does it.

  --apply, --undo        do it, take it away (both as often as you like); with --show, print it only
  --interface NAME       where clients come from (all but lo)
  --ports 80,8000-8010   which ports to take (80)
  --take PORTS=LISTENER  these ports to that http_port (its port number or name=); may be repeated
  --bypass NETWORK       destinations never taken; --exempt NETWORK: clients never taken
  --fail-closed          drop what a dead proxy does not take (tproxy); --fail-open is the default
  --local                this machine's own connections too, except those of --user (cache_effective_user)
  --mark TAKEN/OWN       the two bits of the packet mark (0x100/0x200)
  --table NUMBER         the routing table and the place of its rule (100)
`,
  manager: `usage: glassquid manager [PAGE] [name=value ...] [-f FILE] [--json] [--post]

Asks the proxy that runs with this conf for a page of the cache manager, over its control socket; without a PAGE for the
menu of those there are.

  --json     the page as JSON
  --post     for pages that change something
`,
  doctor: `usage: glassquid doctor [-f FILE] [--interface NAME] [--all] [--json]

Looks at capabilities, kernel settings, routing and packet filter rules, and says what is wrong, what it breaks and what
repairs it. Changes nothing. Ends with 1 when something fatal was found.

  --interface NAME   where clients come from (what the rules say, else all but lo)
  --all              also what is well, and what does not concern this machine
  --json             for programs
`,
  lab: `usage: glassquid lab [--check]

Builds a client, a gateway and an origin out of network namespaces, loads our kernel rules, starts the proxy and sends
real requests through it. Stays up until Ctrl-C; --check asserts every row at the proxy and at the origin and ends with
0 or 1.
`,
}
