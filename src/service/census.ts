// Who has how many sessions. It is kept by the service's name, not by the service: a reload makes new services, and a
// limit that forgot the sessions of the former ones would be none.

/** Sessions in all, by client address and by zone. Only those who have one are in the tables. */
export class SessionCounts {
  total = 0
  readonly #clients = new Map<string, number>()
  readonly #zones = new Map<string, number>()

  ofClient(address: string): number {
    return this.#clients.get(address) ?? 0
  }

  ofZone(zone: string): number {
    return this.#zones.get(zone) ?? 0
  }

  /** Entries held, for who looks for a leak. */
  get entries(): number {
    return this.#clients.size + this.#zones.size
  }

  /** `sessions` 0: a connection more of a session that has been counted. */
  enter(address: string, zone: string | null, sessions: 0 | 1 = 1): void {
    this.total += sessions
    add(this.#clients, address, 1)
    if (zone !== null) add(this.#zones, zone, 1)
  }

  leave(address: string, zone: string | null, sessions: 0 | 1 = 1): void {
    this.total -= sessions
    add(this.#clients, address, -1)
    if (zone !== null) add(this.#zones, zone, -1)
  }
}

const add = (counts: Map<string, number>, key: string, by: 1 | -1): void => {
  const count = (counts.get(key) ?? 0) + by
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}

/** What outlives the services of one name. */
export class ServiceMemory {
  readonly counts = new SessionCounts()
  readonly #step: number
  #serial: number

  constructor({ first, step }: Serials = aloneSerials) {
    this.#serial = first - step
    this.#step = step
  }

  /** Of the next session: `svc/web:4711` is never two sessions. */
  nextSerial(): number {
    this.#serial += this.#step
    return this.#serial
  }
}

/** Which numbers sessions get: several processes share them out, so that a number names one session of all. */
export interface Serials {
  readonly first: number
  readonly step: number
}

const aloneSerials: Serials = { first: 1, step: 1 }

/** 0 = no limit. */
export interface SessionLimits {
  readonly sessionsMax: number
  readonly sessionsPerClientMax: number
  readonly sessionsPerZoneMax: number
}

export const noLimits: SessionLimits = { sessionsMax: 0, sessionsPerClientMax: 0, sessionsPerZoneMax: 0 }

/** The sessions of all services together, and what is remembered of each. */
export class Census {
  readonly counts = new SessionCounts()
  /** For all services together. */
  limits: SessionLimits = noLimits
  readonly #memories = new Map<string, ServiceMemory>()
  readonly #serials: Serials

  constructor(serials: Serials = aloneSerials) {
    this.#serials = serials
  }

  /** Names know no case. */
  memoryOf(service: string): ServiceMemory {
    const key = service.toLowerCase()
    const memory = this.#memories.get(key) ?? new ServiceMemory(this.#serials)
    this.#memories.set(key, memory)
    return memory
  }

  /** Names that no service has any more are forgotten when their last session is over. */
  keep(services: Iterable<string>): void {
    const names = new Set([...services].map(name => name.toLowerCase()))
    for (const [name, { counts }] of this.#memories) {
      if (counts.total === 0 && !names.has(name)) this.#memories.delete(name)
    }
  }
}

/** Which limit a new session would exceed, in words; '' = none. */
export const overLimit = (counts: SessionCounts, limits: SessionLimits, who: string, address: string, zone: string | null): string => {
  const { sessionsMax, sessionsPerClientMax, sessionsPerZoneMax } = limits
  if (sessionsMax !== 0 && counts.total >= sessionsMax) return `${who} has ${sessionsMax} sessions`
  if (sessionsPerClientMax !== 0 && counts.ofClient(address) >= sessionsPerClientMax) {
    return `${address} has ${sessionsPerClientMax} sessions of ${who}`
  }
  if (zone !== null && sessionsPerZoneMax !== 0 && counts.ofZone(zone) >= sessionsPerZoneMax) {
    return `zone ${zone} has ${sessionsPerZoneMax} sessions of ${who}`
  }
  return ''
}
