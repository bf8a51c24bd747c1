import { assert, type CounterTable, type WallMs, wallMs } from '../base/index.ts'
import type { DiskSums, History } from './history.ts'
import type { Page } from './page.ts'
import { addNumbers } from './together.ts'
import type { TrafficSums } from './traffic.ts'

export interface Counted {
  readonly at: WallMs
  readonly startedAt: WallMs
  readonly upSeconds: number
  readonly sums: TrafficSums
  readonly cpuSeconds: number
  readonly pageFaults: number
  readonly disk: DiskSums
  /** By Squid's names: `icp.…`. */
  readonly icp: Readonly<Record<string, number>>
}

/** As they are now. */
export const counted = (history: History, startedAt: WallMs, icp: Counted['icp']): Counted => {
  const { at, up, sums, cpuSeconds, pageFaults, disk } = history.now()
  return { at, startedAt, upSeconds: up / 1000, sums, cpuSeconds, pageFaults, disk, icp }
}

/** `name = value`, Squid's names: exporters parse this text. */
export const countersPage = (totals: () => Counted): Page<Counted> => ({
  name: 'counters',
  doc: 'Traffic and Resource Counters',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: totals() }),
  text: countersText,
  together: countersTogether,
  leaves: value => value,
})

export const countersTogether = (all: readonly Counted[]): Counted => {
  const [first, ...others] = all
  assert(first !== undefined, 'no worker, no page')
  return others.reduce(
    (sum, one) => ({
      ...sum,
      startedAt: wallMs(Math.min(sum.startedAt, one.startedAt)),
      upSeconds: Math.max(sum.upSeconds, one.upSeconds),
      sums: addNumbers(sum.sums, one.sums),
      disk: addNumbers(sum.disk, one.disk),
      icp: addNumbers(sum.icp, one.icp),
      cpuSeconds: sum.cpuSeconds + one.cpuSeconds,
      pageFaults: sum.pageFaults + one.pageFaults,
    }),
    first,
  )
}

export const countersText = ({ at, upSeconds, sums, cpuSeconds, pageFaults, disk, icp }: Counted): string => {
  const kb = (bytes: number): number => Math.floor(bytes / 1024)
  const lines: string[] = [`sample_time = ${(at / 1000).toFixed(6)} (${new Date(at).toUTCString()})`]
  const add = (name: string, value: number | string): void => void lines.push(`${name} = ${value}`)
  add('client_http.requests', sums.requests)
  add('client_http.hits', sums.hits)
  add('client_http.errors', sums.errors)
  add('client_http.kbytes_in', kb(sums.bytesIn))
  add('client_http.kbytes_out', kb(sums.bytesOut))
  add('client_http.hit_kbytes_out', kb(sums.hitBytesOut))
  for (const kind of ['all', 'http', 'ftp', 'other']) {
    const here = kind === 'all' || kind === 'http'
    add(`server.${kind}.requests`, here ? sums.serverRequests : 0)
    add(`server.${kind}.errors`, here ? sums.serverErrors : 0)
    add(`server.${kind}.kbytes_in`, here ? kb(sums.serverBytesIn) : 0)
    add(`server.${kind}.kbytes_out`, here ? kb(sums.serverBytesOut) : 0)
  }
  for (const name of icpNames) add(name, icp[name] ?? 0)
  add('unlink.requests', disk.removed)
  add('page_faults', pageFaults)
  add('select_loops', 0)
  add('cpu_time', cpuSeconds.toFixed(6))
  add('wall_time', upSeconds.toFixed(6))
  add('swap.outs', disk.stored)
  add('swap.ins', disk.read)
  add('swap.files_cleaned', 0)
  add('aborted_requests', sums.aborted)
  return `${lines.join('\n')}\n`
}

/** Cache digests (cd) do not exist here; whoever reads the page by its names finds them. */
export const icpNames = [
  'icp.pkts_sent', 'icp.pkts_recv', 'icp.queries_sent', 'icp.replies_sent', 'icp.queries_recv', 'icp.replies_recv',
  'icp.query_timeouts', 'icp.replies_queued', 'icp.kbytes_sent', 'icp.kbytes_recv', 'icp.q_kbytes_sent',
  'icp.r_kbytes_sent', 'icp.q_kbytes_recv', 'icp.r_kbytes_recv', 'icp.times_used', 'cd.times_used', 'cd.msgs_sent',
  'cd.msgs_recv', 'cd.memory', 'cd.local_memory', 'cd.kbytes_sent', 'cd.kbytes_recv',
] as const

/** Counters as a room declares them, under the room's name. */
export interface CounterGroup {
  readonly room: string
  readonly counters: Readonly<Record<string, number>>
  readonly docs: CounterTable
}

interface CounterLine {
  readonly name: string
  readonly value: number
  readonly doc: string
  readonly whenItGrows?: string
}

/** All that rooms count for themselves, with what it means and what to look at when it grows. */
export const roomCountersPage = (groups: () => readonly CounterGroup[]): Page<readonly CounterLine[]> => ({
  name: 'room_counters',
  doc: 'What each room counts, explained',
  protection: 'public',
  effect: 'shows',
  answer: () => ({
    ok: true,
    value: groups().flatMap(({ room, counters, docs }) =>
      Object.entries(docs).map(([name, { doc, whenItGrows }]) => ({
        name: `${room}.${name}`,
        value: counters[name] ?? 0,
        doc,
        ...(whenItGrows === undefined ? {} : { whenItGrows }),
      })),
    ),
  }),
  // of the same rooms, but one of them may have no disk
  together: all => {
    const sums = new Map<string, CounterLine>()
    for (const line of all.flat()) sums.set(line.name, { ...line, value: line.value + (sums.get(line.name)?.value ?? 0) })
    return [...sums.values()]
  },
  leaves: value => value,
  text: lines =>
    lines
      .map(({ name, value, doc, whenItGrows }) => `${name} = ${value}\n    ${doc}\n${whenItGrows === undefined ? '' : `    when it grows: ${whenItGrows}\n`}`)
      .join(''),
})
