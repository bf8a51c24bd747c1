import { afterEach, describe, expect, it } from 'vitest'
import { type Comm, type Connection, createComm } from '../../comm/index.ts'
import { native } from '../../native/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'
import { datagramContract } from '../contract/datagrams.ts'
import { DatagramRecorder, plainSocket, receiveOptions } from '../support/datagram-kit.ts'

// The native engine keeps the contract of datagrams, and what only it can do without a kernel rule: a receiver on every
// address knows which of them a client had meant, and answers from that one.

if (!native.present) console.warn(`SKIPPED, no native engine: ${native.why}`)

describe.skipIf(!native.present)('datagrams of the native engine', () => {
  datagramContract('native')

  const comms: Comm[] = []
  afterEach(() => {
    for (const comm of comms.splice(0)) comm.close()
  })

  it('answers come from the address that was asked', async () => {
    const comm = createComm({ engine: 'native', clock: systemClock })
    comms.push(comm)
    const flows: Connection[] = []
    const receiver = comm.receive(receiveOptions({ endpoint: endpoint('0.0.0.0', 0) }), flow => {
      flows.push(flow)
      flow.setReader(new DatagramRecorder({ onData: (connection, bytes) => void connection.write(bytes) }))
    })
    const client = await plainSocket()
    const asked = ['127.0.0.1', '127.0.0.5', '127.9.9.9'].map(address => endpoint(address, receiver.endpoint.port))
    for (const to of asked) client.send(to.address, to)
    await client.has(3)
    expect(client.got.map(({ text, from }) => [text, from])).toEqual(asked.map(to => [to.address, to]))
    expect(flows.map(flow => flow.local)).toEqual(asked)
    client.close()
  })
})
