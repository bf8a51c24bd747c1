import { constants } from 'node:os'
import { type Addon } from '../../native/index.ts'
import type { Connection } from '../connection.ts'
import { COMM_SELECT_READ, type Descriptors } from '../engine/engine.ts'
import { errnoName } from '../error.ts'
import { NetlinkSocket, protocols, requestFlags } from '../netlink.ts'
import { groupNumber, readGroupNames } from './group-names.ts'
import { incomingIndex } from './incoming.ts'
import { RouteQuestions } from './route.ts'
import { addressRequest, interfaceGroups, linkRequest, rtm, takeIn } from './rtnetlink.ts'
import { type Interface, InterfaceTable } from './table.ts'

// This machine's interfaces, their groups and addresses, as they are now and as they change; which of them a connection
// came in by, and which one leads to an address.

export interface Interfaces {
  /** By index, in its order. Another object whenever something has changed. */
  readonly byIndex: ReadonlyMap<number, Interface>
  /** Changes are told as they happen. Without: after some seconds (see `watchedEveryMs`). */
  readonly live: boolean
  /** The group's number; null: no such name. */
  groupNumber(name: string): number | null
  /** By which a TCP connection came. null: it cannot be told (datagrams, the node engine), or the interface has gone. */
  cameBy(connection: Connection): Interface | null
  /** That a packet of ours to the address would leave by; lo for our own ones. null: no route, or it cannot be told. */
  towards(address: string): Interface | null
  /** Called after the table has changed, once for all that changed together. Answers how to stop. */
  onChange(listener: () => void): () => void
  close(): void
}

/** What both ways of knowing have in common. */
export abstract class KnownInterfaces implements Interfaces {
  abstract readonly byIndex: ReadonlyMap<number, Interface>
  abstract readonly live: boolean
  readonly #listeners = new Set<() => void>()
  readonly #failed: (error: unknown, where: string) => void

  constructor(failed: (error: unknown, where: string) => void) {
    this.#failed = failed
  }

  /** Read each time: a reload is when somebody has edited them. */
  groupNumber(name: string): number | null {
    return groupNumber(name, readGroupNames())
  }

  abstract cameBy(connection: Connection): Interface | null
  abstract towards(address: string): Interface | null
  abstract close(): void

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  protected changed(): void {
    for (const listener of [...this.#listeners]) this.guarded(listener)
  }

  /** What fails in one who listens is no reason to stop listening to the kernel. */
  protected guarded(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#failed(error, 'a change of interfaces')
    }
  }
}

/** Told by the kernel: rtnetlink. */
export class FollowedInterfaces extends KnownInterfaces {
  readonly live = true
  readonly #addon: Addon
  readonly #descriptors: Descriptors
  readonly #socket: NetlinkSocket
  readonly #routes: RouteQuestions
  #table = new InterfaceTable()
  #closed = false

  /** Throws when the kernel does not let us ask. */
  constructor(addon: Addon, descriptors: Descriptors, failed: (error: unknown, where: string) => void) {
    super(failed)
    this.#addon = addon
    this.#descriptors = descriptors
    this.#socket = new NetlinkSocket(addon, protocols.route, interfaceGroups)
    this.#routes = new RouteQuestions(addon)
    try {
      this.#readAll()
    } catch (error) {
      this.#socket.close()
      throw error
    }
    descriptors.adopt(this.#socket.fd, 'interfaces (rtnetlink)')
    this.#wait()
  }

  get byIndex(): ReadonlyMap<number, Interface> {
    return this.#table.byIndex
  }

  cameBy(connection: Connection): Interface | null {
    return this.byIndex.get(incomingIndex(this.#addon, connection)) ?? null
  }

  towards(address: string): Interface | null {
    return this.byIndex.get(this.#routes.interfaceTo(address)) ?? null
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#routes.close()
    this.#descriptors.close(this.#socket.fd)
  }

  #wait(): void {
    this.#descriptors.setSelect(this.#socket.fd, COMM_SELECT_READ, () => this.#tell())
  }

  #tell(): void {
    let changed = false
    const whole = this.#socket.drain((type, body, start, end) => {
      if (takeIn(this.#table, type, body, start, end)) changed = true
    })
    this.#wait()
    if (!whole) this.guarded(() => this.#readAll())
    if (changed || !whole) this.changed()
  }

  /** A fresh table: what has gone unheard must not stay, and old news still in the queue must not come back. */
  #readAll(): void {
    const { EINTR, ENOBUFS } = constants.errno
    for (let tries = 0; tries < 10; tries++) {
      if (!this.#socket.drain(() => {})) continue
      const table = new InterfaceTable()
      const each = (type: number, body: Buffer, start: number, end: number) => void takeIn(table, type, body, start, end)
      const links = this.#socket.ask(rtm.getLink, requestFlags.dump, linkRequest(), each)
      const addresses = links !== 0 ? links : this.#socket.ask(rtm.getAddress, requestFlags.dump, addressRequest(), each)
      if (addresses === EINTR || addresses === ENOBUFS) continue // something changed while we read
      if (addresses !== 0) throw new Error(`the kernel does not tell its interfaces: ${errnoName(addresses)}`)
      this.#table = table
      return
    }
    throw new Error('the interfaces change faster than they can be read')
  }
}
