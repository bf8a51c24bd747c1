import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { binSeconds, durationBins, type Figures, kindNames, type TimesValue } from '../manager/index.ts'

// The figures as Prometheus reads them. The package keeps no numbers of ours: it is given those of one snapshot and
// writes them down, so that nothing is counted twice and a request pays for none of this.
//
// Names: glassquid_, base units, few labels. With `compat` the names of Debian's prometheus-squid-exporter as well, for
// dashboards that know those.

/** A Content-Type and the text under it. */
export interface Metrics {
  readonly type: string
  readonly text: string
}

export const metricsOf = async (figures: Figures, compat: boolean): Promise<Metrics> => {
  const registry = new Registry()
  traffic(registry, figures)
  state(registry, figures)
  peers(registry, figures)
  durations(registry, figures.times)
  for (const { room, name, value, doc } of figures.rooms) {
    const metric = `glassquid_${room}_${snake(name)}_total`
    // what a room counts may be one of the figures above already
    if (registry.getSingleMetric(metric) === undefined) counter(registry, metric, doc, value)
  }
  if (compat) squidNames(registry, figures)
  return { type: registry.contentType, text: await registry.metrics() }
}

const counter = (registry: Registry, name: string, help: string, value: number): void => {
  new Counter({ name, help, registers: [registry] }).inc(value)
}

const labelled = (registry: Registry, name: string, help: string, label: string, values: Readonly<Record<string, number>>): void => {
  const metric = new Counter({ name, help, labelNames: [label], registers: [registry] })
  for (const [text, value] of Object.entries(values)) metric.inc({ [label]: text }, value)
}

const gauge = (registry: Registry, name: string, help: string, value: number): void => {
  new Gauge({ name, help, registers: [registry] }).set(value)
}

const snake = (name: string): string => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

const traffic = (registry: Registry, { sums, results, statuses, disk }: Figures): void => {
  labelled(registry, 'glassquid_requests_total', 'requests of clients, by result code', 'result', results)
  labelled(registry, 'glassquid_responses_total', 'answers to clients, by the first digit of their status; 0 = none could be given', 'class', statuses)
  counter(registry, 'glassquid_hits_total', 'requests answered from what was stored', sums.hits)
  counter(registry, 'glassquid_errors_total', 'requests that ended in an error', sums.errors)
  counter(registry, 'glassquid_aborted_requests_total', 'requests whose client went away', sums.aborted)
  counter(registry, 'glassquid_client_received_bytes_total', 'bytes of requests', sums.bytesIn)
  counter(registry, 'glassquid_client_sent_bytes_total', 'bytes of responses', sums.bytesOut)
  counter(registry, 'glassquid_client_sent_hit_bytes_total', 'of them, from what was stored', sums.hitBytesOut)
  counter(registry, 'glassquid_server_requests_total', 'requests to servers', sums.serverRequests)
  counter(registry, 'glassquid_server_errors_total', 'of them, without an answer', sums.serverErrors)
  counter(registry, 'glassquid_server_received_bytes_total', 'bytes of content from servers', sums.serverBytesIn)
  counter(registry, 'glassquid_server_sent_bytes_total', 'bytes of content to servers', sums.serverBytesOut)
  counter(registry, 'glassquid_disk_stored_total', 'responses written to disk', disk.stored)
  counter(registry, 'glassquid_disk_removed_total', 'responses removed from disk for room', disk.removed)
}

const state = (registry: Registry, { startedAt, cpuSeconds, residentBytes, sessions, stores, descriptors }: Figures): void => {
  gauge(registry, 'glassquid_sessions', 'client connections that are open', sessions)
  const tiers = { memory: stores.memory, ...(stores.disk === null ? {} : { disk: stores.disk }) }
  const of = (name: string, help: string, value: (tier: Figures['stores']['memory']) => number): void => {
    const metric = new Gauge({ name, help, labelNames: ['tier'], registers: [registry] })
    for (const [tier, figures] of Object.entries(tiers)) metric.set({ tier }, value(figures))
  }
  of('glassquid_store_bytes', 'bytes of stored responses', tier => tier.bytes)
  of('glassquid_store_bytes_max', 'how many there may be', tier => tier.bytesMax)
  of('glassquid_store_responses', 'stored responses', tier => tier.count)
  counter(registry, 'process_cpu_seconds_total', 'CPU time', cpuSeconds)
  gauge(registry, 'process_resident_memory_bytes', 'resident memory', residentBytes)
  gauge(registry, 'process_start_time_seconds', 'when it was started', startedAt / 1000)
  gauge(registry, 'process_open_fds', 'descriptors in use', descriptors.used)
  gauge(registry, 'process_max_fds', 'descriptors there may be', descriptors.max)
}

const peers = (registry: Registry, { peers: all }: Figures): void => {
  if (all.length === 0) return
  const of = (name: string, help: string, value: (peer: Figures['peers'][number]) => number): void => {
    const options = { name: `glassquid_peer_${name}`, help, labelNames: ['peer', 'kind'], registers: [registry] }
    const metric = name.endsWith('_total') ? new Counter(options) : new Gauge(options)
    for (const peer of all) metric.inc({ peer: peer.name, kind: peer.kind }, value(peer))
  }
  of('up', '1 = requests may go to the cache_peer', peer => peer.up)
  of('fetches_total', 'requests sent to it', peer => peer.fetches)
  of('connections', 'connections to it, open and being opened', peer => peer.connections)
  of('icp_queries_total', 'ICP queries sent to it', peer => peer.queries)
  of('icp_replies_total', 'answers to them', peer => peer.replies)
  of('icp_hits_total', 'of them, that it had the response', peer => peer.hits)
  of('icp_rtt_seconds', 'how long an answer takes on average', peer => peer.rttMs / 1000)
}

/** Each a power of two of microseconds, and so the edge of a bin: from an eighth of a millisecond to a minute. */
const edges = Array.from({ length: 20 }, (_, i) => 2 ** (7 + i) / 1e6)

/** One that was observed elsewhere. */
class GivenHistogram extends Histogram<'kind'> {
  readonly #name: string
  readonly #help: string
  readonly #times: TimesValue

  constructor(registry: Registry, name: string, help: string, times: TimesValue) {
    super({ name, help, labelNames: ['kind'], buckets: edges, registers: [registry] })
    this.#name = name
    this.#help = help
    this.#times = times
  }

  /** Not in the package's types, and what its registry asks histograms for (15.1.3, lib/registry.js). */
  async getForPromString() {
    const values = kindNames.flatMap(kind => seriesOf(this.#name, kind, this.#times[kind]))
    return { name: this.#name, help: this.#help, type: 'histogram', values }
  }
}

const seriesOf = (name: string, kind: string, { seconds, bins }: TimesValue['all']) => {
  const row = (suffix: string, value: number, le?: number | string) => ({
    metricName: `${name}_${suffix}`,
    value,
    labels: le === undefined ? { kind } : { kind, le },
  })
  const within = (edge: number): number => bins.reduce((sum, [bin, count]) => (upperSeconds(bin) <= edge ? sum + count : sum), 0)
  const total = within(Number.POSITIVE_INFINITY)
  return [...edges.map(edge => row('bucket', within(edge), edge)), row('bucket', total, '+Inf'), row('sum', seconds), row('count', total)]
}

const upperSeconds = (bin: number): number => (bin + 1 < durationBins ? binSeconds(bin + 1) : binSeconds(bin))

const durations = (registry: Registry, times: TimesValue): void => {
  new GivenHistogram(registry, 'glassquid_duration_seconds', 'how long requests took, by what became of them; dns: how long they waited for names', times)
}

/** As prometheus-squid-exporter 1.10 calls them. */
const squidNames = (registry: Registry, { sums, disk }: Figures): void => {
  const kb = (bytes: number): number => Math.floor(bytes / 1024)
  const add = (name: string, value: number): void => counter(registry, `squid_${name}`, 'as prometheus-squid-exporter has it', value)
  gauge(registry, 'squid_up', 'as prometheus-squid-exporter has it', 1)
  add('client_http_requests_total', sums.requests)
  add('client_http_hits_total', sums.hits)
  add('client_http_errors_total', sums.errors)
  add('client_http_kbytes_in_kbytes_total', kb(sums.bytesIn))
  add('client_http_kbytes_out_kbytes_total', kb(sums.bytesOut))
  add('client_http_hit_kbytes_out_bytes_total', kb(sums.hitBytesOut))
  for (const kind of ['all', 'http', 'ftp', 'other']) {
    const here = kind === 'all' || kind === 'http' ? 1 : 0
    add(`server_${kind}_requests_total`, here * sums.serverRequests)
    add(`server_${kind}_errors_total`, here * sums.serverErrors)
    add(`server_${kind}_kbytes_in_kbytes_total`, here * kb(sums.serverBytesIn))
    add(`server_${kind}_kbytes_out_kbytes_total`, here * kb(sums.serverBytesOut))
  }
  add('swap_outs_total', disk.stored)
  add('swap_ins_total', disk.read)
  add('swap_files_cleaned_total', 0)
}
