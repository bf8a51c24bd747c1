import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import type { CommandWords, Help, Wrong } from './command.ts'
import { wrong } from './command.ts'

export interface ImportWish {
  readonly file: string
  /** Print the conf as it was understood, instead of the report. */
  readonly print: boolean
}

type ImportRead = ({ readonly kind: 'import' } & ImportWish) | Help<'import'> | Wrong

const importOptions = {
  help: { type: 'boolean', short: 'h' },
  print: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

const readImport = (words: readonly string[]): ImportRead => {
  const { values, positionals } = parseArgs({ args: [...words], options: importOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'import' }
  const [file, stray] = positionals
  if (file === undefined) return wrong('import: which squid.conf')
  return stray === undefined ? { kind: 'import', file, print: values.print === true } : wrong(`unexpected '${stray}'`)
}

export const importWords: CommandWords<ImportRead> = {
  summary: ['import SQUID.CONF', 'what of a squid.conf works here, what changes, what does not'],
  read: readImport,
  usage: `usage: glassquid import SQUID.CONF [--print]

Reads a conf of Squid's (2.6 to 8) or Lusca's with all it includes, and says line by line what works as it stands, what
is read as something else, what has no effect yet, what no longer means anything, and what must be changed first. Such a
conf needs no conversion to be used; --print shows it in today's words all the same.
Ends with 1 when the conf cannot be used as it is.
`,
}
