// The smallest program that interception rules can be tried on: it takes what the rules bring, says how each connection
// came and where it had been going, and goes on to that place with the client's address, relaying both ways.
//
//   node interception-probe.ts tproxy:3130 nat:3129 tproxy:20021@198.51.100.2
//
// With an address it waits for connections to just that one, somebody else's (an expected connection).
//
// Says on standard output:  listening | taken KIND CLIENT DESTINATION | failed WHY
// To the client: a line `probe KIND DESTINATION`, then what the destination says.

import { COMM_REUSEADDR, COMM_TPROXY_LCL, COMM_TPROXY_REM, type Connection, type ConnectionReader, createComm } from '../../comm/index.ts'
import { endpoint, endpointText, systemClock } from '../../src/base/index.ts'

const comm = createComm({ engine: 'native', clock: systemClock })

/** So that rules for the machine's own connections leave ours alone. */
const ownMark = 0x200

const silent: ConnectionReader = { onData() {}, onEnd() {}, onDrain() {}, onTimeout() {}, onClose() {} }

const taken = (client: Connection): void => {
  const { original, peer } = client
  const destination = original.kind === 'nat' || original.kind === 'tproxy' ? original.destination : client.local
  console.log(`taken ${original.kind} ${endpointText(peer)} ${endpointText(destination)}`)
  const early: string[] = []
  client.setReader({ ...silent, onData: (_client, slab, start, end) => void early.push(slab.toString('latin1', start, end)) })
  client.write(`probe ${original.kind} ${endpointText(destination)}\n`)
  if (original.kind !== 'nat' && original.kind !== 'tproxy') {
    client.closeAfterFlush()
    return
  }
  const source = endpoint(peer.address, 0)
  comm
    .connect({ target: destination, source, flags: COMM_TPROXY_REM, mark: ownMark, note: 'probe' }, 5000)
    .then(server => {
      for (const text of early.splice(0)) server.write(text)
      client.setReader({
        ...silent,
        onData: (_client, slab, start, end) => void server.write(slab.toString('latin1', start, end)),
        onClose: () => server.close(),
      })
      server.setReader({
        ...silent,
        onData: (_server, slab, start, end) => void client.write(slab.toString('latin1', start, end)),
        onEnd: () => {
          server.close()
          client.closeAfterFlush()
        },
      })
    })
    .catch((error: unknown) => {
      console.log(`failed ${String(error)}`)
      client.closeAfterFlush()
    })
}

for (const word of process.argv.slice(2)) {
  const [, kind = '', port = '', address = '::'] = /^(\w+):(\d+)(?:@(.*))?$/.exec(word) ?? []
  comm.listen(
    {
      endpoint: endpoint(address, Number(port)),
      flags: COMM_REUSEADDR | (kind === 'tproxy' ? COMM_TPROXY_LCL : 0),
      dualStack: address === '::',
      backlog: 1024,
      natBackend: kind === 'tproxy' ? 'getsockname' : 'netfilter',
      note: word,
    },
    taken,
  )
}
console.log('listening')
