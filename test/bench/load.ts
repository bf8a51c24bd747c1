import type { Namespace } from '../../src/intercept/index.ts'
import { cpuSeconds } from './measure.ts'

// As many requests as the subject answers: wrk from Debian, on the other core than the proxy.

export interface Measured {
  readonly perSecond: number
  readonly latencyMs: { readonly p50: number; readonly p99: number }
  readonly failures: number
  /** CPU seconds of the subject per thousand requests. */
  readonly cpuPerThousand: number
}

const script = `
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout, e.status, latency:percentile(50), latency:percentile(99)))
end
`

export interface Load {
  readonly url: string
  readonly seconds: number
  readonly connections: number
  readonly headers: readonly string[]
}

export const load = async (client: Namespace, directory: string, what: Load, pid: number): Promise<Measured> => {
  const file = `${directory}/done.lua`
  await client.runWith({ input: script }, 'sh', '-c', `cat > ${file}`)
  const before = cpuSeconds(pid)
  const ran = await client.runWith(
    { deadlineMs: (what.seconds + 30) * 1000 },
    'taskset', '-c', '1', 'wrk', '-t1', `-c${what.connections}`, `-d${what.seconds}s`, '-s', file,
    ...what.headers.flatMap(header => ['-H', header]), what.url,
  )
  const cpu = cpuSeconds(pid) - before
  const found = /RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)/.exec(ran.stdout)
  if (found === null) throw new Error(`wrk: ${ran.stdout}${ran.stderr}`)
  const [, requests = 0, micros = 1, broken = 0, status = 0, p50 = 0, p99 = 0] = found.map(Number)
  return {
    perSecond: requests / (micros / 1e6),
    latencyMs: { p50: p50 / 1000, p99: p99 / 1000 },
    failures: broken + status,
    cpuPerThousand: (cpu / Math.max(1, requests)) * 1000,
  }
}
