import { masked, type Prefix } from '../../base/index.ts'
import type { PortRange, Rule } from './rule.ts'

// Whether a rule decides about everything it matches, whatever the others say. Then somebody who knows this rule alone may
// act by it: the kernel, which knows no scores. The answer is on the safe side: another rule may come before this one unless
// it can be seen that nothing matches both, or that it never says more.

/** The first rule that may come before `rule` where both match; null = there is none. `harmless`: its word is the same. */
export const mayPrecede = (rule: Rule, others: readonly Rule[], harmless: (other: Rule) => boolean): Rule | null =>
  others.find(other => other !== rule && !harmless(other) && !apart(rule, other) && mayOutdo(other, rule)) ?? null

/** Nothing matches both. */
const apart = (a: Rule, b: Rule): boolean =>
  (a.protos.length > 0 && b.protos.length > 0 && !a.protos.some(proto => b.protos.includes(proto))) ||
  rangesApart(a.srcPorts, b.srcPorts) ||
  rangesApart(a.dstPorts, b.dstPorts) ||
  (a.srcZones.length + b.srcZones.length === 0 && netsApart(a.srcNets, b.srcNets)) ||
  (otherDestinations(a) + otherDestinations(b) === 0 && netsApart(a.dstNets, b.dstNets)) ||
  (a.srcGroups.length + b.srcGroups.length === 0 && a.srcIfaces.length > 0 && b.srcIfaces.length > 0 && !a.srcIfaces.some(name => b.srcIfaces.includes(name)))

const otherDestinations = ({ dstZones, dstIfaces, dstGroups }: Rule): number => dstZones.length + dstIfaces.length + dstGroups.length

const rangesApart = (a: readonly PortRange[], b: readonly PortRange[]): boolean =>
  a.length > 0 && b.length > 0 && !a.some(x => b.some(y => x.first <= y.last && y.first <= x.last))

const netsApart = (a: readonly Prefix[], b: readonly Prefix[]): boolean =>
  a.length > 0 && b.length > 0 && !a.some(x => b.some(y => overlap(x, y)))

const overlap = (a: Prefix, b: Prefix): boolean => {
  if (a.family !== b.family) return false
  const length = Math.min(a.length, b.length)
  const [x, y] = [masked(a.words, length), masked(b.words, length)]
  return x.every((word, i) => word === y[i])
}

/** Groups in the order of score.ts: the most `other` can say against the least `rule` says. Equal in all: the lower id. */
const mayOutdo = (other: Rule, rule: Rule): boolean => {
  const [most, least] = [bounds(other).map(([, high]) => high), bounds(rule).map(([low]) => low)]
  for (const [i, high] of most.entries()) {
    const low = least[i] ?? 0
    if (high !== low) return high > low
  }
  return other.id < rule.id
}

type Bounds = readonly [low: number, high: number]

const bounds = (rule: Rule): readonly Bounds[] => [
  ingressBounds(rule),
  rule.protos.length > 0 ? [1, 1] : [0, 0],
  portBounds(rule.srcPorts),
  portBounds(rule.dstPorts),
  addressBounds(rule.srcNets, 32, rule.srcZones.length > 0 ? 31 : 0),
  addressBounds(rule.dstNets, 128, (rule.dstIfaces.length + rule.dstGroups.length > 0 ? 3 * 32 : 0) + (rule.dstZones.length > 0 ? 31 : 0)),
  rule.acl.length > 0 ? [1, 1] : [0, 0],
]

const ingressBounds = ({ srcIfaces, srcGroups }: Rule): Bounds => {
  const [iface, group] = [srcIfaces.length > 0 ? 2 : 0, srcGroups.length > 0 ? 1 : 0]
  return [group || iface, iface + group]
}

const portBounds = (ranges: readonly PortRange[]): Bounds => {
  const values = ranges.map(({ first, last }) => (first === last ? 2 : 1))
  return values.length === 0 ? [0, 0] : [Math.min(...values), Math.max(...values)]
}

/** `besides`: the most that zones and interfaces can add; where they are said, a network need not match. */
const addressBounds = (nets: readonly Prefix[], unit: number, besides: number): Bounds => {
  if (nets.length === 0) return besides === 0 ? [0, 0] : [1, besides]
  const lengths = nets.map(({ length }) => (length + 1) * unit)
  return [besides === 0 ? Math.min(...lengths) : 1, Math.max(...lengths) + besides]
}
