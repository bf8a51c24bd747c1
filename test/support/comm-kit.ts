import {
  COMM_NONBLOCKING,
  COMM_REUSEADDR,
  type Comm,
  type Connection,
  type ConnectOptions,
  type Listener,
  type ListenOptions,
} from '../../comm/index.ts'
import { type Endpoint, endpoint } from '../../src/base/index.ts'
import { Recorder } from './recorder.ts'

// Listeners and pairs of connections on loopback, on ports the kernel chooses.

export const anyPort = endpoint('127.0.0.1', 0)

export const listenOptions = (some: Partial<ListenOptions> = {}): ListenOptions => ({
  endpoint: anyPort,
  flags: COMM_NONBLOCKING | COMM_REUSEADDR,
  dualStack: false,
  backlog: 64,
  natBackend: 'none',
  note: 'test listener',
  ...some,
})

export const connectOptions = (target: Endpoint, some: Partial<ConnectOptions> = {}): ConnectOptions => ({
  target,
  flags: COMM_NONBLOCKING,
  note: 'test connection',
  ...some,
})

export const connectMs = 10_000

/** What a listener accepts, to be awaited in order. */
export class Arrivals {
  readonly all: Connection[] = []
  readonly listener: Listener
  #waiting: ((connection: Connection) => void)[] = []
  #next = 0

  constructor(comm: Comm, some: Partial<ListenOptions> = {}, onConnection: (connection: Connection) => void = () => {}) {
    this.listener = comm.listen(listenOptions(some), connection => {
      this.all.push(connection)
      this.#waiting.shift()?.(connection)
      onConnection(connection)
    })
  }

  next(): Promise<Connection> {
    const arrived = this.all[this.#next++]
    if (arrived !== undefined) return Promise.resolve(arrived)
    return new Promise(go => this.#waiting.push(go))
  }
}

export interface Pair {
  readonly client: Connection
  readonly server: Connection
  readonly clientSaw: Recorder
  readonly serverSaw: Recorder
}

/** A connection and what was accepted for it, each with a recorder. */
export const connectPair = async (
  comm: Comm,
  clientSaw: Recorder = new Recorder(),
  serverSaw: Recorder = new Recorder(),
): Promise<Pair> => {
  const arrivals = new Arrivals(comm)
  const arriving = arrivals.next()
  const client = await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs)
  const server = await arriving
  arrivals.listener.close()
  client.setReader(clientSaw)
  server.setReader(serverSaw)
  return { client, server, clientSaw, serverSaw }
}

/** Bytes one can recognise: no two places within a few hundred kilobytes look alike. */
export const pattern = (bytes: number): Buffer => {
  const made = Buffer.allocUnsafe(bytes)
  for (let i = 0; i + 4 <= bytes; i += 4) made.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i)
  made.fill(0x2a, bytes - (bytes % 4))
  return made
}
