import { binSeconds, kindNames, ServiceTimes, type TimeKind, timeKinds, type TimesValue } from './durations.ts'
import type { History } from './history.ts'
import type { Page } from './page.ts'

// How long requests took: percentiles over five minutes and an hour, and all there was, bin by bin. Labels and widths are
// Squid's: exporters read them.

interface Percentiles {
  readonly label: string
  /** Seconds that 5, 10 ... 95 per cent kept within. */
  readonly fiveMinutes: readonly number[]
  readonly sixtyMinutes: readonly number[]
}

const percents = Array.from({ length: 19 }, (_, i) => 5 * (i + 1))
/** In Squid's order; near misses are no line of its page. */
const shown: readonly TimeKind[] = ['all', 'miss', 'hit', 'nearHit', 'notModified', 'dns']

interface Both {
  readonly percentiles: readonly Percentiles[]
  /** What they are made of. */
  readonly fiveMinutes: TimesValue
  readonly sixtyMinutes: TimesValue
}

const bothOf = (five: ServiceTimes, sixty: ServiceTimes): Both => {
  const of = (times: ServiceTimes, kind: TimeKind) => percents.map(percent => times.percentile(kind, percent))
  return {
    percentiles: shown.map(kind => ({ label: timeKinds[kind], fiveMinutes: of(five, kind), sixtyMinutes: of(sixty, kind) })),
    fiveMinutes: five.value(),
    sixtyMinutes: sixty.value(),
  }
}

export const serviceTimesPage = (history: History): Page<Both> => ({
  name: 'service_times',
  doc: 'Service Times (Percentiles)',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: bothOf(timesOf(history, 5), timesOf(history, 60)) }),
  together: all => bothOf(ServiceTimes.of(...all.map(one => one.fiveMinutes)), ServiceTimes.of(...all.map(one => one.sixtyMinutes))),
  text: ({ percentiles }) =>
    [
      'Service Time Percentiles            5 min    60 min:',
      ...[...percentiles, nothingOf('ICP Queries')].flatMap(({ label, fiveMinutes, sixtyMinutes }) =>
        percents.map((percent, i) => `\t${`${label}:`.padEnd(21)} ${String(percent).padStart(2)}%  ${fixed(fiveMinutes[i])} ${fixed(sixtyMinutes[i])}`),
      ),
      '',
    ].join('\n'),
})

export const timesOf = (history: History, minutes: number): ServiceTimes => {
  const { from, to } = history.last(minutes)
  return to.times.since(from.times)
}

const nothingOf = (label: string): Percentiles => ({ label, fiveMinutes: [], sixtyMinutes: [] })

const fixed = (seconds = 0): string => seconds.toFixed(5).padStart(8)

const histogramNames: Readonly<Record<TimeKind, string>> = {
  all: 'client_http.allSvcTime',
  miss: 'client_http.missSvcTime',
  nearMiss: 'client_http.nearMissSvcTime',
  nearHit: 'client_http.nearHitSvcTime',
  hit: 'client_http.hitSvcTime',
  notModified: 'client_http.nmSvcTime',
  dns: 'dns.svc_time',
}

/** Since the start. */
export const histogramsPage = (times: () => ServiceTimes): Page<TimesValue> => ({
  name: 'histograms',
  doc: 'Full Histogram Counts',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: times().value() }),
  together: all => ServiceTimes.of(...all).value(),
  leaves: value => value,
  text: all => kindNames.map(kind => `${histogramNames[kind]} histogram:\n${all[kind].bins.map(binText).join('')}`).join(''),
})

/** Bin, its least in milliseconds, count, count per millisecond of its width. */
const binText = ([bin, count]: readonly [number, number]): string => {
  const from = binSeconds(bin) * 1000
  return `\t${String(bin).padStart(3)}/${from.toFixed(6)}\t${count}\t${(count / (binSeconds(bin + 1) * 1000 - from)).toFixed(6)}\n`
}
