import { Bandwidths } from '../../comm/bandwidth.ts'
import { commCounters } from '../../comm/counters.ts'
import { COMM_TPROXY_LCL, COMM_TPROXY_REM } from '../../comm/engine/engine.ts'
import { createNodeEngine } from '../../comm/engine/node.ts'
import { FdBudget } from '../../comm/fd-budget.ts'
import { OwnEndpoints } from '../../comm/own-endpoints.ts'
import { Deadlines, endpoint, systemClock } from '../../src/base/index.ts'

// Runs in a network namespace whose routing table calls foreign addresses local. The node engine listens, and dials
// those addresses from others; what the listening side saw goes to standard output as JSON.

const counters = commCounters()
let id = 0
const engine = createNodeEngine(
  {
    clock: systemClock,
    counters,
    deadlines: new Deadlines(systemClock),
    budget: new FdBudget(1000, systemClock, counters, () => {}),
    ownEndpoints: new OwnEndpoints(systemClock),
    ownReceivers: new OwnEndpoints(systemClock),
    bandwidths: new Bandwidths(systemClock),
    nextId: () => ++id,
    failed: error => {
      throw error
    },
  },
  { anyIp: true },
)

const port = 8080
const see = (target: string, source: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const listener = engine.listen(
      {
        endpoint: endpoint('::', port),
        flags: COMM_TPROXY_LCL,
        dualStack: true,
        backlog: 16,
        natBackend: 'getsockname',
        note: 'any-ip',
      },
      ({ original, peer, local }) => {
        const seen = original.kind === 'tproxy' ? { kind: original.kind, destination: original.destination.address } : original
        listener.close()
        resolve({ original: seen, peer: peer.address, samePort: local.port === port })
      },
    )
    engine.connect(
      { target: endpoint(target, port), source: endpoint(source, 0), flags: COMM_TPROXY_REM, note: 'client' },
      5000,
      error => {
        if (error !== null) reject(error)
      },
    )
  })

const four = await see('203.0.113.10', '198.51.100.7')
const six = await see('2001:db8:1::10', '2001:db8:2::7')
const own = await see('127.0.0.1', '198.51.100.7')
console.log(JSON.stringify({ powers: engine.powers, four, six, own }))
engine.close()
