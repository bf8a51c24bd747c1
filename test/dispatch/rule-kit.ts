import { compileAcls, compileCondition, compileZones, type ZoneTable, type ZoneLine } from '../../src/acl/index.ts'
import { endpoint, wallMs } from '../../src/base/index.ts'
import { type Arrival, compileRules, type InterfaceFacts, type RuleLine, tupleOf } from '../../src/dispatch/rule/index.ts'
import { place } from '../acl/kit.ts'

// Rules and zones as text, and interfaces as a table.

export const zonesOf = (...texts: readonly string[]): ZoneTable => {
  const lines = texts.map((text, i): ZoneLine => {
    const [name = '', ...words] = text.split(' ')
    const parent = words.find(word => word.startsWith('parent='))?.slice('parent='.length) ?? null
    const addresses = words.filter(word => !word.includes('=')).map(word => ({ text: word, at: place(i + 1) }))
    return { name, parent, umbrella: false, inbound: null, outbound: null, addresses, at: place(i + 1) }
  })
  const { table, problems } = compileZones(lines)
  if (problems.length > 0) throw new Error(problems.map(problem => problem.message).join('\n'))
  return table
}

/** `[key=value,..] SERVICE` on line `number`. */
export const ruleLine = (text: string, number: number): RuleLine => {
  const words = text.split(' ')
  const option = (key: string): string[] =>
    words.find(word => word.startsWith(`${key}=`))?.slice(key.length + 1).split(',').filter(value => value !== '') ?? []
  const values = (key: string) => option(key).map(value => ({ text: value, at: place(number) }))
  const [id] = option('id')
  return {
    id: id === undefined ? null : Number(id),
    proto: option('proto') as ('tcp' | 'udp')[],
    srcIface: values('src_iface'), srcGroup: values('src_group'), srcPort: values('src_port'), dstPort: values('dst_port'),
    src: values('src'), srcZone: values('src_zone'), dst: values('dst'), dstIface: values('dst_iface'),
    dstGroup: values('dst_group'), dstZone: values('dst_zone'),
    acl: option('acl').map(name => ({ name: name.replace('!', ''), negated: name.startsWith('!') })),
    detect: [],
    service: words.at(-1) ?? '',
    text,
    at: place(number),
  }
}

/** name → [group, ...addresses] */
export const interfacesOf = (table: Readonly<Record<string, readonly [number, ...string[]]>>): InterfaceFacts => ({
  groupOf: name => table[name]?.[0] ?? null,
  holderOf: address => Object.keys(table).find(name => table[name]?.slice(1).includes(address)) ?? null,
})

export const compiled = (texts: readonly string[], zones: ZoneTable = zonesOf(), acls: Parameters<typeof compileAcls>[0] = []) => {
  const { acls: table } = compileAcls(acls, { zones })
  return compileRules(texts.map((text, i) => ruleLine(text, i + 1)), {
    zones,
    conditionOf: (uses, at) => compileCondition(uses, table, at),
    groupNumber: name => (/^\d+$/.test(name) ? Number(name) : null),
  })
}

/** `tcp 1.2.3.4:5 > 6.7.8.9:10 [iface]` */
export const arrival = (text: string): Arrival => {
  const [proto, src = '', , dst = '', iface] = text.split(' ')
  const end = (of: string) => endpoint(of.slice(0, of.lastIndexOf(':')).replace(/[[\]]/g, ''), Number(of.slice(of.lastIndexOf(':') + 1)))
  return { proto: proto === 'udp' ? 'udp' : 'tcp', src: end(src), dst: end(dst), iface: iface ?? null, portName: 'gate', now: wallMs(0) }
}

/** The service a connection gets, '-' = none. */
export const decider = (
  texts: readonly string[],
  { zones = zonesOf(), interfaces = interfacesOf({}), acls = [] }: { zones?: ZoneTable; interfaces?: InterfaceFacts; acls?: Parameters<typeof compileAcls>[0] } = {},
) => {
  const { set, problems } = compiled(texts, zones, acls)
  const refused = problems.filter(problem => problem.severity !== 'warning')
  if (refused.length > 0) throw new Error(refused.map(problem => problem.message).join('\n'))
  return (text: string): string => set.decide(tupleOf(arrival(text), zones, interfaces))?.service ?? '-'
}
