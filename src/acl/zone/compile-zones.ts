import { parsePrefix } from '../../base/index.ts'
import type { AclValue, Diagnostic, Location, Severity } from '../../conf/config.ts'
import { type PrefixTable, PrefixTableBuilder } from './prefix-table.ts'
import { type Zone, zoneDepthMax, ZoneTable } from './zone-table.ts'

// From zone lines to the table. Lines of one name add up.

/** One line of the conf. */
export interface ZoneLine {
  readonly name: string
  readonly parent: string | null
  readonly umbrella: boolean
  /** Services, or '*'; null = not said. */
  readonly inbound: readonly string[] | null
  readonly outbound: readonly string[] | null
  /** Networks, addresses, `host:NAME`. */
  readonly addresses: readonly Pick<AclValue, 'text' | 'at'>[]
  readonly at: Location
}

/** A host name of a zone, to be followed. */
export interface ZoneHost {
  readonly name: string
  readonly zone: Zone
  readonly at: Location
}

export interface CompiledZones {
  readonly table: ZoneTable
  readonly hosts: readonly ZoneHost[]
  /** A fatal or error among them: do not use the rest. */
  readonly problems: readonly Diagnostic[]
}

/** What cannot be read is told of up to so many times: a list of the wrong kind has a million lines. */
const remarksMax = 50

export const compileZones = (lines: readonly ZoneLine[]): CompiledZones => new Compiling(lines).compile()

interface Draft {
  readonly name: string
  readonly lines: ZoneLine[]
  parent: string | null
  readonly at: Location
}

class Compiling {
  readonly #lines: readonly ZoneLine[]
  readonly #problems: Diagnostic[] = []
  readonly #drafts = new Map<string, Draft>()
  readonly #zones = new Map<string, Zone>()
  readonly #hosts: ZoneHost[] = []

  constructor(lines: readonly ZoneLine[]) {
    this.#lines = lines
  }

  compile(): CompiledZones {
    for (const line of this.#lines) this.#draft(line)
    for (const draft of this.#drafts.values()) this.#zone(draft, [])
    const zones = [...this.#zones.values()]
    return { table: new ZoneTable(zones, this.#prefixes()), hosts: this.#hosts, problems: this.#problems }
  }

  #draft(line: ZoneLine): void {
    const key = line.name.toLowerCase()
    const draft = this.#drafts.get(key)
    if (draft === undefined) {
      this.#drafts.set(key, { name: line.name, lines: [line], parent: line.parent, at: line.at })
      return
    }
    draft.lines.push(line)
    if (line.parent === null) return
    if (draft.parent !== null && draft.parent.toLowerCase() !== line.parent.toLowerCase())
      this.#report('fatal', line.at, `zone '${draft.name}' has the parent '${draft.parent}' already`, 'a zone has one parent')
    draft.parent = line.parent
  }

  /** Parents first, so that a zone's number is above its parent's. */
  #zone(draft: Draft, path: readonly Draft[]): Zone | null {
    const key = draft.name.toLowerCase()
    const known = this.#zones.get(key)
    if (known !== undefined) return known
    if (path.includes(draft)) {
      const circle = [...path.slice(path.indexOf(draft)), draft].map(({ name }) => name).join(' → ')
      this.#report('fatal', draft.at, `zone '${draft.name}' is its own parent: ${circle}`, 'take parent= out of one of them')
      return null
    }
    const above = draft.parent === null ? undefined : this.#drafts.get(draft.parent.toLowerCase())
    const parent = above === undefined ? null : this.#zone(above, [...path, draft])
    const depth = parent === null ? 1 : parent.depth + 1
    if (depth === zoneDepthMax + 1)
      this.#report('fatal', draft.at, `zone '${draft.name}' lies deeper than ${zoneDepthMax} levels`)
    const { lines } = draft
    const zone: Zone = {
      name: draft.name,
      number: this.#zones.size,
      parent,
      depth,
      umbrella: lines.some(line => line.umbrella),
      inbound: setOf(lines.map(line => line.inbound)),
      outbound: setOf(lines.map(line => line.outbound)),
      at: draft.at,
    }
    this.#zones.set(key, zone)
    return zone
  }

  #prefixes(): PrefixTable {
    const builder = new PrefixTableBuilder()
    // by number, for what is told of doubles
    const values: ZoneLine['addresses'][number][] = []
    const zones: Zone[] = []
    for (const line of this.#lines) {
      const zone = this.#zones.get(line.name.toLowerCase())
      if (zone === undefined) continue // its circle has been told
      for (const value of line.addresses) {
        if (value.text.startsWith('host:')) this.#host(value, zone)
        else if (this.#prefix(value, zone, builder)) {
          values.push(value)
          zones.push(zone)
        }
      }
    }
    const { table, doubles } = builder.build()
    for (const { first, again } of doubles) {
      const [one, other, zone] = [values[first], values[again], zones[first]]
      if (one === undefined || other === undefined || zone === undefined) continue // a number per value
      const whose = zone === zones[again] ? `in zone '${zone.name}' already` : `in zone '${zone.name}', too`
      const hint = `as '${one.text}', at ${one.at.file}:${one.at.line}: remove one`
      this.#report('fatal', other.at, `'${other.text}' is ${whose}`, hint)
    }
    return table
  }

  #prefix({ text, at }: ZoneLine['addresses'][number], zone: Zone, builder: PrefixTableBuilder): boolean {
    const prefix = parsePrefix(text)
    if (prefix === null) {
      const hint = /^[a-z0-9_][a-z0-9_.-]*[a-z]$/i.test(text) ? `a host name is written host:${text}` : 'write ADDRESS or ADDRESS/LENGTH'
      this.#report('fatal', at, `zone: '${text}' is no network`, hint)
      return false
    }
    builder.add(prefix, zone.number)
    return true
  }

  #host({ text, at }: ZoneLine['addresses'][number], zone: Zone): void {
    const name = text.slice('host:'.length).toLowerCase().replace(/\.$/, '')
    if (!/^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/.test(name) || parsePrefix(name) !== null) {
      this.#report('fatal', at, `zone: '${text}' is no host name`, 'write host:NAME')
      return
    }
    const double = this.#hosts.find(host => host.name === name)
    if (double === undefined) this.#hosts.push({ name, zone, at })
    else if (double.zone !== zone)
      this.#report('fatal', at, `'${text}' is in zone '${double.zone.name}', too`, `at ${double.at.file}:${double.at.line}: remove one`)
  }

  #report(severity: Severity, at: Location, message: string, hint = ''): void {
    if (this.#problems.length < remarksMax) this.#problems.push({ severity, at, message, hint })
    else if (this.#problems.length === remarksMax)
      this.#problems.push({ severity, at, message: `more than ${remarksMax} remarks on zones: the rest is not listed`, hint: '' })
  }
}

const setOf = (sets: readonly (readonly string[] | null)[]): ReadonlySet<string> | null => {
  const said = sets.filter(set => set !== null)
  return said.length === 0 ? null : new Set(said.flat().map(name => name.toLowerCase()))
}
