import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { type Common, commonOptions, type CommandWords, type Help, readCommon, type Wrong, wrong } from './command.ts'

export interface ExplainWish {
  /** Arguments of the page `explain`, as they are sent. */
  readonly question: readonly (readonly [name: string, value: string])[]
  readonly json: boolean
}

/** A connection that is described, for the rules. */
export interface TupleWish {
  readonly tuple: string
  readonly json: boolean
}

type ExplainRead =
  | ({ readonly kind: 'explain' } & ExplainWish & Common)
  | ({ readonly kind: 'explain-tuple' } & TupleWish & Common)
  | Help<'explain'> | Wrong

const explainOptions = {
  ...commonOptions,
  help: { type: 'boolean' },
  header: { type: 'string', short: 'H', multiple: true },
  method: { type: 'string', short: 'X' },
  from: { type: 'string' },
  port: { type: 'string' },
  status: { type: 'string' },
  response: { type: 'string', short: 'R', multiple: true },
  json: { type: 'boolean' },
  tuple: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig

const readExplain = (words: readonly string[]): ExplainRead => {
  const { values, positionals } = parseArgs({ args: [...words], options: explainOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'explain' }
  const [uri, stray] = positionals
  if (values.tuple !== undefined) return readTupleWish(values, uri)
  if (uri === undefined) return wrong('explain what? A URL, or --tuple for the rules')
  if (stray !== undefined) return wrong(`unexpected '${stray}'`)
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  const question: [string, string][] = [['uri', uri]]
  for (const name of ['method', 'from', 'port', 'status'] as const) {
    const value = values[name]
    if (value !== undefined) question.push([name, value])
  }
  for (const field of values.header ?? []) question.push(['field', field])
  for (const field of values.response ?? []) question.push(['response', field])
  return { kind: 'explain', ...common, question, json: values.json === true }
}

const readTupleWish = (
  values: { readonly tuple?: string; readonly json?: boolean; readonly config?: string; readonly debug?: string },
  stray: string | undefined,
): ExplainRead => {
  if (stray !== undefined) return wrong(`--tuple or a URL, not both: '${stray}'`)
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  return { kind: 'explain-tuple', ...common, tuple: values.tuple ?? '', json: values.json === true }
}

export const explain: CommandWords<ExplainRead> = {
  summary: ['explain URL [-H FIELD ...]', 'why it would be a hit or a miss, and who lets it in'],
  read: readExplain,
  usage: `usage: glassquid explain [-f FILE] URL [-H 'Name: value' ...] [-X METHOD] [--from ADDRESS] [--json]

Asks the proxy that runs with this conf what it would do with such a request, and why: which line of http_access lets it
in, under which key it is looked for, what is stored, the sums of its freshness, which refresh_pattern counts, whether a
response could be stored, and, for a miss, which peers or the origin would be asked, in what order. Nothing is fetched. Where no proxy runs, the conf alone is asked, and that is said.

  -H 'Name: value'   a field of the request; may be repeated
  -X, --method NAME  its method (GET)
  --from ADDRESS     whose request it is (127.0.0.1)
  --port NAME        which http_port it comes to: its name= or number (the first forward port)
  -R 'Name: value'   a field of a response: may it be stored? May be repeated; --status N: its status (200)
  --json             for programs

glassquid explain [-f FILE] --tuple 'tcp 10.0.0.5:1234 -> 192.0.2.1:80 iface eth0' [--json]

Tells which rule of the conf decides about such a connection, what it scores, which service it gets, the zones of both
ends, and which rules would match as well. The interface may be left out. Ends with 1 when no rule matches.
`,
}
