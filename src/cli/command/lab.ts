import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { type CommandWords, type Help, wrong, type Wrong } from './command.ts'

type LabRead = { readonly kind: 'lab'; readonly check: boolean; readonly example: string | null } | Help<'lab'> | Wrong

const labOptions = {
  help: { type: 'boolean', short: 'h' },
  check: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

const readLab = (words: readonly string[]): LabRead => {
  const { values, positionals } = parseArgs({ args: [...words], options: labOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'lab' }
  const [example = null, another] = positionals
  if (another !== undefined) return wrong(`lab shows one example at a time, not '${another}' as well`)
  return { kind: 'lab', check: values.check === true, example }
}

export const lab: CommandWords<LabRead> = {
  summary: ['lab [EXAMPLE] [--check]', 'see it work: three machines, real traffic, no root'],
  read: readLab,
  usage: `usage: glassquid lab [EXAMPLE] [--check]

Builds a client, a gateway and an origin out of network namespaces, loads our kernel rules, starts the proxy and sends
real requests through it. Stays up until Ctrl-C; --check asserts every row at the proxy and at the origin and ends with
0 or 1.

EXAMPLE is one of conf/examples, a working gateway each: dmz, everything, failover, ftp-ready, relay. Its conf is run as it
stands, with servers and clients on both sides.
`,
}
