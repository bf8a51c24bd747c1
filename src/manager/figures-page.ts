import { assert, type ResultCode, type WallMs, wallMs } from '../base/index.ts'
import type { CounterGroup } from './counters-pages.ts'
import { ServiceTimes, type TimesValue } from './durations.ts'
import type { DiskSums, History } from './history.ts'
import type { Page } from './page.ts'
import { addNumbers } from './together.ts'
import type { Traffic, TrafficSums } from './traffic.ts'

// Every number there is, in one snapshot: what metrics are made of. Counters only grow until the proxy starts anew.

interface Tier {
  readonly bytes: number
  readonly bytesMax: number
  readonly count: number
}

interface Figure {
  readonly room: string
  readonly name: string
  readonly value: number
  readonly doc: string
}

interface PeerFigure {
  readonly name: string
  readonly kind: string
  /** 1 = up. */
  readonly up: number
  readonly fetches: number
  readonly connections: number
  /** ICP. */
  readonly queries: number
  readonly replies: number
  readonly hits: number
  readonly rttMs: number
}

export interface Figures {
  readonly startedAt: WallMs
  readonly sums: TrafficSums
  readonly results: Readonly<Partial<Record<ResultCode, number>>>
  /** By first digit; '0' = nothing could be answered. */
  readonly statuses: Readonly<Record<string, number>>
  readonly times: TimesValue
  readonly disk: DiskSums
  readonly cpuSeconds: number
  readonly residentBytes: number
  readonly sessions: number
  readonly stores: { readonly memory: Tier; readonly disk: Tier | null }
  readonly descriptors: { readonly max: number; readonly used: number }
  /** Each cache_peer. */
  readonly peers: readonly PeerFigure[]
  readonly rooms: readonly Figure[]
  /** Workers that have not answered: what they have counted is missing in the sums. */
  readonly silent: readonly number[]
}

export interface FiguresSource {
  readonly startedAt: WallMs
  readonly history: History
  readonly traffic: Traffic
  readonly rooms: () => readonly CounterGroup[]
  readonly gauges: () => Pick<Figures, 'sessions' | 'stores' | 'descriptors' | 'peers'>
}

export const figuresPage = ({ startedAt, history, traffic, rooms, gauges }: FiguresSource): Page<Figures> => ({
  name: 'figures',
  doc: 'Every counter, for programs',
  protection: 'public',
  effect: 'shows',
  answer() {
    const { sums, times, disk, cpuSeconds } = history.now()
    return {
      ok: true,
      value: {
        startedAt, sums, disk, cpuSeconds,
        results: traffic.results(),
        statuses: traffic.statuses(),
        times: times.value(),
        residentBytes: process.memoryUsage.rss(),
        rooms: rooms().flatMap(({ room, counters, docs }) =>
          Object.entries(docs).map(([name, { doc }]) => ({ room, name, doc, value: counters[name] ?? 0 })),
        ),
        ...gauges(),
        silent: [],
      },
    }
  },
  together(all, silent) {
    const [first, ...others] = all
    assert(first !== undefined, 'no worker, no page')
    return { ...others.reduce(addFigures, first), silent }
  },
  leaves: figures => ({
    ...figures,
    residentBytes: 0,
    sessions: 0,
    stores: { memory: { bytes: 0, bytesMax: 0, count: 0 }, disk: null },
    descriptors: { max: 0, used: 0 },
    // what is counted of them; of their state the living know
    peers: figures.peers.map(peer => ({ ...peer, up: 1, connections: 0, rttMs: 0 })),
  }),
  text: figures => `${JSON.stringify(figures, null, 1)}\n`,
})

/** The disk is one for all, memory is each one's own. */
const addFigures = (a: Figures, b: Figures): Figures => ({
  silent: a.silent,
  startedAt: wallMs(Math.min(a.startedAt, b.startedAt)),
  sums: addNumbers(a.sums, b.sums),
  results: addNumbers({ ...b.results, ...zeroes(b.results), ...a.results }, b.results),
  statuses: addNumbers(a.statuses, b.statuses),
  times: ServiceTimes.of(a.times, b.times).value(),
  disk: addNumbers(a.disk, b.disk),
  cpuSeconds: a.cpuSeconds + b.cpuSeconds,
  residentBytes: a.residentBytes + b.residentBytes,
  sessions: a.sessions + b.sessions,
  stores: { memory: addNumbers(a.stores.memory, b.stores.memory), disk: a.stores.disk ?? b.stores.disk },
  descriptors: addNumbers(a.descriptors, b.descriptors),
  peers: a.peers.map(peer => {
    const other = b.peers.find(({ name }) => name === peer.name)
    return other === undefined ? peer : { ...addNumbers(peer, other), up: Math.min(peer.up, other.up), rttMs: Math.max(peer.rttMs, other.rttMs) }
  }),
  rooms: a.rooms.map(figure => {
    const other = b.rooms.find(({ room, name }) => room === figure.room && name === figure.name)
    return { ...figure, value: figure.value + (other?.value ?? 0) }
  }),
})

const zeroes = (of: object): object => Object.fromEntries(Object.keys(of).map(name => [name, 0]))

export interface Health {
  readonly ready: boolean
  /** '' when it is. */
  readonly why: string
}

/** Whether clients should be sent here. */
export const healthPage = (why: () => string): Page<Health> => ({
  name: 'health',
  doc: 'Whether clients are served',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: { ready: why() === '', why: why() } }),
  // as long as one serves, clients are served
  together: all => all.find(({ ready }) => ready) ?? all[0] ?? { ready: false, why: 'no worker answers' },
  text: ({ ready, why }) => `${ready ? 'ready' : `not ready: ${why}`}\n`,
})
