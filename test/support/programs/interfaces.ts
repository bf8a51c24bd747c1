// What the program knows of its machine's interfaces: the table at the start and after each change, one JSON line each,
// and about every connection to the ports it is given (`tproxy:3130`, `direct:7000`) by which interface it came and by
// which one its peer is reached. With the word `burst` it is deaf until a line comes on standard input.

import { existsSync } from 'node:fs'
import { COMM_REUSEADDR, COMM_TPROXY_LCL, createComm } from '../../../comm/index.ts'
import { endpoint, systemClock } from '../../../src/base/index.ts'

const comm = createComm({ engine: 'native', clock: systemClock })
const say = (what: unknown): void => console.log(JSON.stringify(what))

const table = () =>
  Object.fromEntries([...comm.interfaces.byIndex.values()].map(each => [each.name, { ...each, addresses: each.addresses.map(({ address }) => address) }]))

say({ table: table(), live: comm.interfaces.live })
comm.interfaces.onChange(() => say({ table: table() }))

for (const word of process.argv.slice(2)) {
  if (word === 'burst') {
    // the loop stands still: the kernel's messages fill the socket, and some are lost
    process.stdin.once('data', () => {
      console.log('deaf')
      const until = Date.now() + 60_000
      const still = new Int32Array(new SharedArrayBuffer(4))
      while (Date.now() < until && !existsSync('/run/glassquid/awake')) Atomics.wait(still, 0, 0, 20)
      console.log('awake')
    })
    continue
  }
  const [kind, port = ''] = word.split(':')
  const tproxy = kind === 'tproxy'
  comm.listen(
    {
      endpoint: endpoint('::', Number(port)),
      flags: COMM_REUSEADDR | (tproxy ? COMM_TPROXY_LCL : 0),
      dualStack: true,
      backlog: 16,
      natBackend: tproxy ? 'getsockname' : 'none',
      note: word,
    },
    connection => {
      const { interfaces } = comm
      say({ way: kind, peer: connection.peer.address, by: interfaces.cameBy(connection)?.name, back: interfaces.towards(connection.peer.address)?.name })
      connection.write('known\n')
      connection.closeAfterFlush()
    },
  )
}
console.log('ready')
