import type { Endpoint } from '../src/base/index.ts'
import type { Connection } from './connection.ts'
import { COMM_TPROXY_REM, type ConnectDone, type ConnectOptions } from './engine/engine.ts'

// Connections we made in our own name, by their two ends, as long as they are open. A kernel rule without an exemption
// for the proxy brings them back to its interception ports; whoever compares then knows that it is talking to itself,
// whatever the protocol says (Via may be switched off).
//
// Forged ones are left out: their ends may truly be those of a client's own connection, and the kernel's answers to them
// go to the client anyhow.

export class OwnConnections {
  readonly #open = new Set<string>()
  readonly #isLocalAddress: (address: string) => boolean

  constructor(isLocalAddress: (address: string) => boolean) {
    this.#isLocalAddress = isLocalAddress
  }

  /** Wraps what is to be told of a connect. */
  watching(options: ConnectOptions, done: ConnectDone): ConnectDone {
    // a datagram that comes back to us opens a flow to our own receiver's address, which is known by that
    if ((options.flags & COMM_TPROXY_REM) !== 0 || options.protocol === 'udp') return done
    return (error, connection) => {
      if (connection !== null) {
        this.#open.add(ends(connection.local, connection.peer))
        connection.addCloseHandler(this.#closed)
      }
      done(error, connection)
    }
  }

  /** Asked for each intercepted request: the address decides nearly always, and costs no string. */
  has(from: Endpoint, to: Endpoint): boolean {
    return this.#open.size > 0 && this.#isLocalAddress(from.address) && this.#open.has(ends(from, to))
  }

  get size(): number {
    return this.#open.size
  }

  readonly #closed = (connection: Connection): void => {
    this.#open.delete(ends(connection.local, connection.peer))
  }
}

const ends = (from: Endpoint, to: Endpoint): string => `${from.address} ${from.port} ${to.address} ${to.port}`
