import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { type Common, commonOptions, type CommandWords, type Help, readCommon, type Wrong, wrong } from './command.ts'

export interface TestWish {
  /** Files of questions with their answers. */
  readonly files: readonly string[]
  /** An access log whose requests are decided again. */
  readonly replay: string | null
  /** The conf whose decisions the new ones are compared with; null = what the log says. */
  readonly against: string | null
}

type TestRead = ({ readonly kind: 'test' } & TestWish & Common) | Help<'test'> | Wrong

const testOptions = {
  ...commonOptions,
  help: { type: 'boolean', short: 'h' },
  replay: { type: 'string' },
  against: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig

const readTest = (words: readonly string[]): TestRead => {
  const { values, positionals } = parseArgs({ args: [...words], options: testOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'test' }
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  if (positionals.length === 0 && values.replay === undefined) return wrong('test: which FILE of tests, or --replay ACCESS.LOG')
  if (values.against !== undefined && values.replay === undefined) return wrong('--against needs --replay')
  return { kind: 'test', ...common, files: positionals, replay: values.replay ?? null, against: values.against ?? null }
}

export const test: CommandWords<TestRead> = {
  summary: ['test FILE ...', 'does the conf decide as it should? also --replay ACCESS.LOG'],
  read: readTest,
  usage: `usage: glassquid test FILE ... [-f CONF]
       glassquid test --replay ACCESS.LOG [--against OLD-CONF] [-f CONF]

Asks the conf's http_access, without a proxy running. A FILE holds one question a line, and its answer:

  10.0.0.5 GET http://example.com/ @Mon 10:00 -> deny line 12
  fd00::5 CONNECT example.com:443 "User-Agent: curl/8" dst=192.0.2.7 port=3130 -> allow

  @ DAY HH:MM, @HH:MM or @2026-11-20T10:00   when (now)
  dst=ADDRESS       what the host's name stands for (nobody is asked)
  port=NAME         the http_port it came to, by its name= or as written; local=ADDRESS:PORT: our end
  "Name: value"     a field of the request
  -> allow|deny [line N | line FILE:N | default]

--replay decides every request of a log (squid, common or combined) again and shows those whose decision differs from
what the log says, or from what OLD-CONF says. Ends with 1 when something differs.
`,
}
