import { afterEach, describe, expect, it } from 'vitest'
import { COMM_TPROXY_LCL, type Comm, createComm } from '../../comm/index.ts'
import { systemClock } from '../../src/base/index.ts'
import { datagramContract } from '../contract/datagrams.ts'
import { receiveOptions } from '../support/datagram-kit.ts'

// The node engine keeps the contract of datagrams, and says what it cannot do.

describe('datagrams of the node engine', () => {
  datagramContract('node')

  const comms: Comm[] = []
  afterEach(() => {
    for (const comm of comms.splice(0)) comm.close()
  })

  it('tproxy receivers and marks are refused with a sentence', () => {
    const comm = createComm({ engine: 'node', clock: systemClock })
    comms.push(comm)
    expect(() => comm.receive(receiveOptions({ flags: COMM_TPROXY_LCL }), () => {})).toThrow(/tproxy receivers needs the addon/)
    expect(() => comm.receive(receiveOptions({ mark: 1 }), () => {})).toThrow(/packet marks needs the addon/)
  })
})
