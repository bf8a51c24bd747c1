// A proxy that only waits: for what it is told to on standard input, and for everything a TPROXY rule brings to 3130.
// With the word `sets` it waits by sets of nf_tables instead of sockets.
//
//   expect NAME FOREIGN:PORT FROM:PORT|- TTL-MS once|often        close NAME        many COUNT PORT
//
// Says:  expecting NAME ENDPOINT | refused NAME WHY | arrived NAME PEER LOCAL | ended NAME WHY | taken PEER DESTINATION |
//        many COUNT SOCKETS | unclaimed PEER. Whoever is let in reads `the proxy, for NAME`.

import { createInterface } from 'node:readline'
import {
  COMM_REUSEADDR, COMM_TPROXY_LCL, type Connection, createComm, createExpectations, createExpectSet, type Expectation,
} from '../../../comm/index.ts'
import { native } from '../../../native/index.ts'
import { type Endpoint, endpoint, endpointText, ms, systemClock } from '../../../src/base/index.ts'
import { createDispatcher, priority } from '../../../src/dispatch/index.ts'

const comm = createComm({ engine: 'native', clock: systemClock })
const dispatcher = createDispatcher({ comm, unclaimed: ({ peer }) => console.log(`unclaimed ${endpointText(peer)}`) })
const waiting = new Map<string, Expectation>()
const all = createExpectations({
  clock: systemClock,
  dispatcher,
  priority: priority.related,
  isLocal: () => false,
  descriptorsLeft: () => comm.budget.acceptable,
  set: process.argv[2] === 'sets' && native.present ? { elements: createExpectSet(native.addon), port: 3130 } : null,
  limits: { expectationsPerOwnerMax: 100_000, expectationsMax: 100_000 },
})

const answer = (connection: Connection, text: string): void => {
  connection.write(`${text}\n`)
  connection.closeAfterFlush()
}

const parse = (text: string): Endpoint => {
  const [, address = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? []
  return endpoint(address, Number(port))
}

const expect = (name: string, foreign: string, from: string, ttl: string, often: string): void => {
  const answered = all.expect({
    foreign: parse(foreign),
    from: from === '-' ? null : parse(from),
    ttl: ms(Number(ttl)),
    once: often === 'once',
    owner: 'test',
    note: name,
    arrived: connection => {
      console.log(`arrived ${name} ${endpointText(connection.peer)} ${endpointText(connection.local)}`)
      answer(connection, `the proxy, for ${name}`)
    },
    ended: why => console.log(`ended ${name} ${why}`),
  })
  if (!answered.ok) return console.log(`refused ${name} ${answered.detail}`)
  waiting.set(name, answered.expectation)
  console.log(`expecting ${name} ${endpointText(answered.expectation.endpoint)}`)
}

/** One port at as many addresses: 10.0.0.0/8 is nobody's here. */
const many = (count: number, port: number): void => {
  const made: Expectation[] = []
  for (let i = 0; i < count; i++) {
    const at = endpoint(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port)
    const answered = all.expect({ foreign: at, from: null, ttl: ms(60_000), once: true, owner: 'many', note: 'many', arrived: () => {} })
    if (answered.ok) made.push(answered.expectation)
    else console.log(`refused ${i} ${answered.detail}`)
  }
  console.log(`many ${made.length} ${comm.fdTable().length}`)
  for (const each of made) each.close()
  console.log(`none ${comm.fdTable().length}`)
}

dispatcher.add(
  endpoint('::', 3130),
  { flags: COMM_REUSEADDR | COMM_TPROXY_LCL, dualStack: true, backlog: 128, natBackend: 'getsockname' },
  {
    accept(connection) {
      if (connection.original.kind === 'direct') return 'declined'
      console.log(`taken ${endpointText(connection.peer)} ${endpointText(connection.local)}`)
      answer(connection, 'the proxy, by the rule')
      return 'taken'
    },
  },
  priority.listen,
)

createInterface({ input: process.stdin }).on('line', line => {
  const [word, name = '', ...rest] = line.split(' ')
  const [foreign = '', from = '-', ttl = '', often = 'once'] = rest
  if (word === 'expect') expect(name, foreign, from, ttl, often)
  else if (word === 'many') many(Number(name), Number(foreign))
  else if (word === 'close') {
    waiting.get(name)?.close()
    console.log(`closed ${name}`)
  }
})
console.log('ready')
