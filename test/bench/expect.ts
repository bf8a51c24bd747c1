import { ms } from '../../src/base/index.ts'
import { openNetwork, type Running } from '../../src/intercept/index.ts'
import { median } from './measure.ts'

// npm run bench:expect
//
// What waiting for a related connection and ceasing to wait cost together, with 1, 1,000 and 100,000 others waited for:
// sockets on foreign addresses in a network namespace of the lab's. Flat is the claim: TPROXY 2 scanned tables here. Each
// other is a descriptor, so several processes hold them; the one that is measured holds its own share as well.

const shareMax = 15_000
const network = await openNetwork()
const program = new URL('./expect-program.ts', import.meta.url).pathname

const measure = async (way: string, others: number): Promise<void> => {
  const holders: Running[] = []
  const own = Math.min(others, shareMax)
  for (let first = own; first < others; first += shareMax) {
    const share = Math.min(shareMax, others - first)
    holders.push(network.gateway.spawn(process.execPath, [program, String(first + 10_000), String(share), way, '0']))
  }
  for (const holder of holders) await holder.heard('holding', ms(120_000))
  const held = Number(await network.gateway.must('sh', '-c', 'ss -Hltn | wc -l'))
  const ran = await network.gateway.runWith({ deadlineMs: 300_000 }, process.execPath, program, '0', String(own), way, '7')
  for (const holder of holders) await holder.stop()
  if (ran.code !== 0) throw new Error(ran.stderr)
  const all = ran.stdout.trim().split('\n').map(line => Number(JSON.parse(line).microseconds))
  console.log(
    `${way.padEnd(10)} ${String(held + own).padStart(7)} others: ` +
      `${median(all).toFixed(1)} µs (${Math.min(...all).toFixed(1)}..${Math.max(...all).toFixed(1)}) for one added and removed`,
  )
}

try {
  for (const way of ['ports', 'addresses']) for (const others of [1, 1000, 100_000]) await measure(way, others)
} finally {
  await network.close()
}
