import { closeSync, openSync } from 'node:fs'
import { createComm, type RelayStats } from '../../comm/index.ts'
import { systemClock } from '../../src/base/index.ts'
import { connectPair, pattern } from '../support/comm-kit.ts'

// Run by relay.test.ts under a low descriptor limit: a relay when every descriptor is taken.

const comm = createComm({ engine: 'native', clock: systemClock, fdMax: 4096 })
const left = await connectPair(comm)
const right = await connectPair(comm)

const taken: number[] = []
try {
  for (;;) taken.push(openSync('/dev/null', 'r'))
} catch {
  // EMFILE: that is what was wanted
}
const { promise: end, resolve } = Promise.withResolvers<RelayStats>()
comm.relay(left.server, right.client, { idleTimeoutMs: 0, onRelayed: resolve })
const sent = pattern(3_000_000)
left.client.write(sent)
left.client.shutdownWrite()
await right.serverSaw.ended()
right.server.close()
const { bytesToB } = await end
for (const fd of taken) closeSync(fd)
const exact = right.serverSaw.received.equals(sent) && bytesToB === sent.length
console.log(exact ? `copied ${bytesToB} exactly` : `sent ${sent.length}, got ${right.serverSaw.bytes}`)
comm.close()
