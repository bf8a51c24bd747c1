import type { Connection } from '../../../comm/connection.ts'
import type { Endpoint } from '../../base/index.ts'
import type { Service } from '../../service/service.ts'
import type { Decided } from '../../service/session.ts'
import { CountPlug } from './counters.ts'
import type { PlugInstance } from './plug-instance.ts'

// Secondary sessions, as the documents of Zorp 2.0 have them: a running session registers itself on the port it came by,
// before the listener, and takes connections that are like its first one. Here one entry per port stands for all sessions
// of the service, with a table; else a new connection would be shown to every session that runs.
//
//   connection ──► entry at SECONDARY (0) ── alike, room, and this service is for it ──► taken: one more of that session
//                              └── else declined ──► listener at LISTEN (100): a new session
//
// What is alike may come from somebody else. So the listener is asked what it would have done: who is refused there, or
// gets another service, is not let in by a session of somebody who was not.

/** Bits of the mask: what must be equal. */
export const secondaryBits = { sourceAddress: 1, sourcePort: 2, destinationAddress: 4, destinationPort: 8 } as const

/** What dispatch knows of a port; the entry is asked before the listener there. */
export interface SecondaryPort {
  /** The same for all connections of one port. */
  readonly key: string
  /** null: nobody listens there any more. */
  register(entry: SecondaryEntry): SecondaryPlace | null
  /** How the listener there would start the service for it; null: it would not. */
  decide(connection: Connection, service: Service): Decided | null
}

export interface SecondaryPlace {
  /** It is asked; an address that has gone and come back has another listener. */
  readonly live: boolean
  remove(): void
}

export interface SecondaryEntry {
  accept(connection: Connection): 'taken' | 'declined'
}

export interface SecondaryOptions {
  readonly mask: number
  /** Of one session, beside its first connection. */
  readonly max: number
}

export class Secondaries {
  readonly #options: SecondaryOptions
  readonly #portOf: (instance: PlugInstance) => SecondaryPort | null
  readonly #ports = new Map<string, PortTable>()
  readonly #places = new Map<PlugInstance, { readonly table: PortTable; readonly key: string }>()

  constructor(options: SecondaryOptions, portOf: (instance: PlugInstance) => SecondaryPort | null) {
    this.#options = options
    this.#portOf = portOf
  }

  add(instance: PlugInstance): void {
    const port = this.#portOf(instance)
    if (port === null) return
    let table = this.#ports.get(port.key)
    if (table?.live !== true) {
      table?.close()
      table = new PortTable(this.#options, port)
      this.#ports.set(port.key, table)
    }
    const key = alike(instance.session.client, this.#options.mask)
    table.add(key, instance)
    this.#places.set(instance, { table, key })
  }

  remove(instance: PlugInstance): void {
    const place = this.#places.get(instance)
    if (place === undefined) return
    this.#places.delete(instance)
    const { table, key } = place
    table.remove(key, instance)
    if (table.size > 0) return
    if (this.#ports.get(table.port.key) === table) this.#ports.delete(table.port.key)
    table.close()
  }
}

class PortTable implements SecondaryEntry {
  readonly port: SecondaryPort
  size = 0
  readonly #options: SecondaryOptions
  /** The newest first: the others are full, or about to end. */
  readonly #byKey = new Map<string, PlugInstance[]>()
  readonly #registered: SecondaryPlace | null

  constructor(options: SecondaryOptions, port: SecondaryPort) {
    this.#options = options
    this.port = port
    this.#registered = port.register(this)
  }

  accept(connection: Connection): 'taken' | 'declined' {
    const [newest] = this.#byKey.get(alike(connection, this.#options.mask)) ?? []
    if (newest === undefined || newest.secondary >= this.#options.max) return 'declined'
    const decided = this.port.decide(connection, newest.session.service)
    if (decided === null || !newest.take(connection, decided)) return 'declined'
    CountPlug.secondary++
    return 'taken'
  }

  add(key: string, instance: PlugInstance): void {
    this.#byKey.set(key, [instance, ...(this.#byKey.get(key) ?? [])])
    this.size++
  }

  remove(key: string, instance: PlugInstance): void {
    const left = (this.#byKey.get(key) ?? []).filter(other => other !== instance)
    if (left.length === 0) this.#byKey.delete(key)
    else this.#byKey.set(key, left)
    this.size--
  }

  get live(): boolean {
    return this.#registered?.live === true
  }

  close(): void {
    this.#registered?.remove()
  }
}

/** Connections with the same text are alike. How they were taken always counts: a direct hit is not a redirected one. */
const alike = ({ peer, local, original }: Connection, mask: number): string => {
  const destination: Endpoint = original.kind === 'nat' || original.kind === 'tproxy' ? original.destination : local
  const { sourceAddress, sourcePort, destinationAddress, destinationPort } = secondaryBits
  const parts = [
    original.kind,
    mask & sourceAddress ? peer.address : '',
    mask & sourcePort ? peer.port : '',
    mask & destinationAddress ? destination.address : '',
    mask & destinationPort ? destination.port : '',
  ]
  return parts.join(' ')
}
