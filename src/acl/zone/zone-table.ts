import type { Location } from '../../conf/config.ts'
import { IpKey } from '../ip-key.ts'
import { type PrefixTable, PrefixTableBuilder } from './prefix-table.ts'

// Zones: named sets of addresses. Which zone an address is in is the longest prefix's say; who administers whom is the
// parents' (Zorp's admin_parent), and has nothing to do with which network lies within which.

export interface Zone {
  readonly name: string
  readonly number: number
  readonly parent: Zone | null
  /** 1 = it has no parent. */
  readonly depth: number
  /** It inherits no service sets. */
  readonly umbrella: boolean
  /** Services its servers may be reached by, its clients may use; null = not said. Names in lower case; '*' = all. */
  readonly inbound: ReadonlySet<string> | null
  readonly outbound: ReadonlySet<string> | null
  readonly at: Location
}

/** Five bits of a rule's score. */
export const zoneDepthMax = 31

export type Direction = 'inbound' | 'outbound'

export class ZoneTable {
  readonly zones: readonly Zone[]
  readonly #byName: ReadonlyMap<string, Zone>
  readonly #prefixes: PrefixTable
  readonly #limited: Readonly<Record<Direction, boolean>>
  /** Addresses of host names, whose prefixes are the longest there are. */
  #hosts: PrefixTable | null = null

  /** `prefixes` give zones' numbers. */
  constructor(zones: readonly Zone[], prefixes: PrefixTable) {
    this.zones = zones
    this.#byName = new Map(zones.map(zone => [zone.name.toLowerCase(), zone]))
    this.#prefixes = prefixes
    this.#limited = {
      inbound: zones.some(zone => zone.inbound !== null),
      outbound: zones.some(zone => zone.outbound !== null),
    }
  }

  /** Names know no case. */
  named(name: string): Zone | undefined {
    return this.#byName.get(name.toLowerCase())
  }

  /** The zone of an address, null = it is in none. Never allocates. */
  of(key: IpKey): Zone | null {
    const number = this.numberOf(key)
    return number < 0 ? null : (this.zones[number] as Zone) // values are zones' numbers
  }

  /** Its number; -1 = it is in none. */
  numberOf(key: IpKey): number {
    const host = this.#hosts === null ? -1 : this.#hosts.find(key)
    return host >= 0 ? host : this.#prefixes.find(key)
  }

  /** `address` in canonical text. */
  ofAddress(address: string): Zone | null {
    return this.of(new IpKey(address))
  }

  /**
   * May a service be used by clients of the zone (outbound), towards servers in it (inbound)? As soon as one zone of the
   * conf says so for a direction, what no zone names is forbidden, as it was in Zorp: a set is the zone's own and those
   * of its parents, up to an umbrella.
   */
  permits(zone: Zone | null, direction: Direction, service: string): boolean {
    if (!this.#limited[direction]) return true
    const name = service.toLowerCase()
    for (let at = zone; at !== null; at = at.umbrella ? null : at.parent) {
      const set = at[direction]
      if (set !== null && (set.has(name) || set.has('*'))) return true
    }
    return false
  }

  /**
   * The addresses host names have now, all of them. An address that two zones' names share belongs to neither while they
   * do, and one that a zone names outright is that zone's. Answers the addresses in conflict.
   */
  setHosts(entries: Iterable<{ readonly address: string; readonly zone: Zone }>): readonly string[] {
    const zones = new Map<string, Zone | null>()
    for (const { address, zone } of entries) {
      const present = zones.get(address)
      zones.set(address, present === undefined || present === zone ? zone : null)
    }
    const builder = new PrefixTableBuilder()
    const key = new IpKey('')
    for (const [address, zone] of zones) {
      key.set(address)
      if (zone !== null && !this.#prefixes.hasWhole(key)) builder.add(wholeAddress(key), zone.number)
    }
    this.#hosts = builder.build().table
    return [...zones].filter(([, zone]) => zone === null).map(([address]) => address)
  }
}

const wholeAddress = (key: IpKey) =>
  key.family === 4
    ? { family: 4 as const, words: [key.a], length: 32 }
    : { family: 6 as const, words: [key.a, key.b, key.c, key.d], length: 128 }

/** Is it this zone, or administered by it? */
export const isWithin = (zone: Zone | null, ancestor: Zone): boolean => {
  for (let at = zone; at !== null; at = at.parent) if (at === ancestor) return true
  return false
}

/** A conf without zones. */
export const noZones = (): ZoneTable => new ZoneTable([], new PrefixTableBuilder().build().table)
