import type { Connection } from '../../comm/connection.ts'
import type { Endpoint, MonoMs } from '../base/index.ts'
import type { Service } from './service.ts'
import type { Decided, Session, Speaker, Verdict } from './session.ts'

/** What can be told from the service, the number and the connection is not stored: ten thousand idle ones are normal. */
export class ClientSession implements Session {
  readonly service: Service
  readonly number: number
  readonly client: Connection
  readonly portName: string
  readonly startedMono: MonoMs
  readonly rule: number | null
  readonly clientZone: string | null
  serverZone: string | null
  verdict: Verdict = 'ACCEPTED'
  server: Endpoint | null = null
  serverLocal: Endpoint | null = null
  speaker: Speaker | null = null
  /** Links of the service's list; kept by it. */
  before: ClientSession | null = null
  behind: ClientSession | null = null
  listed = false

  constructor(service: Service, number: number, client: Connection, portName: string, startedMono: MonoMs, decided: Decided) {
    this.service = service
    this.number = number
    this.client = client
    this.portName = portName
    this.startedMono = startedMono
    this.rule = decided.rule
    this.clientZone = decided.clientZone
    this.serverZone = decided.serverZone
  }

  get id(): string {
    return `svc/${this.service.name}:${this.number}`
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
