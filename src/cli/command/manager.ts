import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { type Common, commonOptions, type CommandWords, type Help, readCommon, type Wrong, wrong } from './command.ts'

export interface ManagerWish {
  readonly page: string
  /** `name=value` as written. */
  readonly args: readonly string[]
  readonly json: boolean
  /** A page that changes something is asked for with POST. */
  readonly post: boolean
}

type ManagerRead = ({ readonly kind: 'manager' } & ManagerWish & Common) | Help<'manager'> | Wrong

const managerOptions = {
  ...commonOptions,
  help: { type: 'boolean', short: 'h' },
  json: { type: 'boolean' },
  post: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

const readManager = (words: readonly string[]): ManagerRead => {
  const { values, positionals } = parseArgs({ args: [...words], options: managerOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'manager' }
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  const [page = 'menu', ...args] = positionals
  return { kind: 'manager', ...common, page, args, json: values.json === true, post: values.post === true }
}

export const manager: CommandWords<ManagerRead> = {
  summary: ['manager [PAGE] [name=value ...]', 'pages of the running proxy'],
  read: readManager,
  usage: `usage: glassquid manager [PAGE] [name=value ...] [-f FILE] [--json] [--post]

Asks the proxy that runs with this conf for a page of the cache manager, over its control socket; without a PAGE for the
menu of those there are.

  --json     the page as JSON
  --post     for pages that change something
`,
}
