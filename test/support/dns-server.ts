import dgram from 'node:dgram'
import net from 'node:net'
import { addressToBytes, type Endpoint, endpoint } from '../../src/base/index.ts'

// A name server for tests, on loopback: answers what the test's function says, or keeps silent. UDP, and TCP for
// clients that were told to come back with it.

export interface DnsQuestion {
  readonly name: string
  readonly type: 'A' | 'AAAA' | 'other'
  readonly over: 'udp' | 'tcp'
}

export type DnsRecord =
  | { readonly type: 'A' | 'AAAA'; readonly name?: string; readonly ttl: number; readonly address: string }
  | { readonly type: 'CNAME'; readonly name?: string; readonly ttl: number; readonly target: string }

export interface DnsAnswer {
  /** 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED. */
  readonly rcode?: number
  readonly truncated?: boolean
  readonly records?: readonly DnsRecord[]
}

/** null = not a word. A promise holds the answer back until the test lets it go. */
export type DnsScript = (question: DnsQuestion) => DnsAnswer | null | Promise<DnsAnswer | null>

export interface DnsServer {
  readonly endpoint: Endpoint
  /** In order of arrival, `A example.test`. */
  readonly asked: string[]
  close(): Promise<void>
}

export const startDnsServer = async (script: DnsScript): Promise<DnsServer> => {
  const asked: string[] = []
  const answer = async (packet: Buffer, over: 'udp' | 'tcp', send: (answer: Buffer) => void): Promise<void> => {
    const question = readQuestion(packet, over)
    asked.push(`${question.type} ${question.name}`)
    const said = await script(question)
    if (said !== null) send(writeAnswer(packet, question, said))
  }

  const tcp = net.createServer(socket => {
    let rest: Buffer = Buffer.alloc(0)
    socket.on('error', () => {}) // the client went away; the test sees that on its side
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
        const length = rest.readUInt16BE(0)
        void answer(rest.subarray(2, 2 + length), 'tcp', packet => {
          const head = Buffer.alloc(2)
          head.writeUInt16BE(packet.length)
          socket.write(Buffer.concat([head, packet]))
        })
        rest = rest.subarray(2 + length)
      }
    })
  })
  const { udp, port } = await bindBoth(tcp)
  let closed = false
  udp.on('message', (packet, from) => {
    void answer(packet, 'udp', bytes => {
      if (!closed) udp.send(bytes, from.port, from.address)
    })
  })

  return {
    endpoint: endpoint('127.0.0.1', port),
    asked,
    close: async () => {
      closed = true
      await new Promise<void>(done => udp.close(() => done()))
      await new Promise<void>(done => tcp.close(() => done()))
    },
  }
}

/** The same port for both. The kernel chooses for UDP, and somebody may have it for TCP: then again. */
const bindBoth = async (tcp: net.Server): Promise<{ udp: dgram.Socket; port: number }> => {
  for (let attempt = 0; attempt < 20; attempt++) {
    const udp = dgram.createSocket('udp4')
    await new Promise<void>((done, failed) => {
      udp.once('error', failed)
      udp.bind(0, '127.0.0.1', () => done())
    })
    const port = udp.address().port
    const free = await new Promise<boolean>(done => {
      tcp.once('error', () => done(false))
      tcp.listen(port, '127.0.0.1', () => done(true))
    })
    if (free) return { udp, port }
    await new Promise<void>(done => udp.close(() => done()))
  }
  throw new Error('no port is free for both UDP and TCP')
}

const types: Readonly<Record<number, DnsQuestion['type']>> = { 1: 'A', 28: 'AAAA' }
const numbers = { A: 1, CNAME: 5, AAAA: 28 } as const

const readQuestion = (packet: Buffer, over: 'udp' | 'tcp'): DnsQuestion => {
  const labels: string[] = []
  let at = 12
  for (let length = packet[at] ?? 0; length > 0; length = packet[at] ?? 0) {
    labels.push(packet.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), type: types[packet.readUInt16BE(at + 1)] ?? 'other', over }
}

const writeAnswer = (packet: Buffer, question: DnsQuestion, said: DnsAnswer): Buffer => {
  const records = said.records ?? []
  const head = Buffer.alloc(12)
  packet.copy(head, 0, 0, 2)
  // an answer, recursion desired and available
  head.writeUInt16BE(0x8180 | (said.truncated ? 0x0200 : 0) | (said.rcode ?? 0), 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(records.length, 6)
  const asked = Buffer.concat([nameBytes(question.name), packet.subarray(12 + nameBytes(question.name).length).subarray(0, 4)])
  return Buffer.concat([head, asked, ...records.map(record => recordBytes(record, question.name))])
}

const recordBytes = (record: DnsRecord, asked: string): Buffer => {
  const fixed = Buffer.alloc(10)
  const value = record.type === 'CNAME' ? nameBytes(record.target) : addressBytes(record)
  fixed.writeUInt16BE(numbers[record.type], 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt32BE(record.ttl, 4)
  fixed.writeUInt16BE(value.length, 8)
  return Buffer.concat([nameBytes(record.name ?? asked), fixed, value])
}

const addressBytes = (record: { readonly type: 'A' | 'AAAA'; readonly address: string }): Buffer => {
  const bytes = Buffer.alloc(record.type === 'A' ? 4 : 16)
  addressToBytes(record.address, bytes, 0)
  return bytes
}

const nameBytes = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map(label => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ])
