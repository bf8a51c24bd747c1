import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import type { CommandWords, Help } from './command.ts'

type LabRead = { readonly kind: 'lab'; readonly check: boolean } | Help<'lab'>

const labOptions = {
  help: { type: 'boolean', short: 'h' },
  check: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

const readLab = (words: readonly string[]): LabRead => {
  const { values } = parseArgs({ args: [...words], options: labOptions, allowPositionals: false, strict: true })
  return values.help ? { kind: 'help', topic: 'lab' } : { kind: 'lab', check: values.check === true }
}

export const lab: CommandWords<LabRead> = {
  summary: ['lab [--check]', 'see it work: three machines, real traffic, no root'],
  read: readLab,
  usage: `usage: glassquid lab [--check]

Builds a client, a gateway and an origin out of network namespaces, loads our kernel rules, starts the proxy and sends
real requests through it. Stays up until Ctrl-C; --check asserts every row at the proxy and at the origin and ends with
0 or 1.
`,
}
