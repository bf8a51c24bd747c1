import type { Condition, Zone, ZoneTable } from '../../acl/index.ts'
import { parsePrefix, type Prefix } from '../../base/index.ts'
import type { AclUse, Diagnostic, Location } from '../../conf/config.ts'
import { collisions } from './collisions.ts'
import type { PortRange, Rule, RuleLine, Value } from './rule.ts'
import { RuleSet, rulesMax } from './rule-set.ts'

// From rule lines to the set. Zones that do not exist have been reported by whoever checks names; here they are none.

export interface RuleOptions {
  readonly zones: ZoneTable
  readonly conditionOf: (uses: readonly AclUse[], at: Location) => Condition
  /** Number of an interface group, by name or digits; null = there is none of that name. */
  readonly groupNumber: (name: string) => number | null
}

export interface CompiledRules {
  readonly set: RuleSet
  /** A fatal or error among them: do not use the set. */
  readonly problems: readonly Diagnostic[]
}

export const compileRules = (lines: readonly RuleLine[], options: RuleOptions): CompiledRules => {
  const reading = new Reading(options)
  const ids = reading.numbered(lines.slice(0, rulesMax))
  const past = lines[rulesMax]
  if (past !== undefined) reading.refuse(past.at, `more than ${rulesMax} rules`)
  const rules = lines.slice(0, rulesMax).map((line, i) => reading.rule(line, ids[i] ?? 0))
  const set = new RuleSet(rules, options.zones)
  return { set, problems: [...reading.problems, ...collisions(set, options)] }
}

class Reading {
  readonly problems: Diagnostic[] = []
  readonly #options: RuleOptions

  constructor(options: RuleOptions) {
    this.#options = options
  }

  refuse(at: Location, message: string, hint = ''): void {
    this.problems.push({ severity: 'fatal', at, message, hint })
  }

  /** Ids that are given are kept, the others get the next free number, from 1. */
  numbered(lines: readonly RuleLine[]): number[] {
    const given = new Map<number, RuleLine>()
    for (const line of lines) {
      if (line.id === null) continue
      const first = given.get(line.id)
      if (first === undefined) given.set(line.id, line)
      else this.refuse(line.at, `rule ${line.id} is at line ${first.at.line} already`, 'an id is given once')
    }
    let next = 1
    return lines.map(({ id }) => {
      if (id !== null) return id
      while (given.has(next)) next++
      return next++
    })
  }

  rule(line: RuleLine, id: number): Rule {
    return {
      id,
      service: line.service,
      detect: line.detect,
      protos: line.proto,
      srcIfaces: line.srcIface.map(value => value.text),
      srcGroups: this.#groups(line.srcGroup),
      srcPorts: this.#ports(line.srcPort),
      dstPorts: this.#ports(line.dstPort),
      srcNets: this.#nets(line.src),
      srcZones: this.#zones(line.srcZone),
      dstNets: this.#nets(line.dst),
      dstIfaces: line.dstIface.map(value => value.text),
      dstGroups: this.#groups(line.dstGroup),
      dstZones: this.#zones(line.dstZone),
      acl: line.acl,
      condition: line.acl.length === 0 ? null : this.#options.conditionOf(line.acl, line.at),
      text: line.text,
      at: line.at,
    }
  }

  #groups(values: readonly Value[]): number[] {
    return values.flatMap(({ text, at }) => {
      const number = this.#options.groupNumber(text)
      if (number === null) this.refuse(at, `there is no interface group '${text}'`, 'groups have their names in /etc/iproute2/group')
      return number ?? []
    })
  }

  #ports(values: readonly Value[]): PortRange[] {
    return values.flatMap(({ text, at }) => {
      const range = portRange(text)
      if (range === null) this.refuse(at, `'${text}' is no port`, 'write 80 or 1000-2000')
      return range ?? []
    })
  }

  #nets(values: readonly Value[]): Prefix[] {
    return values.flatMap(({ text, at }) => {
      const prefix = parsePrefix(text)
      if (prefix === null) this.refuse(at, `'${text}' is no network`, 'write ADDRESS or ADDRESS/LENGTH; names belong into a zone')
      return prefix ?? []
    })
  }

  #zones(values: readonly Value[]): Zone[] {
    return values.flatMap(({ text }) => this.#options.zones.named(text) ?? [])
  }
}

/** `80`, `1000-2000`, and Zorp's `1000:2000`. */
const portRange = (text: string): PortRange | null => {
  const found = /^(\d{1,5})(?:[-:](\d{1,5}))?$/.exec(text)
  if (found === null) return null
  const first = Number(found[1])
  const last = found[2] === undefined ? first : Number(found[2])
  return first <= last && last <= 65535 ? { first, last } : null
}
