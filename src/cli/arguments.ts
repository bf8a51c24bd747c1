import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { type Common, commonOptions, defaultConfFile, readCommon, wrong } from './command/command.ts'
import { doctor } from './command/doctor.ts'
import { explain } from './command/explain.ts'
import { importWords } from './command/import.ts'
import { lab } from './command/lab.ts'
import { manager } from './command/manager.ts'
import { purge } from './command/purge.ts'
import { rules } from './command/rules.ts'
import { sessions } from './command/sessions.ts'
import { test } from './command/test.ts'

// The command line: Squid's switches with Squid's meanings, and commands of our own beside them, never instead of them.
// Text in, one typed wish out; nothing is done here.

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

/** In the order they are listed in. */
const commands = { rules, import: importWords, test, explain, doctor, purge, manager, sessions, lab } as const

export type Command = keyof typeof commands

export type Wish =
  | ({ readonly kind: 'serve' } & Common)
  | ({ readonly kind: 'parse' } & Common)
  | ({ readonly kind: 'create' } & Common)
  | ({ readonly kind: 'control'; readonly control: Control } & Common)
  | ReturnType<(typeof commands)[Command]['read']>
  | { readonly kind: 'version' }
  | { readonly kind: 'help'; readonly topic: null }

export const readArguments = (words: readonly string[]): Wish => {
  try {
    const [first = '', ...rest] = words
    return isCommand(first) ? commands[first].read(rest) : readSwitches(words)
  } catch (error) {
    if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_')) {
      return wrong(error.message.split('. ')[0] ?? error.message)
    }
    throw error
  }
}

const isCommand = (word: string): word is Command => Object.hasOwn(commands, word)

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
  s: 'syslog',
}

const switches = {
  ...commonOptions,
  control: { type: 'string', short: 'k' },
  create: { type: 'boolean', short: 'z' },
  version: { type: 'boolean', short: 'v' },
  help: { type: 'boolean', short: 'h' },
  foreground: { type: 'boolean' },
  facility: { type: 'string', short: 'l' },
  everything: { type: 'boolean', short: 'X' },
  name: { type: 'string', short: 'n' },
  port: { type: 'string', short: 'a' },
  icp: { type: 'string', short: 'u' },
  ...(Object.fromEntries(
    Object.entries(withoutEffect).map(([short, name]) => [name, { type: 'boolean', short }]),
  ) as Record<string, { type: 'boolean'; short: string }>), // one entry per line of the table above
} satisfies ParseArgsOptionsConfig

const readSwitches = (words: readonly string[]): Wish => {
  const { values, positionals } = parseArgs({ args: [...words], options: switches, allowPositionals: true, strict: true })
  const [stray] = positionals
  if (stray !== undefined) {
    return wrong(isCommand(stray) ? `the command comes first: glassquid ${stray} ...` : `unknown command '${stray}'`)
  }
  if (values.help) return { kind: 'help', topic: null }
  if (values.version) return { kind: 'version' }
  // -N and --foreground are what we always do; the others are worth a word
  const ignored = Object.entries(withoutEffect)
    .filter(([short, name]) => short !== 'N' && Reflect.get(values, name) === true)
    .map(([short]) => `-${short}`)
  if (values.name !== undefined) ignored.push(`-n ${values.name}`)
  if (values.port !== undefined) return wrong(`-a: ports stand in the conf: http_port ${values.port}`)
  if (values.icp !== undefined) return wrong(`-u: ports stand in the conf: icp_port ${values.icp}`)
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

// --- words for people ---

export const usage = (topic: Command | null): string => (topic === null ? usageOfAll() : commands[topic].usage)

const usageOfAll = (): string => `usage: glassquid [-N] [-f FILE] [-k COMMAND] [-d LEVEL] [-X] [-z] [-v] [-h]
${Object.values(commands)
  .map(({ summary: [words, what] }) => `       glassquid ${words.padEnd(33)} ${what}`)
  .join('\n')}

  -f FILE     the conf (${defaultConfFile})
  -k COMMAND  parse: check the conf; to a running proxy:
${Object.entries(controlSignals)
  .map(([name, { doc }]) => `              ${name.padEnd(12)} ${doc}`)
  .join('\n')}
  -d LEVEL    messages up to LEVEL also to standard error
  -X          cache_log tells everything, as after -k debug
  -z          make the cache folders, then end
  -N          stay in the foreground, which is what we always do
  -v, -h      version, this text
`
