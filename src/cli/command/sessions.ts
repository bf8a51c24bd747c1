import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { type Common, commonOptions, type CommandWords, type Help, readCommon, type Wrong, wrong } from './command.ts'

export interface SessionsWish {
  /** The session to end; null: they are shown. */
  readonly stop: string | null
  readonly json: boolean
  readonly service: string | null
  readonly client: string | null
}

type SessionsRead = ({ readonly kind: 'sessions' } & SessionsWish & Common) | Help<'sessions'> | Wrong

const sessionsOptions = {
  ...commonOptions,
  help: { type: 'boolean', short: 'h' },
  json: { type: 'boolean' },
  stop: { type: 'string' },
  service: { type: 'string' },
  client: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig

const readSessions = (words: readonly string[]): SessionsRead => {
  const { values, positionals } = parseArgs({ args: [...words], options: sessionsOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'sessions' }
  const [stray] = positionals
  if (stray !== undefined) return wrong(`sessions: '${stray}' is one word too many`)
  if (values.stop === '') return wrong('--stop needs the name of a session, such as svc/web:17')
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  return {
    kind: 'sessions',
    ...common,
    stop: values.stop ?? null,
    json: values.json === true,
    service: values.service ?? null,
    client: values.client ?? null,
  }
}

export const sessions: CommandWords<SessionsRead> = {
  summary: ['sessions [--stop ID]', 'who is connected; ends one of them'],
  read: readSessions,
  usage: `usage: glassquid sessions [--service NAME] [--client ADDRESS] [--json] [-f FILE]
       glassquid sessions --stop ID [-f FILE]

Shows the sessions of the proxy that runs with this conf, over its control socket, or ends one of them.

  --stop ID          end the session of that name (svc/web:17)
  --service NAME     only those of this service
  --client ADDRESS   only those of this client
  --json             as JSON
`,
}
