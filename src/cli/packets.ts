import { type AclTable, compileCondition } from '../acl/index.ts'
import type { Config, OutgoingLine } from '../conf/index.ts'
import type { Flows, Guarded, Mark, PacketRules } from '../proxy/index.ts'

/** clientside_tos, mark_client_packet, qos_flows; null = packets to clients carry nothing. */
export const packetsOf = (config: Config, acls: AclTable): PacketRules | null => {
  const { clientside_tos: tos, mark_client_packet: marks, mark_client_connection: connections, qos_flows: lines } = config
  if (tos.length + marks.length + connections.length + lines.length === 0) return null
  const guarded = <T>(list: readonly OutgoingLine<T>[]): Guarded<T>[] =>
    list.map(({ value, acls: uses, at }) => ({ value, when: compileCondition(uses, acls, at) }))
  return {
    tos: guarded(tos),
    marks: guarded(marks),
    connections: guarded(connections),
    tosFlows: flowsOf(config, 'tos', value => value),
    markFlows: flowsOf(config, 'mark', (value): Mark => ({ value, mask: 0xffffffff })),
  }
}

/** Further lines of a kind add to the first, as in Squid. */
const flowsOf = <T>(config: Config, kind: 'tos' | 'mark', make: (value: number) => T): Flows<T> | null => {
  const lines = config.qos_flows.filter(line => line.kind === kind)
  if (lines.length === 0) return null
  const last = (flow: keyof Flows<T>): T | null => {
    const value = lines.findLast(({ flows }) => flows[flow] !== null)?.flows[flow] ?? null
    return value === null ? null : make(value)
  }
  return { localHit: last('localHit'), siblingHit: last('siblingHit'), parentHit: last('parentHit'), miss: last('miss') }
}
