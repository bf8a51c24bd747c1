import { createComm, createExpectations, type Expectation } from '../../comm/index.ts'
import { endpoint, ms, systemClock } from '../../src/base/index.ts'
import { createDispatcher, priority } from '../../src/dispatch/index.ts'

// Adds and removes an expectation with others present, and tells how long one of them took: one JSON line each.
//
//   node expect-program.ts FIRST OTHERS ports|addresses ROUNDS
//
// With 0 rounds it says `holding` and waits; FIRST tells the shares of several processes apart: one has not enough
// descriptors for all.
//
// ports: the others wait at other ports of the same few addresses, as data connections do; addresses: at one port of as
// many addresses, which the kernel has in one chain.

const [, , firstText = '0', othersText = '1', way = 'ports', roundsText = '5'] = process.argv
const [first, others] = [Number(firstText), Number(othersText)]
const pairs = 5000
/**
 * Places are taken by turns, as data ports chosen by chance are. One and the same place over and over would measure V8's
 * Map, which keeps what was deleted in the chain of its key until the table is made anew: 4 µs more with 15,000 others.
 */
const spread = 4999

const comm = createComm({ engine: 'native', clock: systemClock })
const all = createExpectations({
  clock: systemClock,
  dispatcher: createDispatcher({ comm }),
  priority: priority.related,
  isLocal: () => false,
  descriptorsLeft: () => comm.budget.acceptable,
  limits: { expectationsMax: others + 10, expectationsPerOwnerMax: others + 10 },
})

const place = (n: number) =>
  way === 'ports'
    ? endpoint(`10.0.0.${1 + Math.floor(n / 50_000)}`, 10_000 + (n % 50_000))
    : endpoint(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, 20_021)

const expect = (n: number): Expectation => {
  const answer = all.expect({
    foreign: place(n),
    from: endpoint('203.0.113.10', 0),
    ttl: ms(600_000),
    once: true,
    owner: 'bench',
    note: 'bench',
    arrived: () => {},
  })
  if (!answer.ok) throw new Error(answer.detail)
  return answer.expectation
}

for (let n = 0; n < others; n++) expect(first + n)

/**
 * Twenty pairs in a turn: the descriptors are closed when it is over, and that is part of the price. Counted is the
 * processor's time, which others on the machine do not lengthen.
 */
const round = async (count: number): Promise<number> => {
  const from = process.cpuUsage()
  for (let i = 0; i < count; i++) {
    expect(first + others + 1 + (i % spread)).close()
    if (i % 20 === 19) await new Promise(setImmediate)
  }
  const { user, system } = process.cpuUsage(from)
  return (user + system) / count
}

if (Number(roundsText) === 0) {
  console.log('holding')
  await new Promise(() => {}) // until it is ended
}
await round(pairs) // warm
for (let i = 0; i < Number(roundsText); i++) console.log(JSON.stringify({ microseconds: await round(pairs) }))
comm.close()
process.exit(0)
