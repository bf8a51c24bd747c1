import { assert, type WallMs, wallMs } from '../base/index.ts'
import { ServiceTimes, type TimeKind, timeKinds, type TimesValue } from './durations.ts'
import type { History, Span } from './history.ts'
import type { Page } from './page.ts'
import { addNumbers } from './together.ts'
import type { TrafficSums } from './traffic.ts'

export interface InfoSource {
  readonly startedAt: WallMs
  readonly history: History
  readonly version: string
  readonly gauges: () => Gauges
}

/** What can be read off at any moment. */
export interface Gauges {
  readonly hostname: string
  readonly engine: string
  readonly sessions: number
  /** Addresses that have asked for something (client_db). */
  readonly clients: number
  readonly memory: Tier
  readonly disk: Tier | null
  readonly descriptors: { readonly max: number; readonly used: number; readonly largest: number; readonly reserved: number }
}

interface Tier {
  readonly bytes: number
  readonly bytesMax: number
  readonly count: number
}

/** What came within the last minutes. */
interface Spans {
  readonly sums: TrafficSums
  readonly cpuSeconds: number
  readonly wallSeconds: number
  readonly times: TimesValue
}

interface Info extends Gauges {
  readonly at: WallMs
  readonly startedAt: WallMs
  readonly upSeconds: number
  readonly version: string
  readonly sums: TrafficSums
  readonly cpuSeconds: number
  readonly pageFaults: number
  readonly residentBytes: number
  readonly filesRemoved: number
  readonly fiveMinutes: Spans
  readonly sixtyMinutes: Spans
}

/** The page everybody looks at first, with Squid's labels. */
export const infoPage = (source: InfoSource): Page<Info> => ({
  name: 'info',
  doc: 'General Runtime Information',
  protection: 'public',
  effect: 'shows',
  answer() {
    const { at, up, sums, cpuSeconds, pageFaults, disk } = source.history.now()
    return {
      ok: true,
      value: {
        ...source.gauges(),
        at, sums, cpuSeconds, pageFaults,
        startedAt: source.startedAt,
        upSeconds: up / 1000,
        version: source.version,
        residentBytes: process.memoryUsage.rss(),
        filesRemoved: disk.removed,
        fiveMinutes: spansOf(source.history.last(5)),
        sixtyMinutes: spansOf(source.history.last(60)),
      },
    }
  },
  text: infoText,
  together: infoTogether,
  leaves: info => ({
    ...info,
    sessions: 0,
    clients: 0,
    memory: { bytes: 0, bytesMax: 0, count: 0 },
    disk: null,
    descriptors: { max: 0, used: 0, largest: 0, reserved: 0 },
    residentBytes: 0,
    fiveMinutes: nothingYet(info.sums),
    sixtyMinutes: nothingYet(info.sums),
  }),
})

const nothingYet = (sums: TrafficSums): Spans => ({
  sums: Object.fromEntries(Object.keys(sums).map(name => [name, 0])) as unknown as TrafficSums, // its own names
  cpuSeconds: 0,
  wallSeconds: 0,
  times: new ServiceTimes().value(),
})

/** The disk is one for all, memory is each one's own. */
const infoTogether = (all: readonly Info[]): Info => {
  const [first, ...others] = all
  assert(first !== undefined, 'no worker, no page')
  return others.reduce(
    (sum, one) => ({
      ...sum,
      startedAt: wallMs(Math.min(sum.startedAt, one.startedAt)),
      upSeconds: Math.max(sum.upSeconds, one.upSeconds),
      sessions: sum.sessions + one.sessions,
      clients: Math.max(sum.clients, one.clients), // as a rule the same ones
      memory: addNumbers(sum.memory, one.memory),
      descriptors: addNumbers(sum.descriptors, one.descriptors),
      sums: addNumbers(sum.sums, one.sums),
      cpuSeconds: sum.cpuSeconds + one.cpuSeconds,
      pageFaults: sum.pageFaults + one.pageFaults,
      residentBytes: sum.residentBytes + one.residentBytes,
      filesRemoved: sum.filesRemoved + one.filesRemoved,
      fiveMinutes: addSpans(sum.fiveMinutes, one.fiveMinutes),
      sixtyMinutes: addSpans(sum.sixtyMinutes, one.sixtyMinutes),
    }),
    first,
  )
}

const spansOf = ({ from, to }: Span): Spans => ({
  sums: Object.fromEntries(Object.entries(to.sums).map(([name, sum]) => [name, sum - from.sums[name as keyof TrafficSums]])) as unknown as TrafficSums, // its own names
  cpuSeconds: to.cpuSeconds - from.cpuSeconds,
  wallSeconds: (to.up - from.up) / 1000,
  times: to.times.since(from.times).value(),
})

const addSpans = (a: Spans, b: Spans): Spans => ({
  sums: addNumbers(a.sums, b.sums),
  cpuSeconds: a.cpuSeconds + b.cpuSeconds,
  wallSeconds: Math.max(a.wallSeconds, b.wallSeconds),
  times: ServiceTimes.of(a.times, b.times).value(),
})

/** Shares in per cent, medians in seconds. */
const sharesOf = ({ sums, cpuSeconds, wallSeconds, times }: Spans) => {
  const percent = (part: number, whole: number): number => (whole > 0 ? (100 * part) / whole : 0)
  const all = ServiceTimes.of(times)
  return {
    hits: percent(sums.hits, sums.requests),
    hitBytes: percent(sums.hitBytesOut, sums.bytesOut),
    memoryHits: percent(sums.memoryHits, sums.hits),
    diskHits: percent(sums.diskHits, sums.hits),
    cpu: percent(cpuSeconds, wallSeconds),
    median: (kind: TimeKind) => all.percentile(kind, 50),
  }
}

const infoText = (info: Info): string => {
  const { sums, memory, disk, descriptors, upSeconds } = info
  const [five, sixty] = [sharesOf(info.fiveMinutes), sharesOf(info.sixtyMinutes)]
  const share = (part: number, whole: number): string => (whole > 0 ? (100 * part) / whole : 0).toFixed(1).padStart(4)
  const kb = (bytes: number): string => String(Math.ceil(bytes / 1024))
  const mean = (tier: Tier | null): string => (tier === null || tier.count === 0 ? '0.00' : (tier.bytes / tier.count / 1024).toFixed(2))
  const perMinute = upSeconds < 1 ? 0 : sums.requests / (upSeconds / 60)
  const both = (name: 'hits' | 'hitBytes' | 'memoryHits' | 'diskHits'): string => `5min: ${five[name].toFixed(1)}%, 60min: ${sixty[name].toFixed(1)}%`
  const median = (kind: TimeKind): string =>
    `\t${`${timeKinds[kind]}:`.padEnd(22)}${five.median(kind).toFixed(5).padStart(8)} ${sixty.median(kind).toFixed(5).padStart(8)}`
  const capacity = (tier: Tier | null): string =>
    `${share(tier?.bytes ?? 0, tier?.bytesMax ?? 0)}% used, ${share((tier?.bytesMax ?? 0) - (tier?.bytes ?? 0), tier?.bytesMax ?? 0)}% free`
  const wide = (n: number, width: number): string => String(n).padStart(width)
  return [
    `Squid Object Cache: Version glassquid/${info.version}`,
    `Build Info: ${info.engine} engine, Node ${process.versions.node}`,
    `Service Name: squid`,
    `Start Time:\t${new Date(info.startedAt).toUTCString()}`,
    `Current Time:\t${new Date(info.at).toUTCString()}`,
    `Connection information for squid:`,
    `\tNumber of clients accessing cache:\t${info.clients}`,
    `\tNumber of HTTP requests received:\t${sums.requests}`,
    `\tNumber of ICP messages received:\t0`,
    `\tNumber of ICP messages sent:\t0`,
    `\tNumber of queued ICP replies:\t0`,
    `\tNumber of HTCP messages received:\t0`,
    `\tNumber of HTCP messages sent:\t0`,
    `\tRequest failure ratio:\t${(sums.requests > 0 ? sums.errors / sums.requests : 0).toFixed(2).padStart(5)}`,
    `\tAverage HTTP requests per minute since start:\t${perMinute.toFixed(1)}`,
    `\tAverage ICP messages per minute since start:\t0.0`,
    `\tSelect loop called: 0 times, 0.000 ms avg`,
    `Cache information for squid:`,
    `\tHits as % of all requests:\t${both('hits')}`,
    `\tHits as % of bytes sent:\t${both('hitBytes')}`,
    `\tMemory hits as % of hit requests:\t${both('memoryHits')}`,
    `\tDisk hits as % of hit requests:\t${both('diskHits')}`,
    `\tStorage Swap size:\t${kb(disk?.bytes ?? 0)} KB`,
    `\tStorage Swap capacity:\t${capacity(disk)}`,
    `\tStorage Mem size:\t${kb(memory.bytes)} KB`,
    `\tStorage Mem capacity:\t${capacity(memory)}`,
    `\tMean Object Size:\t${mean(disk ?? memory)} KB`,
    `\tRequests given to unlinkd:\t${info.filesRemoved}`,
    `Median Service Times (seconds)  5 min    60 min:`,
    ...(['all', 'miss', 'hit', 'nearHit', 'notModified', 'dns'] as const).map(median),
    `\tICP Queries:           0.00000  0.00000`,
    `Resource usage for squid:`,
    `\tUP Time:\t${upSeconds.toFixed(3)} seconds`,
    `\tCPU Time:\t${info.cpuSeconds.toFixed(3)} seconds`,
    `\tCPU Usage:\t${upSeconds > 0 ? ((100 * info.cpuSeconds) / upSeconds).toFixed(2) : '0.00'}%`,
    `\tCPU Usage, 5 minute avg:\t${five.cpu.toFixed(2)}%`,
    `\tCPU Usage, 60 minute avg:\t${sixty.cpu.toFixed(2)}%`,
    `\tMaximum Resident Size: ${kb(info.residentBytes)} KB`,
    `\tPage faults with physical i/o: ${info.pageFaults}`,
    `File descriptor usage for squid:`,
    `\tMaximum number of file descriptors:   ${wide(descriptors.max, 4)}`,
    `\tLargest file desc currently in use:   ${wide(descriptors.largest, 4)}`,
    `\tNumber of file desc currently in use: ${wide(descriptors.used, 4)}`,
    `\tFiles queued for open:                ${wide(0, 4)}`,
    `\tAvailable number of file descriptors: ${wide(Math.max(0, descriptors.max - descriptors.used), 4)}`,
    `\tReserved number of file descriptors:  ${wide(descriptors.reserved, 4)}`,
    `\tStore Disk files open:                ${wide(0, 4)}`,
    `Internal Data Structures:`,
    `\t${wide(Math.max(memory.count, disk?.count ?? 0), 6)} StoreEntries`,
    `\t${wide(memory.count, 6)} StoreEntries with MemObjects`,
    `\t${wide(memory.count, 6)} Hot Object Cache Items`,
    `\t${wide(disk?.count ?? 0, 6)} on-disk objects`,
    '',
  ].join('\n')
}
