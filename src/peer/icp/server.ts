import type { CloseReason, Connection, ConnectionReader } from '../../../comm/index.ts'
import type { Endpoint } from '../../base/index.ts'
import { CountIcp } from './counters.ts'
import { icpAnswer, type IcpAnswer, icpOpcodes, readIcp } from './message.ts'

// Answers other proxies that ask by ICP. One object for all flows: a datagram has nothing to do with the one before.

export interface IcpServerOptions {
  readonly judge: (client: Endpoint, local: Endpoint, uri: string) => IcpAnswer | Promise<IcpAnswer>
  readonly record: (query: AnsweredQuery) => void
}

export interface AnsweredQuery {
  readonly client: Endpoint
  readonly local: Endpoint
  readonly uri: string
  readonly answer: IcpAnswer
  readonly bytes: number
}

/** Answers that wait for the disk; what comes while so many do is not answered, which is what UDP is for. */
const waitingMax = 1024

export class IcpServer implements ConnectionReader {
  readonly #options: IcpServerOptions
  #waiting = 0

  constructor(options: IcpServerOptions) {
    this.#options = options
  }

  readonly taken = (connection: Connection): void => connection.setReader(this)

  onData(connection: Connection, slab: Buffer, start: number, end: number): void {
    CountIcp.bytesReceived += end - start
    const message = readIcp(slab.subarray(start, end))
    if (message === null || message.opcode !== icpOpcodes.query) {
      CountIcp.unreadable++
      return
    }
    CountIcp.queriesReceived++
    CountIcp.queryBytesReceived += end - start
    const { uri, requestNumber } = message
    const verdict = this.#waiting < waitingMax ? this.#options.judge(connection.peer, connection.local, uri) : 'missNoFetch'
    if (typeof verdict === 'string') return this.#answer(connection, verdict, uri, requestNumber)
    this.#waiting++
    verdict.then(
      answer => {
        this.#waiting--
        this.#answer(connection, answer, uri, requestNumber)
      },
      () => {
        this.#waiting-- // it could not be looked up: no answer is a miss
      },
    )
  }

  #answer(connection: Connection, answer: IcpAnswer, uri: string, requestNumber: number): void {
    const bytes = icpAnswer(answer, uri, requestNumber)
    CountIcp.repliesSent++
    CountIcp.bytesSent += bytes.length
    connection.write(bytes)
    this.#options.record({ client: connection.peer, local: connection.local, uri, answer, bytes: bytes.length })
  }

  onEnd(): void {}

  onDrain(): void {}

  onTimeout(connection: Connection): void {
    connection.close('timeout')
  }

  onClose(_connection: Connection, _why: CloseReason): void {}
}
