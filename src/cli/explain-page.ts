import { canonicalAddress, type Clock, endpoint } from '../base/index.ts'
import type { PortConfig } from '../conf/index.ts'
import { Fields, isFieldValue, isToken, parseAbsolute } from '../http/index.ts'
import { type Arguments, type Page, type PageRefusal, refusedPage } from '../manager/index.ts'
import { explain, type Explained, explainedText, type ExplainParts, type Question } from '../proxy/index.ts'
import { httpPortOf } from './http-port.ts'

// `explain` as a page of the manager, and, where no proxy runs, by the command line itself from the conf alone. Arguments:
//
//   uri=URL   method=GET   from=ADDRESS   port=NAME   field=Name: value ...   status=200 response=Name: value ...

export interface ExplainSource {
  readonly clock: Clock
  readonly ports: () => readonly PortConfig[]
  readonly parts: () => Omit<ExplainParts, 'now'>
}

export const explainPage = (source: ExplainSource): Page<Explained> => ({
  name: 'explain',
  doc: 'What becomes of a request: uri= method= from= field=',
  protection: 'protected',
  effect: 'shows',
  async answer(args) {
    const question = read(args, source.ports())
    if ('ok' in question) return question
    return { ok: true, value: await explain({ ...source.parts(), now: source.clock.wall() }, question) }
  },
  text: explainedText,
})

const read = (args: Arguments, ports: readonly PortConfig[]): Question | PageRefusal => {
  const uri = args.get('uri') ?? ''
  const target = parseAbsolute(uri)
  if (target === null) return refusedPage(400, `'${uri}' is no absolute URI`)
  const method = args.get('method') ?? 'GET'
  if (!isToken(method)) return refusedPage(400, `'${method}' is no method`)
  const from = canonicalAddress(args.get('from') ?? '127.0.0.1')
  if (from === null) return refusedPage(400, `'${args.get('from')}' is no address`)
  const fields = fieldsOf(args.getAll('field'))
  if (typeof fields === 'string') return refusedPage(400, fields)
  const port = portOf(args.get('port'), ports)
  if (port === null) return refusedPage(400, `there is no http_port '${args.get('port') ?? ''}'`)
  const response = responseOf(args)
  if (typeof response === 'string') return refusedPage(400, response)
  return {
    method, target, fields, response,
    client: endpoint(from, 0),
    port: httpPortOf(port, 0, null),
    portName: port.name,
    local: endpoint(port.address ?? (from.includes(':') ? '::1' : '127.0.0.1'), port.port),
  }
}

/** By name=, or by number; null as name = the first forward port, or the first there is. */
const portOf = (name: string | null, ports: readonly PortConfig[]): PortConfig | null => {
  if (name === null) return ports.find(port => port.mode === 'forward') ?? ports[0] ?? null
  return ports.find(port => port.name === name) ?? ports.find(port => String(port.port) === name) ?? null
}

const responseOf = (args: Arguments): Question['response'] | string => {
  const status = args.get('status')
  const lines = args.getAll('response')
  if (status === null && lines.length === 0) return null
  const number = Number(status ?? '200')
  if (!Number.isInteger(number) || number < 200 || number > 599) return `status '${status ?? ''}': a number from 200 to 599`
  const fields = fieldsOf(lines)
  return typeof fields === 'string' ? fields : { status: number, fields }
}

/** The text says which line is none. */
const fieldsOf = (lines: readonly string[]): Fields | string => {
  const pairs: string[] = []
  for (const line of lines) {
    const colon = line.indexOf(':')
    const [name, value] = [line.slice(0, Math.max(0, colon)).trim(), line.slice(colon + 1).trim()]
    if (!isToken(name) || !isFieldValue(value)) return `'${line}' is no field: write 'Name: value'`
    pairs.push(name, value)
  }
  return Fields.from(pairs)
}
