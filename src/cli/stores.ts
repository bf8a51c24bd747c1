import { type Addon, lend, native } from '../../native/index.ts'
import { bytes, type Clock } from '../base/index.ts'
import {
  type CacheKey, type DiskLimits, Disks, type DiskStore, MemoryStore, openDisk, type SharedChanges, SharedMemory, type Store, type StoreLimits, TieredStore, type TierRules,
} from '../cache/index.ts'
import type { CacheDir, Config } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'
import { openChangeSignal } from './change-signal.ts'
import type { StoreLogs } from './store-log.ts'

// Where responses are kept, from the conf: memory, and under it the disk if a cache_dir is named. A folder that cannot be
// used costs its responses, not the start, and is tried again at the next reload.

/** A cache_dir that must not be touched. */
export class CacheDirRefused extends Error {}

export interface Stores {
  /** Another one after a reload that names the first cache_dir. */
  readonly store: Store
  readonly memory: MemoryStore
  readonly disk: Disks | null
  /** Told when what is on its way is older than a change in another process that has the same cache_dir; null: all is. */
  outdated: (key: CacheKey | null) => void
  reload(config: Config): void
  close(): Promise<void>
}

/** `changes`: other workers' memory, where there are some. Throws CacheDirRefused. */
export const openStores = (config: Config, clock: Clock, log: DebugLog, changes: SharedChanges | null = null, storeLogs: StoreLogs | null = null): Stores =>
  new OpenStores(config, clock, log, changes, storeLogs)

class OpenStores implements Stores {
  readonly memory: MemoryStore
  outdated: (key: CacheKey | null) => void = () => {}
  #tiers: TieredStore<Disks> | null = null
  /** Of one of several workers: what it has in memory is all there is, as long as no cache_dir is named. */
  readonly #shared: SharedMemory | null
  readonly #clock: Clock
  readonly #log: DebugLog
  readonly #storeLogs: StoreLogs | null
  /** By folder, as the conf names it. */
  #open = new Map<string, DiskStore>()
  /** Of folders the conf does not name any more. */
  readonly #closing = new Map<string, Promise<void>>()

  constructor(config: Config, clock: Clock, log: DebugLog, changes: SharedChanges | null, storeLogs: StoreLogs | null) {
    this.#clock = clock
    this.#log = log
    this.#storeLogs = storeLogs
    this.memory = new MemoryStore(memoryLimits(config), config.memory_replacement_policy)
    this.#shared = changes === null ? null : new SharedMemory(this.memory, changes)
    if (this.#shared !== null) this.#shared.outdated = key => this.outdated(key)
    try {
      this.#useDirs(config, dir => this.#opened(dir, config))
    } catch (error) {
      void this.close()
      throw error
    }
  }

  get store(): Store {
    return this.#tiers ?? this.#shared ?? this.memory
  }

  get disk(): Disks | null {
    return this.#tiers?.disk ?? null
  }

  reload(config: Config): void {
    this.memory.resize(memoryLimits(config))
    this.memory.usePolicy(config.memory_replacement_policy)
    this.#useDirs(config, dir => {
      try {
        return this.#opened(dir, config)
      } catch (error) {
        if (!(error instanceof CacheDirRefused)) throw error
        this.#log.error('disk', `${error.message}; it is not used`)
        return null
      }
    })
  }

  async close(): Promise<void> {
    await Promise.all([...[...this.#open.values()].map(store => store.close()), ...this.#closing.values()])
  }

  #useDirs(config: Config, open: (dir: CacheDir) => DiskStore | null): void {
    const former = this.#open
    this.#open = new Map()
    for (const dir of config.cache_dir) {
      if (this.#open.has(dir.folder)) continue // named twice; lint says so
      const known = former.get(dir.folder)
      known?.resize(diskLimits(dir, config))
      const store = known ?? open(dir)
      if (store !== null) this.#open.set(dir.folder, store)
    }
    const dirs = [...this.#open.values()]
    if (this.#tiers !== null) {
      this.#tiers.disk.use(dirs)
      this.#tiers.disk.choice = config.store_dir_select_algorithm
      this.#tiers.rules = tierRules(config)
    } else if (dirs.length > 0) {
      this.#tiers = new TieredStore(this.memory, new Disks(dirs, config.store_dir_select_algorithm), tierRules(config))
      this.#tiers.outdated = key => this.outdated(key)
    }
    for (const [folder, store] of former) if (!this.#open.has(folder)) this.#letGo(folder, store)
    this.#tellLog(dirs)
  }

  /** Memory lets go what the disk may still have. */
  #tellLog(dirs: readonly DiskStore[]): void {
    const logs = this.#storeLogs?.on === true ? this.#storeLogs : null
    for (const [i, dir] of dirs.entries()) dir.events = logs?.of(i) ?? null
    if (logs === null) {
      this.memory.events = null
      return
    }
    const { released } = logs.of(-1)
    this.memory.events = { released: stored => (this.disk?.has(stored.key) === true ? undefined : released(stored, -1)) }
  }

  #letGo(folder: string, store: DiskStore): void {
    this.#log.write('disk', 1, `cache_dir ${folder} is not used any more; what is there stays`)
    this.#closing.set(folder, store.close().then(() => void this.#closing.delete(folder)))
  }

  #opened(dir: CacheDir, config: Config): DiskStore | null {
    if (this.#closing.has(dir.folder)) {
      this.#log.error('disk', `cache_dir ${dir.folder} is just being closed; it is used from the next reload on`)
      return null
    }
    return diskOf(dir, config, this.#clock, this.#log)
  }
}

const lenderOf = (addon: Addon) => (size: number): Buffer | null => lend(addon, size)
/** For content that is hit again and again. */
export const lender = native.present ? lenderOf(native.addon) : null

const readCached = native.present ? native.addon.readCached : null

const diskOf = (dir: CacheDir, config: Config, clock: Clock, log: DebugLog): DiskStore | null => {
  const opened = openDisk({
    folder: dir.folder,
    limits: diskLimits(dir, config),
    policy: config.cache_replacement_policy,
    openSignal: openChangeSignal,
    readCached,
    clock,
    notice: text => log.limited(`store ${dir.folder}`, 'disk', 1, `WARNING: ${text}`),
  })
  if (opened.ok) {
    const { count, bytes: taken, bytesMax } = opened.store
    log.write('disk', 1, `cache_dir ${dir.folder}: ${count} stored responses, ${inMb(taken)} of ${inMb(bytesMax)} MB`)
    return opened.store
  }
  if (opened.reason === 'foreign') throw new CacheDirRefused(`cache_dir: ${opened.message}`)
  log.error('disk', `cache_dir ${opened.message}; it is not used`)
  return null
}

const inMb = (size: number): number => Math.round(size / 1024 / 1024)

/** Variants of one URI; what varies more is not worth keeping (Vary: User-Agent). */
const variantsMax = 32

const memoryLimits = (config: Config): StoreLimits => ({
  bytesMax: config.cache_mem,
  objectBytesMax: config.maximum_object_size_in_memory,
  variantsMax,
})

const diskLimits = (dir: CacheDir, config: Config): DiskLimits => ({
  bytesMax: dir.bytesMax,
  objectBytesMax: dir.readOnly ? bytes(-1) : (dir.objectBytesMax ?? config.maximum_object_size),
  objectBytesMin: bytes(Math.max(dir.objectBytesMin, config.minimum_object_size)),
  variantsMax,
  low: Math.min(config.cache_swap_low, config.cache_swap_high) / 100,
  high: config.cache_swap_high / 100,
})

const tierRules = (config: Config): TierRules => ({
  fetched: config.memory_cache_mode === 'always' || config.memory_cache_mode === 'network',
  risen: config.memory_cache_mode === 'always' || config.memory_cache_mode === 'disk',
})

/** Where something is stored under the key. */
export const tiersWith = ({ memory, disk }: Stores, key: CacheKey): readonly string[] => [
  ...(memory.peek(key) === null ? [] : ['memory']),
  ...(disk?.has(key) === true ? ['disk'] : []),
]
