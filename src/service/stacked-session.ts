import type { Connection } from '../../comm/connection.ts'
import type { Endpoint } from '../base/index.ts'
import type { Service } from './service.ts'
import type { Session, Speaker, Verdict } from './session.ts'

/**
 * A proxy behind another one in the same session (Zorp's StackedSession). It knows of its client what its owner knows, and
 * what it finds out of the server its owner knows, too. It is in no list and counts against no limit: it ends with the
 * connection between the two.
 */
export class StackedSession implements Session {
  readonly owner: Session
  readonly service: Service
  readonly client: Connection
  speaker: Speaker | null = null
  #server: Endpoint | null = null
  #serverLocal: Endpoint | null = null

  constructor(owner: Session, service: Service, client: Connection) {
    this.owner = owner
    this.service = service
    this.client = client
  }

  get number(): number {
    return this.owner.number
  }

  get id(): string {
    return `${this.owner.id}/${this.service.proxy.name}`
  }

  get portName(): string {
    return this.owner.portName
  }

  get destination(): Endpoint {
    return this.owner.destination
  }

  get taken(): Session['taken'] {
    return this.owner.taken
  }

  get rule(): number | null {
    return this.owner.rule
  }

  get clientZone(): string | null {
    return this.owner.clientZone
  }

  get serverZone(): string | null {
    return this.owner.serverZone
  }

  set serverZone(zone: string | null) {
    this.owner.serverZone = zone
  }

  get verdict(): Verdict {
    return this.owner.verdict
  }

  set verdict(verdict: Verdict) {
    this.owner.verdict = verdict
  }

  get server(): Endpoint | null {
    return this.#server
  }

  set server(server: Endpoint | null) {
    this.#server = server
    this.owner.server = server
  }

  get serverLocal(): Endpoint | null {
    return this.#serverLocal
  }

  set serverLocal(local: Endpoint | null) {
    this.#serverLocal = local
    this.owner.serverLocal = local
  }
}
