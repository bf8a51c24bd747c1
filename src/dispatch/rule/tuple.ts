import { AccessFacts, IpKey, type ZoneTable } from '../../acl/index.ts'
import type { Endpoint, WallMs } from '../../base/index.ts'
import type { Tuple } from './rule.ts'

/** What rules must know of this machine's interfaces. */
export interface InterfaceFacts {
  /** Linux: an interface is in one group, 0 unless somebody said otherwise; null = there is no such interface. */
  groupOf(name: string): number | null
  /** The interface that has the address (canonical); null = it is none of this machine's. */
  holderOf(address: string): string | null
}

/** What is seen of a connection when it arrives. */
export interface Arrival {
  readonly proto: 'tcp' | 'udp'
  readonly src: Endpoint
  /** Where it was going. */
  readonly dst: Endpoint
  /** The interface it came in by; null = not known. */
  readonly iface: string | null
  /** Of the listener. */
  readonly portName: string
  readonly now: WallMs
}

export const tupleOf = (arrival: Arrival, zones: ZoneTable, interfaces: InterfaceFacts): Tuple => {
  const { proto, src, dst, iface } = arrival
  const srcKey = new IpKey(src.address)
  const dstKey = new IpKey(dst.address)
  const dstIface = interfaces.holderOf(dst.address)
  let facts: AccessFacts | null = null
  return {
    proto,
    src,
    srcKey,
    srcZone: zones.of(srcKey),
    dst,
    dstKey,
    dstZone: zones.of(dstKey),
    iface,
    group: iface === null ? null : interfaces.groupOf(iface),
    dstIface,
    dstGroup: dstIface === null ? null : interfaces.groupOf(dstIface),
    facts: () => (facts ??= factsOf(arrival)),
  }
}

/** No request has been read: `dst` and `dst_zone` are where the client was going. */
const factsOf = ({ src, dst, portName, now }: Arrival): AccessFacts => {
  const facts = new AccessFacts(src, dst, portName)
  facts.pinned = true
  facts.host = dst.address
  facts.port = dst.port
  facts.now = now
  return facts
}

/** No interface has a group or an address: for rules that do not speak of them. */
export const noInterfaces: InterfaceFacts = { groupOf: () => null, holderOf: () => null }
