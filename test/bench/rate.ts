import { join } from 'node:path'
import type { Namespace } from '../../src/intercept/index.ts'

// Latency at a rate that does not depend on the answers: see rate-program.ts.

export interface Rate {
  readonly host: string
  readonly path: string
  readonly perSecond: number
  readonly seconds: number
  readonly connections: number
}

export interface RateMeasured {
  /** Requests that were answered, per second. */
  readonly perSecond: number
  /** From the moment a request was due, in milliseconds. */
  readonly due: Percentiles
  /** From the moment it was written: what a closed loop would have reported. */
  readonly sent: Percentiles
  /** Requests written later than due though a connection was free: the generator's own fault. Share of all. */
  readonly ownDelayP99: number
  readonly failures: number
}

export interface Percentiles {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

const root = join(import.meta.dirname, '../..')

export const rate = async (client: Namespace, what: Rate): Promise<RateMeasured> => {
  const ran = await client.runWith(
    { deadlineMs: (what.seconds + 30) * 1000 },
    'taskset', '-c', '1', join(root, 'bin/nodex'), join(root, 'test/bench/rate-program.ts'), JSON.stringify(what),
  )
  const line = ran.stdout.split('\n').find(said => said.startsWith('{'))
  if (line === undefined) throw new Error(`rate: ${ran.stdout}${ran.stderr}`)
  return JSON.parse(line) as RateMeasured // our own program wrote it
}
