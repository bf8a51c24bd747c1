import type { Connection } from '../../../comm/connection.ts'
import type { Endpoint } from '../../base/index.ts'
import type { Service } from '../../service/service.ts'
import type { Session, Speaker, Verdict } from '../../service/session.ts'

/** A further connection of a session, as routers and chainers see it: the session's own, but for the client's end. */
export class SecondarySession implements Session {
  readonly client: Connection
  readonly #master: Session
  readonly #number: number
  serverZone: string | null
  verdict: Verdict = 'ACCEPTED'
  server: Endpoint | null = null
  serverLocal: Endpoint | null = null
  speaker: Speaker | null = null

  /** `number` is its place in the session, from 1. */
  constructor(master: Session, number: number, client: Connection) {
    this.#master = master
    this.#number = number
    this.client = client
    this.serverZone = master.serverZone
  }

  get number(): number {
    return this.#master.number
  }

  /** `svc/mail:4711+1` */
  get id(): string {
    return `${this.#master.id}+${this.#number}`
  }

  get service(): Service {
    return this.#master.service
  }

  get portName(): string {
    return this.#master.portName
  }

  get rule(): number | null {
    return this.#master.rule
  }

  get clientZone(): string | null {
    return this.#master.clientZone
  }

  get destination(): Endpoint {
    const { original } = this.client
    return original.kind === 'nat' || original.kind === 'tproxy' ? original.destination : this.client.local
  }

  get taken(): Session['taken'] {
    const { kind } = this.client.original
    return kind === 'nat' || kind === 'tproxy' ? kind : 'direct'
  }
}
