import type { Connection, Interface, Interfaces } from '../../comm/index.ts'
import type { Zone, ZoneTable } from '../acl/index.ts'
import type { Clock, Endpoint } from '../base/index.ts'
import type { Decided, Refused, Service, Session } from '../service/index.ts'
import { type Detector, detect } from './detect/index.ts'
import type { StartHere } from './listener.ts'
import type { InterfaceFacts } from './rule/index.ts'
import { type Rule, type RuleSet, tupleOf } from './rule/index.ts'

// What a listener does with a connection: the service it names, or the one the rules say.
//
//   connection ──► zones of both ends ──► rule ──► detectors? ──► service ──► may the client's zone use it? ──► session
//
// Everything here belongs to one conf. A reload makes another one; a connection that is being looked at ends with the
// services of the conf it began with.

export interface StartParts {
  readonly rules: RuleSet
  readonly zones: ZoneTable
  /** By name; names know no case. */
  readonly detectors: ReadonlyMap<string, Detector>
  readonly serviceNamed: (name: string) => Service
  readonly startSession: (service: Service, connection: Connection, portName: string, decided: Decided) => Session | Refused
  readonly interfaces: () => Interfaces
  readonly clock: Clock
}

/**
 * The service is the listener's; zones are looked up for limits and records, and for permissions where the service is one
 * that zones can name.
 */
export const startService = <S extends Service>(service: S, parts: StartParts, asksZones: boolean): S | StartHere => {
  const { zones } = parts
  if (zones.zones.length === 0) return service
  return (connection, portName) => {
    const clientZone = zones.ofAddress(connection.peer.address)
    const serverZone = zones.ofAddress(destinationOf(connection).address)
    return start(parts, service, connection, portName, null, clientZone, serverZone, asksZones)
  }
}

/** The best rule's. No rule: the connection is left to the next entry. */
export const startByRules = (parts: StartParts): StartHere => {
  const { rules, zones, clock } = parts
  const facts = new CurrentInterfaces(parts.interfaces)
  return (connection, portName) => {
    const tuple = tupleOf(
      {
        proto: connection.protocol,
        src: connection.peer,
        dst: destinationOf(connection),
        iface: rules.speaksOfIngress ? (parts.interfaces().cameBy(connection)?.name ?? null) : null,
        portName,
        now: clock.wall(),
      },
      zones,
      rules.speaksOfInterfaces ? facts : nowhere,
    )
    const rule = rules.decide(tuple)
    if (rule === null) return 'declined'
    const go = (service: string) =>
      start(parts, parts.serviceNamed(service), connection, portName, rule.id, tuple.srcZone, tuple.dstZone, true)
    if (rule.detect.length === 0 || connection.protocol === 'udp') return go(rule.service)
    return detected(rule, connection, parts).then(service => () => go(service))
  }
}

const detected = async (rule: Rule, connection: Connection, { detectors, clock }: StartParts): Promise<string> => {
  const looking = rule.detect.flatMap(({ detector }) => detectors.get(detector.toLowerCase()) ?? [])
  const found = await detect(connection, looking, clock)
  return rule.detect[found]?.service ?? rule.service
}

const start = (
  parts: StartParts,
  service: Service,
  connection: Connection,
  portName: string,
  rule: number | null,
  clientZone: Zone | null,
  serverZone: Zone | null,
  asksZones: boolean,
): Session | Refused => {
  const decided = { rule, clientZone: clientZone?.name ?? null, serverZone: serverZone?.name ?? null }
  if (asksZones && !parts.zones.permits(clientZone, 'outbound', service.name)) {
    const who = clientZone === null ? 'clients in no zone' : `clients in zone ${clientZone.name}`
    return parts.startSession(service, connection, portName, { ...decided, denied: `${who} may not use ${service.name}` })
  }
  return parts.startSession(service, connection, portName, decided)
}

const destinationOf = ({ original, local }: Connection): Endpoint =>
  original.kind === 'nat' || original.kind === 'tproxy' ? original.destination : local

const nowhere: InterfaceFacts = { groupOf: () => null, holderOf: () => null }

/** Interfaces by name and by address, made anew when they have changed. */
class CurrentInterfaces implements InterfaceFacts {
  readonly #interfaces: () => Interfaces
  #table: Interfaces['byIndex'] | null = null
  readonly #byName = new Map<string, Interface>()
  readonly #byAddress = new Map<string, Interface>()

  constructor(interfaces: () => Interfaces) {
    this.#interfaces = interfaces
  }

  groupOf(name: string): number | null {
    this.#look()
    return this.#byName.get(name)?.group ?? null
  }

  holderOf(address: string): string | null {
    this.#look()
    return this.#byAddress.get(address)?.name ?? null
  }

  #look(): void {
    const { byIndex } = this.#interfaces()
    if (byIndex === this.#table) return
    this.#table = byIndex
    this.#byName.clear()
    this.#byAddress.clear()
    for (const each of byIndex.values()) {
      this.#byName.set(each.name, each)
      for (const { address } of each.addresses) this.#byAddress.set(address, each)
    }
  }
}

/** For commands that have no connection: this machine's interfaces as rules see them. */
export const interfaceFacts = (interfaces: () => Interfaces): InterfaceFacts => new CurrentInterfaces(interfaces)

