import type net from 'node:net'
import type { Endpoint } from '../../src/base/index.ts'
import type { ConnectOptions, FdEntry } from './engine.ts'

// Descriptors given to Node as sockets: its event loop watches and closes them. They stay in the table and in the
// budget until Node has closed them.

interface HandedOver {
  readonly fd: number
  readonly options: ConnectOptions
  readonly local: Endpoint
  readonly openedAt: number
}

export class HandedOverSockets {
  readonly #held = new Map<net.Socket, HandedOver>()

  /** `closed` is called once, when Node has closed it. `openedAt` in seconds. */
  add(socket: net.Socket, held: HandedOver, closed: () => void): void {
    this.#held.set(socket, held)
    socket.once('close', () => {
      this.#held.delete(socket)
      closed()
    })
  }

  entries(now: number): FdEntry[] {
    const entries: FdEntry[] = []
    for (const [socket, { fd, options, local, openedAt }] of this.#held) {
      if (socket.destroyed) continue
      entries.push({
        fd,
        kind: 'socket',
        peer: options.target,
        local,
        note: options.note,
        bytesRead: socket.bytesRead,
        bytesWritten: socket.bytesWritten,
        ageMs: (now - openedAt) * 1000,
        deadlineMs: 0,
      })
    }
    return entries
  }

  destroyAll(): void {
    for (const socket of this.#held.keys()) socket.destroy()
  }
}
