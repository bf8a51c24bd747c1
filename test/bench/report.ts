import type { LargeMeasured } from './large.ts'
import type { Measured } from './load.ts'
import { median } from './measure.ts'
import type { RateMeasured } from './rate.ts'

// Ratios are taken within a round; median over the rounds, with least and most.

export type Found =
  | { readonly kind: 'load'; readonly load: Measured }
  | { readonly kind: 'rate'; readonly rate: RateMeasured; readonly wanted: number }
  | { readonly kind: 'large'; readonly large: LargeMeasured }

export interface Line {
  readonly name: string
  /** By subject, one for each round. */
  readonly by: ReadonlyMap<string, readonly Found[]>
}

export const print = (line: Line): void => {
  console.log(line.name)
  for (const [name, found] of line.by) {
    const [first] = found
    if (first === undefined) continue
    console.log(`  ${name.padEnd(10)} ${words[first.kind](found, line)}${lost(found)}`)
  }
  console.log('')
}

const words: Readonly<Record<Found['kind'], (found: readonly Found[], line: Line) => string>> = {
  load(found, { by }) {
    const rates = found.map(rateOf)
    const against = (other: readonly Found[] | undefined): string =>
      other === undefined ? '-' : median(rates.map((rate, i) => rate / (other[i] === undefined ? Number.NaN : rateOf(other[i])))).toFixed(2)
    const loads = found.flatMap(each => (each.kind === 'load' ? [each.load] : []))
    return (
      `${median(rates).toFixed(0).padStart(8)}/s ${spread(rates, 0).padEnd(17)}` +
      `  x squid ${against(by.get('squid')).padStart(5)}  x net ${against(by.get('net')).padStart(5)}` +
      `  p99 ${median(loads.map(each => each.latencyMs.p99)).toFixed(2)} ms` +
      `  cpu ${(median(loads.map(each => each.cpuPerThousand)) * 1000).toFixed(1)} us/request`
    )
  },
  rate(found) {
    const rates = found.flatMap(each => (each.kind === 'rate' ? [each.rate] : []))
    const wanted = found.flatMap(each => (each.kind === 'rate' ? [each.wanted] : []))
    const middle = (of: (rate: RateMeasured) => number) => median(rates.map(of)).toFixed(2).padStart(6)
    return (
      `asked ${median(wanted).toFixed(0).padStart(6)}/s, answered ${median(rates.map(rate => rate.perSecond)).toFixed(0).padStart(6)}/s` +
      `  p50 ${middle(rate => rate.due.p50)}  p99 ${middle(rate => rate.due.p99)} ${spread(rates.map(rate => rate.due.p99), 2)}` +
      `  p99.9 ${middle(rate => rate.due.p999)} ms` +
      `  (p99 from writing ${middle(rate => rate.sent.p99).trim()}, generator late p99 ${middle(rate => rate.ownDelayP99).trim()})`
    )
  },
  large(found) {
    const larges = found.flatMap(each => (each.kind === 'large' ? [each.large] : []))
    const cpu = larges.map(each => each.cpuPerGb)
    return `${median(cpu).toFixed(2).padStart(6)} CPU s/GB ${spread(cpu, 2).padEnd(13)}  ${median(larges.map(each => each.gbPerSecond)).toFixed(2)} GB/s`
  },
}

const rateOf = (found: Found): number => (found.kind === 'load' ? found.load.perSecond : Number.NaN)

const spread = (values: readonly number[], digits: number): string =>
  `(${Math.min(...values).toFixed(digits)}..${Math.max(...values).toFixed(digits)})`

const lost = (found: readonly Found[]): string => {
  let failures = 0
  for (const each of found) {
    failures += each.kind === 'load' ? each.load.failures : each.kind === 'rate' ? each.rate.failures : each.large.failures
  }
  return failures > 0 ? `  FAILURES ${failures}` : ''
}
