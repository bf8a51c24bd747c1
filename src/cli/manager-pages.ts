import type { Comm } from '../../comm/index.ts'
import type { WallMs } from '../base/index.ts'
import { type Collapse, collapseCounters, diskCounters, memoryCounters } from '../cache/index.ts'
import { countLog } from '../log/index.ts'
import { docs } from '../base/index.ts'
import {
  addNumbers, averagesPage, clientListPage, type ClientTable, counted, type CounterGroup, countersPage, type DiskSums, figuresPage, healthPage, type History, histogramsPage,
  infoPage, type Manager, type ManagerPassword, menuPage, type Page, roomCountersPage, serviceTimesPage, type Traffic, utilizationPage,
} from '../manager/index.ts'
import { CountHelper } from '../helper/index.ts'
import { CountBump, CountHttp, CountPlug, CountStack, CountTls } from '../proxy/index.ts'
import { CountIcp, type Peer } from '../peer/index.ts'
import { icpSums, peerFigures } from './peer-pages.ts'
import type { Stores } from './stores.ts'
import { version } from './version.ts'

// The pages that need several rooms at once. A page about one room is made there and registered where the room is opened.

export interface PageSources {
  readonly startedAt: WallMs
  readonly traffic: Traffic
  readonly history: History
  readonly clients: ClientTable
  readonly stores: Stores
  readonly comm: Comm
  readonly collapse: Collapse
  readonly passwords: () => readonly ManagerPassword[]
  readonly hostname: () => string
  readonly sessions: () => number
  readonly sessionsOf: (address: string) => number
  /** Why clients should not be sent here; '' = they may. */
  readonly unready: () => string
  readonly peers: () => readonly Peer[]
}

/** What the disk has done since the start. */
export const diskSums = (stores: Stores, traffic: Traffic): DiskSums => ({
  stored: stores.disk?.counters.stored ?? 0,
  read: traffic.diskHits,
  removed: stores.disk?.counters.removed ?? 0,
})

export const registerPages = (manager: Manager, sources: PageSources): void => {
  const { startedAt, history, traffic, clients, stores, comm } = sources
  const totals = () => counted(history, startedAt, icpSums())
  manager.register(menuPage(manager, sources.passwords))
  manager.register(
    infoPage({
      startedAt, history, version,
      gauges: () => ({
        hostname: sources.hostname(),
        engine: comm.engine,
        sessions: sources.sessions(),
        clients: clients.size,
        memory: tierOf(stores.memory),
        disk: stores.disk === null ? null : tierOf(stores.disk),
        descriptors: descriptorsOf(comm),
      }),
    }),
  )
  manager.register(countersPage(totals))
  manager.register(averagesPage('5min', history))
  manager.register(averagesPage('60min', history))
  manager.register(utilizationPage(history, totals))
  manager.register(serviceTimesPage(history))
  manager.register(histogramsPage(() => traffic.times))
  manager.register(clientListPage(clients, sources.sessionsOf))
  manager.register(roomCountersPage(() => counterGroups(sources)))
  manager.register(
    figuresPage({
      startedAt, history, traffic,
      rooms: () => counterGroups(sources),
      gauges: () => ({
        sessions: sources.sessions(),
        stores: { memory: tierOf(stores.memory), disk: stores.disk === null ? null : tierOf(stores.disk) },
        descriptors: descriptorsOf(comm),
        peers: peerFigures(sources.peers()),
      }),
    }),
  )
  manager.register(healthPage(sources.unready))
  manager.register(storeDirPage(stores))
}

const descriptorsOf = (comm: Comm) => {
  const table = comm.fdTable()
  const { fdMax: max, reserved } = comm.budget
  return { max, reserved, used: table.length, largest: table.reduce((largest, { fd }) => Math.max(largest, fd), 0) }
}

const tierOf = ({ bytes, bytesMax, count }: { readonly bytes: number; readonly bytesMax: number; readonly count: number }) => ({
  bytes, bytesMax, count,
})

const counterGroups = ({ stores, collapse, comm }: PageSources): readonly CounterGroup[] => [
  { room: 'http', counters: CountHttp, docs: CountHttp[docs] },
  { room: 'plug', counters: CountPlug, docs: CountPlug[docs] },
  { room: 'bump', counters: CountBump, docs: CountBump[docs] },
  { room: 'tls', counters: CountTls, docs: CountTls[docs] },
  { room: 'stack', counters: CountStack, docs: CountStack[docs] },
  { room: 'helper', counters: CountHelper, docs: CountHelper[docs] },
  { room: 'icp', counters: CountIcp, docs: CountIcp[docs] },
  { room: 'memory', counters: stores.memory.counters, docs: memoryCounters },
  ...(stores.disk === null ? [] : [{ room: 'disk', counters: stores.disk.counters, docs: diskCounters }]),
  { room: 'collapse', counters: collapse.counters, docs: collapseCounters },
  { room: 'comm', counters: comm.counters, docs: comm.counters[docs] },
  { room: 'log', counters: countLog, docs: countLog[docs] },
]

interface StoreDir {
  readonly name: string
  readonly bytes: number
  readonly bytesMax: number
  readonly count: number
}

/** Where responses are kept, and how full it is. */
const storeDirPage = (stores: Stores): Page<readonly StoreDir[]> => ({
  name: 'storedir',
  doc: 'Store Directory Stats',
  protection: 'public',
  effect: 'shows',
  answer: () => ({
    ok: true,
    value: [
      { name: stores.memory.name, ...tierOf(stores.memory) },
      ...(stores.disk?.dirs ?? []).map(dir => ({ name: dir.folder, ...tierOf(dir) })),
    ],
  }),
  text: storeDirText,
  // memory is each one's own; a folder is one for all, but for those with ${process_number} in their names
  together: all => {
    const dirs = new Map<string, StoreDir>()
    for (const dir of all.flat()) {
      const known = dirs.get(dir.name)
      dirs.set(dir.name, known === undefined || dir.name !== 'memory' ? dir : addNumbers(known, dir))
    }
    return [...dirs.values()]
  },
})

const storeDirText = (dirs: readonly StoreDir[]): string => {
  const below = dirs.filter(dir => dir.name !== 'memory')
  const sum = (of: (dir: StoreDir) => number): number => below.reduce((total, dir) => total + of(dir), 0)
  const kb = (size: number): string => (size / 1024).toFixed(2)
  const lines = [
    'Store Directory Statistics:',
    `Store Entries          : ${Math.max(...dirs.map(dir => dir.count))}`,
    `Maximum Swap Size      : ${Math.floor(sum(dir => dir.bytesMax) / 1024)} KB`,
    `Current Store Swap Size: ${kb(sum(dir => dir.bytes))} KB`,
    `Current Capacity       : ${percentOf(sum(dir => dir.bytes), sum(dir => dir.bytesMax))}% used, ${percentOf(sum(dir => dir.bytesMax - dir.bytes), sum(dir => dir.bytesMax))}% free`,
    '',
  ]
  for (const [i, dir] of dirs.entries()) {
    lines.push(
      `Store Directory #${i} (${dir.name})`,
      `Maximum Size: ${Math.floor(dir.bytesMax / 1024)} KB`,
      `Current Size: ${kb(dir.bytes)} KB`,
      `Percent Used: ${percentOf(dir.bytes, dir.bytesMax)}%`,
      `Entries: ${dir.count}`,
      '',
    )
  }
  return `${lines.join('\n')}\n`
}

const percentOf = (part: number, whole: number): string => (whole > 0 ? ((100 * part) / whole).toFixed(2) : '0.00')
