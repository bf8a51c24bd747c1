import { readFileSync } from 'node:fs'
import type { Namespace } from '../../src/intercept/index.ts'

// The load is wrk from Debian, on the other core than the proxy. CPU time is the kernel's own account of the proxy's
// process (and its children), so it does not depend on how busy the machine was.

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

/** User and system time of a process, its threads and the children it still has. */
export const cpuSeconds = (pid: number): number => {
  let ticks = 0
  for (const each of family(pid)) {
    const stat = read(`/proc/${each}/stat`)
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
  }
  return ticks / 100
}

/** Resident memory without what is shared with files, of the process and its children. */
export const residentBytes = (pid: number): number => {
  let kib = 0
  for (const each of family(pid)) kib += Number(/^RssAnon:\s+(\d+)/m.exec(read(`/proc/${each}/status`))?.[1] ?? 0)
  return kib * 1024
}

export const family = (pid: number): readonly number[] => {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(family)]
}

const read = (file: string): string => {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}
