import type { IpKey, Zone } from '../../acl/index.ts'
import { maskWord, type Prefix } from '../../base/index.ts'
import type { PortRange, Rule, Tuple } from './rule.ts'

// How much a rule says about a connection: Zorp's order (KZorp's lookup), in one number.
//
//   bits  36…34     33      32…31     30…29     28…16                  15…1                              0
//         ingress   proto   src port  dst port  source                 destination                       acl
//         2 iface   1       2 one     2 one     (length + 1) × 32      (length + 1) × 128                1
//         1 group           1 range   1 range   + depth of the zone    + 32 × (2 iface, 1 group) + depth
//
// What a rule does not say scores 0 and matches everything. Values of one kind are alternatives; so are kinds within one
// group (src and src_zone); groups must all match. acl= is ours: the least of all, so that a rule with a condition comes
// before the same one without.

/** No match. */
export const unmatched = -1

/** The score, acl= taken as true; `unmatched` where a group does not match. */
export const scoreOf = (rule: Rule, tuple: Tuple): number => {
  const ingress = ingressScore(rule, tuple)
  if (ingress < 0) return unmatched
  const proto = rule.protos.length === 0 ? 0 : rule.protos.includes(tuple.proto) ? 1 : unmatched
  if (proto < 0) return unmatched
  const srcPort = portScore(rule.srcPorts, tuple.src.port)
  if (srcPort < 0) return unmatched
  const dstPort = portScore(rule.dstPorts, tuple.dst.port)
  if (dstPort < 0) return unmatched
  const source = sourceScore(rule, tuple)
  if (source < 0) return unmatched
  const destination = destinationScore(rule, tuple)
  if (destination < 0) return unmatched
  const ports = ((ingress * 2 + proto) * 4 + srcPort) * 4 + dstPort
  return ((ports * 2 ** 13 + source) * 2 ** 15 + destination) * 2 + (rule.condition === null ? 0 : 1)
}

/** A score in its groups, for people. */
export interface ScoreParts {
  readonly ingress: number
  readonly proto: number
  readonly srcPort: number
  readonly dstPort: number
  readonly source: { readonly prefix: number; readonly zoneDepth: number }
  readonly destination: { readonly prefix: number; readonly interface: number; readonly zoneDepth: number }
  readonly acl: number
}

/** `prefix` is the length of the longest network that matched, -1 = none did. */
export const scoreParts = (score: number): ScoreParts => {
  const low = score % 2 ** 29
  const high = Math.floor(score / 2 ** 29)
  const source = Math.floor(low / 2 ** 16)
  const destination = Math.floor(low / 2) % 2 ** 15
  return {
    ingress: high >> 5,
    proto: (high >> 4) & 1,
    srcPort: (high >> 2) & 3,
    dstPort: high & 3,
    source: { prefix: (source >> 5) - 1, zoneDepth: source & 31 },
    destination: { prefix: (destination >> 7) - 1, interface: (destination >> 5) & 3, zoneDepth: destination & 31 },
    acl: low % 2,
  }
}

const ingressScore = ({ srcIfaces, srcGroups }: Rule, { iface, group }: Tuple): number => {
  if (srcIfaces.length === 0 && srcGroups.length === 0) return 0
  return (namesInterface(srcIfaces, iface) ? 2 : 0) + (group !== null && srcGroups.includes(group) ? 1 : 0) || unmatched
}

/** 2 a port of its own, 1 a range. */
export const portScore = (ranges: readonly PortRange[], port: number): number => {
  if (ranges.length === 0) return 0
  let best = unmatched
  for (let i = 0; i < ranges.length; i++) {
    const { first, last } = ranges[i] as PortRange // within by the loop
    if (port < first || port > last) continue
    if (first === last) return 2
    best = 1
  }
  return best
}

export const sourceScore = ({ srcNets, srcZones }: Rule, { srcKey, srcZone }: Tuple): number => {
  if (srcNets.length === 0 && srcZones.length === 0) return 0
  return (longest(srcNets, srcKey) + 1) * 32 + deepest(srcZones, srcZone) || unmatched
}

export const destinationScore = (rule: Rule, tuple: Tuple): number => {
  const { dstNets, dstIfaces, dstGroups, dstZones } = rule
  if (dstNets.length + dstIfaces.length + dstGroups.length + dstZones.length === 0) return 0
  const { dstIface, dstGroup } = tuple
  const local = (namesInterface(dstIfaces, dstIface) ? 2 : 0) + (dstGroup !== null && dstGroups.includes(dstGroup) ? 1 : 0)
  return (longest(dstNets, tuple.dstKey) + 1) * 128 + local * 32 + deepest(dstZones, tuple.dstZone) || unmatched
}

const namesInterface = (names: readonly string[], name: string | null): boolean => name !== null && names.includes(name)

/** Length of the longest net that holds the address, -1 = none does. */
const longest = (nets: readonly Prefix[], key: IpKey): number => {
  let best = -1
  for (let i = 0; i < nets.length; i++) {
    const net = nets[i] as Prefix // within by the loop
    if (net.length > best && holds(net, key)) best = net.length
  }
  return best
}

const holds = ({ family, words, length }: Prefix, key: IpKey): boolean => {
  if (family !== key.family) return false
  if ((((words[0] as number) ^ key.a) & maskWord(length)) !== 0) return false
  if (length <= 32) return true
  if ((((words[1] as number) ^ key.b) & maskWord(length - 32)) !== 0) return false
  if ((((words[2] as number) ^ key.c) & maskWord(length - 64)) !== 0) return false
  return (((words[3] as number) ^ key.d) & maskWord(length - 96)) === 0
}

/** Depth of the deepest of `zones` that is the zone or one above it, 0 = none is. */
const deepest = (zones: readonly Zone[], zone: Zone | null): number => {
  if (zones.length === 0) return 0
  for (let at = zone; at !== null; at = at.parent) if (zones.includes(at)) return at.depth
  return 0
}
