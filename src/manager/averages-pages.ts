import { assert, type WallMs, wallMs } from '../base/index.ts'
import { countersText, countersTogether, type Counted, icpNames } from './counters-pages.ts'
import { ServiceTimes, type TimesValue } from './durations.ts'
import type { History, Sample, Span } from './history.ts'
import type { Page } from './page.ts'
import { addNumbers } from './together.ts'

// 5min, 60min and utilization: rates between two moments, with Squid's names and digits.

interface Averages {
  readonly from: WallMs
  readonly to: WallMs
  /** Per second. */
  readonly rates: Readonly<Record<string, number>>
  readonly times: TimesValue
  readonly cpuSeconds: number
  readonly wallSeconds: number
}

export const averagesPage = (name: '5min' | '60min', history: History): Page<Averages> => ({
  name,
  doc: name === '5min' ? '5 Minute Average of Counters' : '60 Minute Average of Counters',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: averagesOf(history.last(name === '5min' ? 5 : 60)) }),
  text: averagesText,
  together: averagesTogether,
})

const averagesOf = ({ from, to }: Span): Averages => {
  const wallSeconds = (to.up - from.up) / 1000
  const rate = (of: (sample: Sample) => number): number => (wallSeconds > 0 ? (of(to) - of(from)) / wallSeconds : 0)
  const kb = (of: (sample: Sample) => number): number => rate(of) / 1024
  const server = {
    requests: rate(s => s.sums.serverRequests),
    errors: rate(s => s.sums.serverErrors),
    kbytes_in: kb(s => s.sums.serverBytesIn),
    kbytes_out: kb(s => s.sums.serverBytesOut),
  }
  return {
    from: from.at,
    to: to.at,
    rates: {
      'client_http.requests': rate(s => s.sums.requests),
      'client_http.hits': rate(s => s.sums.hits),
      'client_http.errors': rate(s => s.sums.errors),
      'client_http.kbytes_in': kb(s => s.sums.bytesIn),
      'client_http.kbytes_out': kb(s => s.sums.bytesOut),
      ...Object.fromEntries(
        ['all', 'http', 'ftp', 'other'].flatMap(kind =>
          Object.entries(server).map(([name, value]) => [`server.${kind}.${name}`, kind === 'all' || kind === 'http' ? value : 0]),
        ),
      ),
      'unlink.requests': rate(s => s.disk.removed),
      'page_faults': rate(s => s.pageFaults),
      'swap.outs': rate(s => s.disk.stored),
      'swap.ins': rate(s => s.disk.read),
      'aborted_requests': rate(s => s.sums.aborted),
    },
    times: to.times.since(from.times).value(),
    cpuSeconds: to.cpuSeconds - from.cpuSeconds,
    wallSeconds,
  }
}

/** Of several workers: they count the same time, each its own part. */
const averagesTogether = (all: readonly Averages[]): Averages => {
  const [first, ...others] = all
  assert(first !== undefined, 'no worker, no page')
  return others.reduce(
    (sum, one) => ({
      from: wallMs(Math.min(sum.from, one.from)),
      to: wallMs(Math.max(sum.to, one.to)),
      rates: addNumbers(sum.rates, one.rates),
      times: ServiceTimes.of(sum.times, one.times).value(),
      cpuSeconds: sum.cpuSeconds + one.cpuSeconds,
      wallSeconds: Math.max(sum.wallSeconds, one.wallSeconds),
    }),
    first,
  )
}

const averagesText = ({ from, to, rates, times, cpuSeconds, wallSeconds }: Averages): string => {
  const all = ServiceTimes.of(times)
  const lines = [`sample_start_time = ${moment(from)}`, `sample_end_time = ${moment(to)}`]
  const rate = (...names: readonly string[]): void => {
    for (const name of names) lines.push(`${name} = ${(rates[name] ?? 0).toFixed(6)}/sec`)
  }
  const seconds = (name: string, value = 0): void => void lines.push(`${name} = ${value.toFixed(6)} seconds`)
  rate('client_http.requests', 'client_http.hits', 'client_http.errors', 'client_http.kbytes_in', 'client_http.kbytes_out')
  for (const [name, kind] of medians) seconds(`client_http.${name}_median_svc_time`, all.percentile(kind, 50))
  for (const kind of ['all', 'http', 'ftp', 'other']) {
    rate(...['requests', 'errors', 'kbytes_in', 'kbytes_out'].map(name => `server.${kind}.${name}`))
  }
  rate(...icpNames.filter(name => name.startsWith('icp.') && name !== 'icp.times_used'))
  seconds('icp.query_median_svc_time')
  seconds('icp.reply_median_svc_time')
  seconds('dns.median_svc_time', all.percentile('dns', 50))
  rate('unlink.requests', 'page_faults', 'select_loops', 'select_fds')
  lines.push('average_select_fd_period = 0.000000/fd', 'median_select_fds = 0.000000')
  rate('swap.outs', 'swap.ins', 'swap.files_cleaned', 'aborted_requests')
  rate(...['opens', 'closes', 'reads', 'writes', 'seeks', 'unlinks'].map(name => `syscalls.disk.${name}`))
  rate(...['accepts', 'sockets', 'connects', 'binds', 'closes', 'reads', 'writes', 'recvfroms', 'sendtos'].map(name => `syscalls.sock.${name}`))
  seconds('cpu_time', cpuSeconds)
  seconds('wall_time', wallSeconds)
  lines.push(`cpu_usage = ${(wallSeconds > 0 ? (100 * cpuSeconds) / wallSeconds : 0).toFixed(6)}%`)
  return `${lines.join('\n')}\n`
}

/** In Squid's order, by its names. */
const medians = [['all', 'all'], ['miss', 'miss'], ['nm', 'notModified'], ['nh', 'nearHit'], ['hit', 'hit']] as const

export const moment = (at: WallMs): string => `${(at / 1000).toFixed(5)} (${new Date(at).toUTCString()})`

interface Utilization {
  readonly spans: readonly { readonly title: string; readonly averages: Averages }[]
  readonly totals: Counted
}

const spans = [
  ['Last 5 minutes', 5],
  ['Last 15 minutes', 15],
  ['Last hour', 60],
  ['Last 8 hours', 8 * 60],
  ['Last day', 24 * 60],
  ['Last 3 days', 72 * 60],
] as const

export const utilizationPage = (history: History, totals: () => Counted): Page<Utilization> => ({
  name: 'utilization',
  doc: 'Cache Utilization',
  protection: 'public',
  effect: 'shows',
  answer: () => ({
    ok: true,
    value: { spans: spans.map(([title, minutes]) => ({ title, averages: averagesOf(history.last(minutes)) })), totals: totals() },
  }),
  together: all => ({
    spans: spans.map(([title], i) => ({ title, averages: averagesTogether(all.flatMap(one => one.spans[i]?.averages ?? [])) })),
    totals: countersTogether(all.map(one => one.totals)),
  }),
  leaves: ({ totals: left }) => ({ spans: [], totals: left }),
  text: value =>
    `Cache Utilisation:\n\n${value.spans.map(({ title, averages }) => `${title}:\n${averagesText(averages)}\n`).join('')}` +
    `Totals since cache startup:\n${countersText(value.totals)}`,
})
