import dgram from 'node:dgram'
import { once } from 'node:events'
import { COMM_REUSEADDR, type Connection, type ReceiveOptions } from '../../comm/index.ts'
import { type Endpoint, endpoint } from '../../src/base/index.ts'
import { Recorder } from './recorder.ts'

// Plain clients and servers of datagrams on loopback, and a reader that keeps datagrams apart.

export const quiet = { idleMs: 60_000, unansweredMs: 30_000, answeredMs: 60_000 }

export const receiveOptions = (some: Partial<ReceiveOptions> = {}): ReceiveOptions => ({
  endpoint: endpoint('127.0.0.1', 0),
  flags: COMM_REUSEADDR,
  dualStack: false,
  bufferBytes: 0,
  flowsMax: 1000,
  flowsPerClientMax: 1000,
  timesOf: () => quiet,
  note: 'test receiver',
  ...some,
})

export interface PlainSocket {
  readonly at: Endpoint
  /** What it received, in order, with the sender. */
  readonly got: { readonly text: string; readonly bytes: Buffer; readonly from: Endpoint }[]
  send(content: Buffer | string, to: Endpoint): void
  /** Everything has been given to the kernel. */
  sent(): Promise<void>
  has(count: number): Promise<void>
  close(): void
}

export const plainSocket = async (address = '127.0.0.1', answer?: (content: Buffer) => Buffer, port = 0): Promise<PlainSocket> => {
  const socket = dgram.createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' })
  socket.bind(port, address)
  await once(socket, 'listening')
  socket.setRecvBufferSize(4 * 1024 * 1024)
  const got: PlainSocket['got'] = []
  const waiting = new Set<() => void>()
  let last: Promise<void> = Promise.resolve()
  socket.on('message', (content, rinfo) => {
    got.push({ text: content.toString('latin1'), bytes: content, from: endpoint(rinfo.address, rinfo.port) })
    if (answer !== undefined) socket.send(answer(content), rinfo.port, rinfo.address)
    for (const look of [...waiting]) look()
  })
  return {
    at: endpoint(address, socket.address().port),
    got,
    send(content, to) {
      last = new Promise(resolve => socket.send(content, to.port, to.address, () => resolve()))
    },
    sent: () => last,
    has: count =>
      new Promise(resolve => {
        const look = () => {
          if (got.length < count) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    close: () => socket.close(),
  }
}

/** Keeps each datagram; see Recorder for how to wait. */
export class DatagramRecorder extends Recorder {
  readonly datagrams: Buffer[] = []

  override onData(connection: Connection, slab: Buffer, start: number, end: number): void {
    this.datagrams.push(Buffer.from(slab.subarray(start, end)))
    super.onData(connection, slab, start, end)
  }

  get texts(): string[] {
    return this.datagrams.map(datagram => datagram.toString('latin1'))
  }

  hasDatagrams = (count: number): Promise<void> => this.until(() => this.datagrams.length >= count)
}
