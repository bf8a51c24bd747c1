import type { AccessFacts, Condition, IpKey, Zone } from '../../acl/index.ts'
import type { Endpoint, Prefix } from '../../base/index.ts'
import type { AclUse, AclValue, Location } from '../../conf/config.ts'

// A rule says which service a connection gets. Which rule decides is not a matter of order: of those that match, the one
// that says most about the connection (score.ts).

/** One line of the conf. Lists are alternatives; an empty one says nothing. */
export interface RuleLine {
  /** null = the next free number. */
  readonly id: number | null
  readonly proto: readonly ('tcp' | 'udp')[]
  readonly srcIface: readonly Value[]
  readonly srcGroup: readonly Value[]
  readonly srcPort: readonly Value[]
  readonly dstPort: readonly Value[]
  readonly src: readonly Value[]
  readonly srcZone: readonly Value[]
  readonly dst: readonly Value[]
  readonly dstIface: readonly Value[]
  readonly dstGroup: readonly Value[]
  readonly dstZone: readonly Value[]
  readonly acl: readonly AclUse[]
  readonly detect: readonly { readonly detector: string; readonly service: string }[]
  readonly service: string
  readonly text: string
  readonly at: Location
}

export type Value = Pick<AclValue, 'text' | 'at'>

export interface PortRange {
  readonly first: number
  readonly last: number
}

/** A rule as it is asked. */
export interface Rule {
  readonly id: number
  readonly service: string
  readonly detect: RuleLine['detect']
  readonly protos: readonly ('tcp' | 'udp')[]
  readonly srcIfaces: readonly string[]
  readonly srcGroups: readonly number[]
  readonly srcPorts: readonly PortRange[]
  readonly dstPorts: readonly PortRange[]
  readonly srcNets: readonly Prefix[]
  readonly srcZones: readonly Zone[]
  readonly dstNets: readonly Prefix[]
  readonly dstIfaces: readonly string[]
  readonly dstGroups: readonly number[]
  readonly dstZones: readonly Zone[]
  readonly acl: readonly AclUse[]
  /** null = no acl=. */
  readonly condition: Condition | null
  readonly text: string
  readonly at: Location
}

/** What is known of a connection, or of the first datagram of a flow. */
export interface Tuple {
  readonly proto: 'tcp' | 'udp'
  readonly src: Endpoint
  readonly srcKey: IpKey
  readonly srcZone: Zone | null
  readonly dst: Endpoint
  readonly dstKey: IpKey
  readonly dstZone: Zone | null
  /** The interface it came in by, and that interface's group; null = not known. */
  readonly iface: string | null
  readonly group: number | null
  /** The interface that has the destination address, and its group; null = it is none of this machine's. */
  readonly dstIface: string | null
  readonly dstGroup: number | null
  /** For acl=. Made when it is asked for. */
  readonly facts: () => AccessFacts
}
