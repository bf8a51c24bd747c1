import { assert, type Clock, type WallMs, wallMs } from '../base/index.ts'
import type { Page } from './page.ts'
import { addNumbers } from './together.ts'
import type { Traffic, TrafficSums } from './traffic.ts'

export interface InfoSource {
  readonly clock: Clock
  readonly startedAt: WallMs
  readonly traffic: Traffic
  readonly version: string
  readonly gauges: () => Gauges
}

/** What can be read off at any moment. */
export interface Gauges {
  readonly hostname: string
  readonly engine: string
  readonly sessions: number
  readonly memory: Tier
  readonly disk: Tier | null
  readonly descriptors: { readonly max: number; readonly used: number }
}

interface Tier {
  readonly bytes: number
  readonly bytesMax: number
  readonly count: number
}

interface Info extends Gauges {
  readonly at: WallMs
  readonly startedAt: WallMs
  readonly version: string
  readonly sums: TrafficSums
  readonly cpuSeconds: number
  readonly residentBytes: number
}

/** The page everybody looks at first, with Squid's labels. */
export const infoPage = (source: InfoSource): Page<Info> => ({
  name: 'info',
  doc: 'General Runtime Information',
  protection: 'public',
  effect: 'shows',
  answer: () => {
    const { user, system } = process.cpuUsage()
    return {
      ok: true,
      value: {
        ...source.gauges(),
        at: source.clock.wall(),
        startedAt: source.startedAt,
        version: source.version,
        sums: source.traffic.sums(),
        cpuSeconds: (user + system) / 1e6,
        residentBytes: process.memoryUsage.rss(),
      },
    }
  },
  text: infoText,
  together: infoTogether,
})

/** The disk is one for all, memory is each one's own. */
const infoTogether = (all: readonly Info[]): Info => {
  const [first, ...others] = all
  assert(first !== undefined, 'no worker, no page')
  return others.reduce(
    (sum, one) => ({
      ...sum,
      startedAt: wallMs(Math.min(sum.startedAt, one.startedAt)),
      sessions: sum.sessions + one.sessions,
      memory: addNumbers(sum.memory, one.memory),
      descriptors: addNumbers(sum.descriptors, one.descriptors),
      sums: addNumbers(sum.sums, one.sums),
      cpuSeconds: sum.cpuSeconds + one.cpuSeconds,
      residentBytes: sum.residentBytes + one.residentBytes,
    }),
    first,
  )
}

const infoText = (info: Info): string => {
  const { sums, memory, disk, descriptors } = info
  const upSeconds = Math.max(0, info.at - info.startedAt) / 1000
  const share = (part: number, whole: number): string => (whole > 0 ? ((100 * part) / whole).toFixed(1) : '0.0')
  const kb = (bytes: number): string => String(Math.ceil(bytes / 1024))
  const mean = (tier: Tier | null): string => (tier === null || tier.count === 0 ? '0.00' : (tier.bytes / tier.count / 1024).toFixed(2))
  const perMinute = upSeconds < 1 ? 0 : sums.requests / (upSeconds / 60)
  return [
    `Squid Object Cache: Version glassquid/${info.version}`,
    `Service Name: squid`,
    `Start Time:\t${new Date(info.startedAt).toUTCString()}`,
    `Current Time:\t${new Date(info.at).toUTCString()}`,
    `Connection information for squid:`,
    `\tNumber of clients accessing cache:\t${info.sessions}`,
    `\tNumber of HTTP requests received:\t${sums.requests}`,
    `\tNumber of ICP messages received:\t0`,
    `\tNumber of ICP messages sent:\t0`,
    `\tNumber of queued ICP replies:\t0`,
    `\tRequest failure ratio:\t${share(sums.errors, sums.requests)}%`,
    `\tAverage HTTP requests per minute since start:\t${perMinute.toFixed(1)}`,
    `\tAverage ICP messages per minute since start:\t0.0`,
    `Cache information for squid:`,
    `\tHits as % of all requests:\tsince start: ${share(sums.hits, sums.requests)}%`,
    `\tHits as % of bytes sent:\tsince start: ${share(sums.hitBytesOut, sums.bytesOut)}%`,
    `\tStorage Swap size:\t${kb(disk?.bytes ?? 0)} KB`,
    `\tStorage Swap capacity:\t${share(disk?.bytes ?? 0, disk?.bytesMax ?? 0)}% used, ${share((disk?.bytesMax ?? 0) - (disk?.bytes ?? 0), disk?.bytesMax ?? 0)}% free`,
    `\tStorage Mem size:\t${kb(memory.bytes)} KB`,
    `\tStorage Mem capacity:\t${share(memory.bytes, memory.bytesMax)}% used, ${share(memory.bytesMax - memory.bytes, memory.bytesMax)}% free`,
    `\tMean Object Size:\t${mean(disk ?? memory)} KB`,
    `Resource usage for squid:`,
    `\tUP Time:\t${upSeconds.toFixed(3)} seconds`,
    `\tCPU Time:\t${info.cpuSeconds.toFixed(3)} seconds`,
    `\tCPU Usage:\t${upSeconds > 0 ? ((100 * info.cpuSeconds) / upSeconds).toFixed(2) : '0.00'}%`,
    `\tMaximum Resident Size: ${kb(info.residentBytes)} KB`,
    `File descriptor usage for squid:`,
    `\tMaximum number of file descriptors:\t${descriptors.max}`,
    `\tNumber of file desc currently in use:\t${descriptors.used}`,
    `\tAvailable number of file descriptors:\t${Math.max(0, descriptors.max - descriptors.used)}`,
    `Internal Data Structures:`,
    `\t${String(Math.max(memory.count, disk?.count ?? 0)).padStart(6)} StoreEntries`,
    `\t${String(memory.count).padStart(6)} Hot Object Cache Items`,
    `\t${String(disk?.count ?? 0).padStart(6)} on-disk objects`,
    '',
  ].join('\n')
}
