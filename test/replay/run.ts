import { parseArgs } from 'node:util'
import { daemon, dayProxy } from './proxy.ts'
import { replay } from './replay.ts'

// npm run replay [-- --requests 1000000 --objects 100000 --cache 256 --proxy daemon --conf 'cache_dir ufs /tmp/x 1024']
//
// Ends with 1 if an answer was wrong, the hit ratio is off by more than one percent, or memory grew over the second half.

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    requests: { type: 'string', default: '1000000' },
    objects: { type: 'string', default: '100000' },
    cache: { type: 'string', default: '256' },
    'at-once': { type: 'string', default: '32' },
    /** day: a day by a clock that is moved; daemon: bin/glassquid by the real one. */
    proxy: { type: 'string', default: 'day' },
    conf: { type: 'string', default: '' },
  },
})

const requests = Number(values.requests)
const maker = values.proxy === 'daemon' ? daemon(requests, values.conf) : dayProxy(values.conf)
const report = await replay(
  maker,
  {
    seed: Number(values.seed),
    requests,
    objects: Number(values.objects),
    atOnce: Number(values['at-once']),
    cacheMib: Number(values.cache),
  },
  text => console.log(text),
)

const percent = (count: number): string => `${((100 * count) / report.requests).toFixed(2)} %`
const before = Math.max(...report.memoryMib.slice(5, 10))
const after = Math.max(...report.memoryMib.slice(10))
console.log(`\n${report.requests} requests in ${report.seconds.toFixed(0)} s, ${(report.bytes / 1e9).toFixed(1)} GB to clients, ${report.originRequests} requests at the origin`)
console.log(`statuses ${JSON.stringify(report.byStatus)}`)
console.log(`wrong answers ${report.wrongCount}`)
for (const text of report.wrong) console.log(`  ${text}`)
console.log(`hits ${percent(report.hits)}, ideal ${percent(report.idealHits)}`)
console.log(`memory at most ${before.toFixed(0)} MiB from a quarter to the half of the way, ${after.toFixed(0)} MiB in the second half`)

const off = Math.abs(report.hits - report.idealHits) / report.requests
const well = report.wrongCount === 0 && off < 0.01 && after < 1.15 * before + 16
console.log(well ? 'well' : 'NOT WELL')
process.exit(well ? 0 : 1)
