import { IpKey, type Zone, type ZoneTable } from '../../acl/index.ts'
import { addressOfWords, endpoint, maskWord, type Prefix } from '../../base/index.ts'
import type { Diagnostic } from '../../conf/config.ts'
import type { PortRange, Rule, Tuple } from './rule.ts'
import type { RuleSet } from './rule-set.ts'
import { destinationScore, portScore, sourceScore } from './score.ts'

// Two rules collide if there is a connection both match with the same score: then the lower id always wins, and whoever
// wrote the other one should know. Groups are independent of each other, so a pair collides if in every group there is a
// value for which both score alike. Values to try are those the two rules name, at their edges; nothing is reported
// without such a witness.

/** Told of one by one. */
const toldMax = 20
/** Pairs looked at: with tens of thousands of rules that share a port this would be most of a start. */
const pairsMax = 2_000_000

export const collisions = (set: RuleSet, { zones }: { readonly zones: ZoneTable }): readonly Diagnostic[] => {
  const found: Diagnostic[] = []
  let pairs = 0
  for (const group of groupsOf(set.rules)) {
    for (let b = 1; b < group.length; b++) {
      for (let a = 0; a < b; a++) {
        if (++pairs > pairsMax) return found
        const [first, second] = [group[a] as Rule, group[b] as Rule] // within by the loops
        if (!mayCollide(first, second, zones)) continue
        if (found.length === toldMax) {
          found.push(told(second, 'further rules collide; the rest is not listed', ''))
          return found
        }
        const shadowed = `rule ${second.id} says no more than rule ${first.id} (line ${first.at.line}) about some connections`
        found.push(told(second, `${shadowed}: there rule ${first.id} decides`, 'make one of them more particular'))
        break // one of them is enough
      }
    }
  }
  return found
}

const told = (rule: Rule, message: string, hint: string): Diagnostic => ({ severity: 'warning', at: rule.at, message, hint })

/**
 * Rules that could collide at all: of one shape and condition, and sharing a value of the group with most values. A rule may be in
 * several groups; a pair that is found twice is told once, since the inner loop ends there.
 */
const groupsOf = (rules: readonly Rule[]): readonly (readonly Rule[])[] => {
  const byShape = Map.groupBy(rules, shapeText)
  return [...byShape.values()].flatMap(group => (group.length < 200 ? [group] : parted(group)))
}

const parted = (group: readonly Rule[]): readonly (readonly Rule[])[] => {
  // the kind that parts them best, by how many different values it has
  const best = kinds.reduce((one, other) => (distinct(group, other) > distinct(group, one) ? other : one))
  const parts = new Map<string, Rule[]>()
  for (const rule of group) {
    for (const value of new Set(best(rule))) {
      const part = parts.get(value)
      if (part === undefined) parts.set(value, [rule])
      else part.push(rule)
    }
  }
  return [...parts.values()]
}

const distinct = (group: readonly Rule[], kind: (rule: Rule) => readonly string[]): number => new Set(group.flatMap(kind)).size

const kinds: readonly ((rule: Rule) => readonly string[])[] = [
  rule => [...rule.srcNets.map(textOf), ...rule.srcZones.map(zone => zone.name), ...(rule.srcNets.length + rule.srcZones.length === 0 ? ['-'] : [])],
  rule => [...rule.dstNets.map(textOf), ...rule.dstZones.map(zone => zone.name), ...rule.dstIfaces, ...rule.dstGroups.map(String), ...(rule.dstNets.length + rule.dstZones.length + rule.dstIfaces.length + rule.dstGroups.length === 0 ? ['-'] : [])],
  rule => (rule.dstPorts.every(({ first, last }) => first === last) ? rule.dstPorts.map(({ first }) => String(first)) : ['-']),
]

const textOf = ({ words, length }: Prefix): string => `${words.join()}/${length}`

const shapeText = (rule: Rule): string =>
  [
    rule.srcIfaces.length + rule.srcGroups.length, rule.protos.length, rule.srcPorts.length, rule.dstPorts.length,
    rule.srcNets.length + rule.srcZones.length,
    rule.dstNets.length + rule.dstIfaces.length + rule.dstGroups.length + rule.dstZones.length,
  ].map(count => (count === 0 ? '0' : '1')).join('') + aclText(rule)

/** Whether two different conditions hold at the same time cannot be told. */
const aclText = ({ acl }: Rule): string => acl.map(({ name, negated }) => ` ${negated ? '!' : ''}${name}`).sort().join('')

const mayCollide = (a: Rule, b: Rule, zones: ZoneTable): boolean =>
  sharesProto(a, b) && sharesPort(a.srcPorts, b.srcPorts) && sharesPort(a.dstPorts, b.dstPorts) && sharesIngress(a, b)
  && sharesSource(a, b, zones) && sharesDestination(a, b, zones)

const sharesProto = (a: Rule, b: Rule): boolean => a.protos.length === 0 || a.protos.some(proto => b.protos.includes(proto))

/** Edges of all ranges are where a score changes. */
const sharesPort = (a: readonly PortRange[], b: readonly PortRange[]): boolean => {
  if (a.length === 0) return true
  const edges = [...a, ...b].flatMap(({ first, last }) => [first, last, last + 1])
  return edges.some(port => port <= 65535 && portScore(a, port) > 0 && portScore(a, port) === portScore(b, port))
}

const sharesIngress = (a: Rule, b: Rule): boolean => {
  if (a.srcIfaces.length + a.srcGroups.length === 0) return true
  const score = (rule: Rule, iface: string | null, group: number | null): number =>
    (iface !== null && rule.srcIfaces.includes(iface) ? 2 : 0) + (group !== null && rule.srcGroups.includes(group) ? 1 : 0)
  const ifaces = [null, ...a.srcIfaces, ...b.srcIfaces]
  const groups = [null, ...a.srcGroups, ...b.srcGroups]
  return ifaces.some(iface => groups.some(group => score(a, iface, group) > 0 && score(a, iface, group) === score(b, iface, group)))
}

const sharesSource = (a: Rule, b: Rule, zones: ZoneTable): boolean => {
  if (a.srcNets.length + a.srcZones.length === 0) return true
  const witness = (key: IpKey, zone: Zone | null): boolean => {
    const tuple = tupleAt(key, zone)
    const score = sourceScore(a, tuple)
    return score > 0 && score === sourceScore(b, tuple)
  }
  if (edgesOf([...a.srcNets, ...b.srcNets]).some(key => witness(key, zones.of(key)))) return true
  return [...a.srcZones, ...b.srcZones].some(zone => witness(nowhere, zone))
}

const sharesDestination = (a: Rule, b: Rule, zones: ZoneTable): boolean => {
  if (a.dstNets.length + a.dstZones.length + a.dstIfaces.length + a.dstGroups.length === 0) return true
  const witness = (key: IpKey, zone: Zone | null, iface: string | null, group: number | null): boolean => {
    const tuple = { ...tupleAt(key, zone), dstIface: iface, dstGroup: group }
    const score = destinationScore(a, tuple)
    return score > 0 && score === destinationScore(b, tuple)
  }
  if (edgesOf([...a.dstNets, ...b.dstNets]).some(key => witness(key, zones.of(key), null, null))) return true
  if ([...a.dstZones, ...b.dstZones].some(zone => witness(nowhere, zone, null, null))) return true
  const ifaces = [null, ...a.dstIfaces, ...b.dstIfaces]
  const groups = [null, ...a.dstGroups, ...b.dstGroups]
  return ifaces.some(iface => groups.some(group => witness(nowhere, null, iface, group)))
}

/** In no network, in the zone that is said. */
const nowhere = new IpKey('')

const edgesOf = (nets: readonly Prefix[]): IpKey[] =>
  nets.flatMap(({ words, length }) => [
    new IpKey(addressOfWords(words)),
    new IpKey(addressOfWords(words.map((word, i) => (word | ~maskWord(length - 32 * i)) >>> 0))),
  ])

const anywhere = endpoint('', 0)

const tupleAt = (key: IpKey, zone: Zone | null): Tuple => ({
  proto: 'tcp', src: anywhere, srcKey: key, srcZone: zone, dst: anywhere, dstKey: key, dstZone: zone,
  iface: null, group: null, dstIface: null, dstGroup: null,
  facts: () => {
    throw new Error('conditions are not asked while rules are compared')
  },
})
