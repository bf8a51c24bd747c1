import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { type Common, commonOptions, type CommandWords, type Help, readCommon, type Wrong, wrong } from './command.ts'

export interface RulesWish {
  readonly form: 'nft' | 'iptables'
  readonly deed: 'apply' | 'undo'
  /** Show the commands instead of carrying them out. */
  readonly show: boolean
  readonly interfaces: readonly string[]
  readonly ports: string | null
  /** `PORTS=LISTENER` as written. */
  readonly take: readonly string[]
  readonly bypass: readonly string[]
  readonly exempt: readonly string[]
  readonly failClosed: boolean
  readonly local: boolean
  /** Whose connections are the proxy's own; null = cache_effective_user. */
  readonly user: string | null
  readonly mark: string | null
  readonly table: string | null
}

type RulesRead = ({ readonly kind: 'rules' } & RulesWish & Common) | Help<'rules'> | Wrong

const rulesOptions = {
  ...commonOptions,
  help: { type: 'boolean', short: 'h' },
  apply: { type: 'boolean' },
  undo: { type: 'boolean' },
  show: { type: 'boolean' },
  interface: { type: 'string', short: 'i', multiple: true },
  ports: { type: 'string', short: 'p' },
  take: { type: 'string', multiple: true },
  bypass: { type: 'string', multiple: true },
  exempt: { type: 'string', multiple: true },
  'fail-closed': { type: 'boolean' },
  'fail-open': { type: 'boolean' },
  local: { type: 'boolean' },
  user: { type: 'string' },
  mark: { type: 'string' },
  table: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig

const readRules = (words: readonly string[]): RulesRead => {
  const { values, positionals } = parseArgs({ args: [...words], options: rulesOptions, allowPositionals: true, strict: true })
  if (values.help) return { kind: 'help', topic: 'rules' }
  const [form = 'nft', stray] = positionals
  if (form !== 'nft' && form !== 'iptables') return wrong(`rules '${form}': there is nft and iptables`)
  if (stray !== undefined) return wrong(`unexpected '${stray}'`)
  if (values.apply && values.undo) return wrong('--apply or --undo, not both')
  if (values['fail-closed'] && values['fail-open']) return wrong('--fail-closed or --fail-open, not both')
  const common = readCommon(values, [])
  if (typeof common === 'string') return wrong(common)
  return {
    kind: 'rules',
    ...common,
    form,
    deed: values.undo ? 'undo' : 'apply',
    show: values.show === true || (!values.apply && !values.undo),
    interfaces: (values.interface ?? []).flatMap(text => text.split(',')),
    ports: values.ports ?? null,
    take: values.take ?? [],
    bypass: (values.bypass ?? []).flatMap(text => text.split(',')),
    exempt: (values.exempt ?? []).flatMap(text => text.split(',')),
    failClosed: values['fail-closed'] === true,
    local: values.local === true,
    user: values.user ?? null,
    mark: values.mark ?? null,
    table: values.table ?? null,
  }
}

export const rules: CommandWords<RulesRead> = {
  summary: ['rules [nft|iptables] [options]', "kernel rules for the conf's ports"],
  read: readRules,
  usage: `usage: glassquid rules [nft|iptables] [-f FILE] [options]

Prints a shell script that sends connections to the conf's interception ports, or does it.

  --apply, --undo        do it, take it away (both as often as you like); with --show, print it only
  --interface NAME       where clients come from (all but lo)
  --ports 80,8000-8010   which ports to take (80; and 443 for an https_port)
  --take PORTS=LISTENER  these ports to that http_port or listener (its port number or name=); may be repeated;
                         PORTS/udp=RECEIVER: datagrams to a receiver
  --bypass NETWORK       destinations never taken; --exempt NETWORK: clients never taken
  --fail-closed          drop what a dead proxy does not take (tproxy); --fail-open is the default
  --local                this machine's own connections too, except those of --user (cache_effective_user)
  --mark TAKEN/OWN       the two bits of the packet mark (0x100/0x200)
  --table NUMBER         the routing table and the place of its rule (100)
`,
}
