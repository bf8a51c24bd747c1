// The gateway's program for interception.test.ts: listens and connects as it is told in its one argument (JSON), and
// says what came of it, one line of JSON each, first word what it is about.
//
//   {"listen": [{"name": "...", "address": "::", "port": 3129, "dualStack": true, "natBackend": "netfilter", "foreign": false}],
//    "connect": [{"target": [...], "source": [...], "mark": 7, "tos": 16, "foreign": true, "times": 1}]}

import {
  COMM_NONBLOCKING,
  COMM_REUSEADDR,
  COMM_TPROXY_LCL,
  COMM_TPROXY_REM,
  CommError,
  type ConnectionReader,
  createComm,
  type NatBackend,
} from '../../comm/index.ts'
import { endpoint, endpointText, systemClock } from '../../src/base/index.ts'

export interface ListenWish {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly dualStack: boolean
  readonly natBackend: NatBackend
  readonly foreign: boolean
}

export interface ConnectWish {
  readonly target: readonly [string, number]
  readonly source?: readonly [string, number]
  readonly mark?: number
  readonly tos?: number
  readonly device?: string
  readonly foreign: boolean
  /** That many connections, all open at once. */
  readonly times: number
  readonly timeoutMs?: number
}

const { listen = [], connect = [] } = JSON.parse(process.argv[2] ?? '{}') as {
  readonly listen?: readonly ListenWish[]
  readonly connect?: readonly ConnectWish[]
}

const comm = createComm({ engine: 'native', clock: systemClock })
const say = (what: string, facts: unknown): void => console.log(`${what} ${JSON.stringify(facts)}`)
const facts = (error: unknown) =>
  error instanceof CommError ? { errno: error.errno, syscall: error.syscall, message: error.message } : String(error)
const quiet: ConnectionReader = { onData() {}, onEnd: c => c.close(), onDrain() {}, onTimeout() {}, onClose() {} }

for (const { name, address, port, dualStack, natBackend, foreign } of listen) {
  try {
    comm.listen(
      {
        endpoint: endpoint(address, port),
        flags: COMM_NONBLOCKING | COMM_REUSEADDR | (foreign ? COMM_TPROXY_LCL : 0),
        dualStack,
        backlog: 128,
        natBackend,
        note: name,
      },
      connection => {
        const { peer, local, original } = connection
        say('accepted', { name, peer: endpointText(peer), local: endpointText(local), original })
        connection.setReader(quiet)
        connection.write(`${name}\n`)
        connection.closeAfterFlush()
      },
    )
  } catch (error) {
    say('refused', { name, ...(facts(error) as object) })
  }
}

for (const { target, source, mark, tos, device, foreign, times, timeoutMs = 5_000 } of connect) {
  const open = Array.from({ length: times }, () =>
    comm
      .connect(
        {
          target: endpoint(...target),
          ...(source === undefined ? {} : { source: endpoint(...source) }),
          ...(mark === undefined ? {} : { mark }),
          ...(tos === undefined ? {} : { tos }),
          ...(device === undefined ? {} : { device }),
          flags: COMM_NONBLOCKING | (foreign ? COMM_TPROXY_REM : 0),
          note: 'gateway',
        },
        timeoutMs,
      )
      .then(
        connection => {
          const heard = Promise.withResolvers<string>()
          connection.setReader({ ...quiet, onEnd() {}, onData: (_, slab, s, e) => heard.resolve(slab.toString('latin1', s, e)) })
          return heard.promise.then(text => ({ local: endpointText(connection.local), heard: text.trim() }))
        },
        (error: unknown) => facts(error),
      ),
  )
  for (const outcome of await Promise.all(open)) say('connected', outcome)
}
console.log('ready')
process.stdin.resume().on('end', () => process.exit())
