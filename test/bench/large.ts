import type { Namespace } from '../../src/intercept/index.ts'
import { cpuSeconds } from './measure.ts'

// Large content: what a gigabyte costs. curl fetches a given number of whole objects, four at a time.

export const largeMib = 50
const largeBytes = largeMib * 1024 * 1024
const atOnce = 4

export interface Large {
  /** `#` in it becomes a number that was not asked for before. */
  readonly url: string
  readonly count: number
}

export interface LargeMeasured {
  readonly cpuPerGb: number
  readonly gbPerSecond: number
  /** Objects that did not come whole. */
  readonly failures: number
}

let serial = 0

export const large = async (client: Namespace, what: Large, pid: number): Promise<LargeMeasured> => {
  const urls = Array.from({ length: what.count }, () => what.url.replace('#', String(++serial)))
  const before = cpuSeconds(pid)
  const start = process.hrtime.bigint()
  const ran = await client.runWith(
    { input: urls.map(url => `url = "${url}"\noutput = "/dev/null"\n`).join(''), deadlineMs: 300_000 },
    'taskset', '-c', '1', 'curl', '-s', '--parallel', '--parallel-max', String(atOnce),
    '-w', '%{http_code} %{size_download}\n', '-K', '-',
  )
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  const whole = ran.stdout.split('\n').filter(line => line === `200 ${largeBytes}`).length
  const gb = (whole * largeBytes) / 1e9
  return { cpuPerGb: (cpuSeconds(pid) - before) / gb, gbPerSecond: gb / seconds, failures: what.count - whole }
}
