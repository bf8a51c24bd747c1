import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { type Common, commonOptions, type CommandWords, type Help, readCommon, type Wrong, wrong } from './command.ts'

export interface DoctorWish {
  readonly interfaces: readonly string[]
  /** Also what is well. */
  readonly all: boolean
  readonly json: boolean
}

type DoctorRead = ({ readonly kind: 'doctor' } & DoctorWish & Common) | Help<'doctor'> | Wrong

const doctorOptions = {
  ...commonOptions,
  help: { type: 'boolean', short: 'h' },
  interface: { type: 'string', short: 'i', multiple: true },
  all: { type: 'boolean', short: 'a' },
  json: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

const readDoctor = (words: readonly string[]): DoctorRead => {
  const { values } = parseArgs({ args: [...words], options: doctorOptions, allowPositionals: false, strict: true })
  if (values.help) return { kind: 'help', topic: 'doctor' }
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  const interfaces = (values.interface ?? []).flatMap(text => text.split(','))
  return { kind: 'doctor', ...common, interfaces, all: values.all === true, json: values.json === true }
}

export const doctor: CommandWords<DoctorRead> = {
  summary: ['doctor [options]', "what is wrong with this machine's interception, and its cure"],
  read: readDoctor,
  usage: `usage: glassquid doctor [-f FILE] [--interface NAME] [--all] [--json]

Looks at capabilities, kernel settings, routing and packet filter rules, and says what is wrong, what it breaks and what
repairs it. Changes nothing. Ends with 1 when something fatal was found.

  --interface NAME   where clients come from (what the rules say, else all but lo)
  --all              also what is well, and what does not concern this machine
  --json             for programs
`,
}
