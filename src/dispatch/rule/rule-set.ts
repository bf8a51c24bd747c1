import type { PrefixTable, ZoneTable } from '../../acl/index.ts'
import { type Named, rowsByName, rowsByNetwork, rowsByPort, rowsByZone } from './dimensions.ts'
import { emptyRow, type Row, RowPool, setBit } from './rows.ts'
import type { Rule, Tuple } from './rule.ts'
import { scoreOf, unmatched } from './score.ts'

// All rules of a conf, so laid out that the best one for a connection is found without asking each.
//
// A rule's shape is which groups it speaks of. A rule that speaks of a more significant group than all another one speaks
// of beats it, whatever the values: so rules stand in order of shape, and once one matches, those that begin with a lesser
// group are not looked at. For each value of each kind a row holds the rules that name it; the rules that match are
//
//   (ingress row | says nothing of it) & (proto | ...) & ... & (destination | ...)
//
// word by word, 32 rules at a time, and 1024 at a time where masks show that nothing is left. Scores are computed for
// what remains.

/** More is refused at load: rows are as long as there are rules. */
export const rulesMax = 50_000

export class RuleSet {
  /** By id. */
  readonly rules: readonly Rule[]
  /** In order of shape, then id. */
  readonly #ordered: readonly Rule[]
  readonly #shapes: Uint8Array
  readonly #pool: RowPool
  readonly #srcIfaces: ReadonlyMap<string, Row>
  readonly #srcGroups: ReadonlyMap<number, Row>
  readonly #protos: ReadonlyMap<string, Row>
  readonly #srcPorts: Uint32Array
  readonly #dstPorts: Uint32Array
  readonly #srcNets: PrefixTable
  readonly #srcZones: Uint32Array
  readonly #dstNets: PrefixTable
  readonly #dstIfaces: ReadonlyMap<string, Row>
  readonly #dstGroups: ReadonlyMap<number, Row>
  readonly #dstZones: Uint32Array
  /** The rules that say nothing of a group. */
  readonly #noIngress: Everywhere
  readonly #noProto: Everywhere
  readonly #noSrcPort: Everywhere
  readonly #noDstPort: Everywhere
  readonly #noSource: Everywhere
  readonly #noDestination: Everywhere

  constructor(rules: readonly Rule[], zones: ZoneTable) {
    this.rules = rules.toSorted((a, b) => a.id - b.id)
    this.#ordered = this.rules.toSorted((a, b) => shapeOf(b) - shapeOf(a))
    this.#shapes = Uint8Array.from(this.#ordered, shapeOf)
    this.#pool = new RowPool(rules.length)
    const pool = this.#pool
    this.#srcIfaces = rowsByName(pool, this.#named(rule => rule.srcIfaces))
    this.#srcGroups = rowsByName(pool, this.#named(rule => rule.srcGroups))
    this.#protos = rowsByName<string>(pool, this.#named(rule => rule.protos))
    this.#srcPorts = rowsByPort(pool, this.#named(rule => rule.srcPorts))
    this.#dstPorts = rowsByPort(pool, this.#named(rule => rule.dstPorts))
    this.#srcNets = rowsByNetwork(pool, this.#named(rule => rule.srcNets))
    this.#srcZones = rowsByZone(pool, zones.zones, this.#named(rule => rule.srcZones))
    this.#dstNets = rowsByNetwork(pool, this.#named(rule => rule.dstNets))
    this.#dstIfaces = rowsByName(pool, this.#named(rule => rule.dstIfaces))
    this.#dstGroups = rowsByName(pool, this.#named(rule => rule.dstGroups))
    this.#dstZones = rowsByZone(pool, zones.zones, this.#named(rule => rule.dstZones))
    this.#noIngress = this.#without(shape.ingress)
    this.#noProto = this.#without(shape.proto)
    this.#noSrcPort = this.#without(shape.srcPort)
    this.#noDstPort = this.#without(shape.dstPort)
    this.#noSource = this.#without(shape.source)
    this.#noDestination = this.#without(shape.destination)
  }

  /** Does any rule ask by which interface a connection came in? */
  get speaksOfIngress(): boolean {
    return this.#srcIfaces.size + this.#srcGroups.size > 0
  }

  /** Does any rule ask for groups, or for what interface has an address? */
  get speaksOfInterfaces(): boolean {
    return this.#srcGroups.size + this.#dstIfaces.size + this.#dstGroups.size > 0
  }

  /** The rule that decides, null = none matches. */
  decide(tuple: Tuple): Rule | null {
    const pool = this.#pool
    const iface = tuple.iface === null ? emptyRow : (this.#srcIfaces.get(tuple.iface) ?? emptyRow)
    const group = tuple.group === null ? emptyRow : (this.#srcGroups.get(tuple.group) ?? emptyRow)
    const proto = this.#protos.get(tuple.proto) ?? emptyRow
    const srcPort = this.#srcPorts[tuple.src.port] as number // every port has a row
    const dstPort = this.#dstPorts[tuple.dst.port] as number
    const srcNet = Math.max(emptyRow, this.#srcNets.find(tuple.srcKey))
    const dstNet = Math.max(emptyRow, this.#dstNets.find(tuple.dstKey))
    const srcZone = tuple.srcZone === null ? emptyRow : (this.#srcZones[tuple.srcZone.number] as number)
    const dstZone = tuple.dstZone === null ? emptyRow : (this.#dstZones[tuple.dstZone.number] as number)
    const dstIface = tuple.dstIface === null ? emptyRow : (this.#dstIfaces.get(tuple.dstIface) ?? emptyRow)
    const dstGroup = tuple.dstGroup === null ? emptyRow : (this.#dstGroups.get(tuple.dstGroup) ?? emptyRow)

    const noSource = this.#noSource
    const noDestination = this.#noDestination
    const noDstPort = this.#noDstPort
    const noSrcPort = this.#noSrcPort
    const noProto = this.#noProto
    const noIngress = this.#noIngress
    const { masks } = pool
    let best: Rule | null = null
    let bestScore = unmatched
    let bestTop = 32 // zeros before its most significant group
    for (let m = 0; m < masks; m++) {
      let mask = (noSource.masks[m] as number) | pool.mask(srcNet, m) | pool.mask(srcZone, m)
      if (mask === 0) continue
      mask &= (noDestination.masks[m] as number) | pool.mask(dstNet, m) | pool.mask(dstZone, m) | pool.mask(dstIface, m) | pool.mask(dstGroup, m)
      mask &= (noDstPort.masks[m] as number) | pool.mask(dstPort, m)
      if (mask === 0) continue
      mask &= (noSrcPort.masks[m] as number) | pool.mask(srcPort, m)
      mask &= (noProto.masks[m] as number) | pool.mask(proto, m)
      mask &= (noIngress.masks[m] as number) | pool.mask(iface, m) | pool.mask(group, m)
      for (; mask !== 0; mask &= mask - 1) {
        const w = m * 32 + lowestBit(mask)
        let word = (noSource.words[w] as number) | pool.word(srcNet, w) | pool.word(srcZone, w)
        word &= (noDestination.words[w] as number) | pool.word(dstNet, w) | pool.word(dstZone, w) | pool.word(dstIface, w) | pool.word(dstGroup, w)
        if (word === 0) continue
        word &= (noDstPort.words[w] as number) | pool.word(dstPort, w)
        if (word === 0) continue
        word &= (noSrcPort.words[w] as number) | pool.word(srcPort, w)
        word &= (noProto.words[w] as number) | pool.word(proto, w)
        word &= (noIngress.words[w] as number) | pool.word(iface, w) | pool.word(group, w)
        for (; word !== 0; word &= word - 1) {
          const position = w * 32 + lowestBit(word)
          const top = Math.clz32(this.#shapes[position] as number) // within: rows hold positions of rules
          if (best !== null && top > bestTop) return best
          const rule = this.#ordered[position] as Rule
          if (best === null) {
            if (!holdsFor(rule, tuple)) continue
            best = rule
            bestTop = top
            continue
          }
          // rows have told that both match: what they score is asked when there are two
          if (bestScore === unmatched) bestScore = scoreOf(best, tuple)
          const score = scoreOf(rule, tuple)
          // of equal ones the lowest id: they have one shape, and come in that order
          if (score <= bestScore || !holdsFor(rule, tuple)) continue
          best = rule
          bestScore = score
          bestTop = top
        }
      }
    }
    return best
  }

  #named<T>(of: (rule: Rule) => readonly T[]): Named<T> {
    return this.#ordered.flatMap((rule, position) => of(rule).map(value => ({ value, position })))
  }

  #without(bit: number): Everywhere {
    const words = new Uint32Array(this.#pool.words)
    const masks = new Uint32Array(this.#pool.masks)
    this.#shapes.forEach((shapeHere, position) => {
      if ((shapeHere & bit) !== 0) return
      setBit(words, position)
      setBit(masks, position >>> 5)
    })
    return { words, masks }
  }
}

/** A set of rules that takes part in every question: whole words, and a bit for each that is not zero. */
interface Everywhere {
  readonly words: Uint32Array
  readonly masks: Uint32Array
}

/** Groups, the most significant highest. */
const shape = { ingress: 64, proto: 32, srcPort: 16, dstPort: 8, source: 4, destination: 2, acl: 1 } as const

const shapeOf = (rule: Rule): number =>
  (rule.srcIfaces.length + rule.srcGroups.length > 0 ? shape.ingress : 0)
  + (rule.protos.length > 0 ? shape.proto : 0)
  + (rule.srcPorts.length > 0 ? shape.srcPort : 0)
  + (rule.dstPorts.length > 0 ? shape.dstPort : 0)
  + (rule.srcNets.length + rule.srcZones.length > 0 ? shape.source : 0)
  + (rule.dstNets.length + rule.dstIfaces.length + rule.dstGroups.length + rule.dstZones.length > 0 ? shape.destination : 0)
  + (rule.condition !== null ? shape.acl : 0)

const holdsFor = ({ condition }: Rule, tuple: Tuple): boolean => condition === null || condition.holds(tuple.facts())

const lowestBit = (word: number): number => 31 - Math.clz32(word & -word)
