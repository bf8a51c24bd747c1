import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { type Common, commonOptions, type CommandWords, type Help, readCommon, type Wrong, wrong } from './command.ts'

export interface PurgeWish {
  /** Arguments of the page `purge`, as they are sent. */
  readonly what: readonly (readonly [name: string, value: string])[]
}

type PurgeRead = ({ readonly kind: 'purge' } & PurgeWish & Common) | Help<'purge'> | Wrong

const purgeOptions = {
  ...commonOptions,
  help: { type: 'boolean', short: 'h' },
  host: { type: 'string', multiple: true },
  prefix: { type: 'string', multiple: true },
  regex: { type: 'string', multiple: true },
  iregex: { type: 'string', multiple: true },
  tag: { type: 'string', multiple: true },
} as const satisfies ParseArgsOptionsConfig

const readPurge = (words: readonly string[]): PurgeRead => {
  const { values, positionals } = parseArgs({ args: [...words], options: purgeOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'purge' }
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  const what: [string, string][] = positionals.map(uri => ['uri', uri])
  for (const name of ['host', 'prefix', 'regex', 'iregex', 'tag'] as const) {
    for (const value of values[name] ?? []) what.push([name, value])
  }
  if (what.length === 0) return wrong('purge what? URLs, --host, --prefix, --regex, --iregex or --tag')
  const [empty] = what.find(([, value]) => value === '') ?? []
  return empty === undefined ? { kind: 'purge', ...common, what } : wrong(`purge: ${empty} is empty`)
}

export const purge: CommandWords<PurgeRead> = {
  summary: ['purge URL ... | --host NAME ...', 'makes the running proxy forget stored responses'],
  read: readPurge,
  usage: `usage: glassquid purge [-f FILE] [URL ...] [--host NAME] [--prefix URL] [--regex REGEX] [--tag TAG]

Makes the proxy that runs with this conf forget stored responses, all variants of each, in memory and on disk, and says
how many there were. What is being fetched at that moment is not stored. Each option may be repeated.

  URL            what is stored for exactly that URL
  --host NAME    of that host, whatever the port; .NAME: of the hosts below it, too
  --prefix URL   what begins so, copies for hosts that could not be verified included
  --regex REGEX  POSIX extended, over the whole URL, as in url_regex; --iregex: whatever the case
  --tag TAG      what its origin has given that tag (Surrogate-Key, Cache-Tag; cache_tags)
`,
}
