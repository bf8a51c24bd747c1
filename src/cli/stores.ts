import { bytes, type Clock } from '../base/index.ts'
import { type DiskLimits, type DiskStore, MemoryStore, openDisk, type Store, type StoreLimits, TieredStore, type TierRules } from '../cache/index.ts'
import type { CacheDir, Config } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'

// Where responses are kept, from the conf: memory, and under it the disk if a cache_dir is named. A disk that cannot be
// used costs its responses, not the start.

/** A cache_dir that must not be touched. */
export class CacheDirRefused extends Error {}

export interface Stores {
  readonly store: Store
  readonly memory: MemoryStore
  readonly disk: DiskStore | null
  reload(config: Config): void
  close(): Promise<void>
}

/** Throws CacheDirRefused. */
export const openStores = (config: Config, clock: Clock, log: DebugLog): Stores => {
  const memory = new MemoryStore(memoryLimits(config), config.memory_replacement_policy)
  const dir = config.cache_dir[0]
  const disk = dir === undefined ? null : diskOf(dir, config, clock, log)
  const tiers = disk === null ? null : new TieredStore(memory, disk, tierRules(config))
  return {
    store: tiers ?? memory,
    memory,
    disk,
    reload(next) {
      memory.resize(memoryLimits(next))
      memory.usePolicy(next.memory_replacement_policy)
      const later = next.cache_dir[0]
      if (later?.folder !== dir?.folder) {
        log.warning('disk', `cache_dir ${later?.folder ?? 'none'} counts after a restart; until then it is ${dir?.folder ?? 'none'}`)
      } else if (tiers !== null && later !== undefined) {
        tiers.disk.resize(diskLimits(later, next))
        tiers.rules = tierRules(next)
      }
    },
    close: async () => disk?.close(),
  }
}

const diskOf = (dir: CacheDir, config: Config, clock: Clock, log: DebugLog): DiskStore | null => {
  const opened = openDisk({
    folder: dir.folder,
    limits: diskLimits(dir, config),
    policy: config.cache_replacement_policy,
    clock,
    notice: text => log.limited(`store ${dir.folder}`, 'disk', 1, `WARNING: ${text}`),
  })
  if (opened.ok) {
    const { count, bytes: taken, bytesMax } = opened.store
    log.write('disk', 1, `cache_dir ${dir.folder}: ${count} stored responses, ${inMb(taken)} of ${inMb(bytesMax)} MB`)
    return opened.store
  }
  if (opened.reason === 'foreign') throw new CacheDirRefused(`cache_dir: ${opened.message}`)
  log.error('disk', `cache_dir ${opened.message}; responses are kept in memory only`)
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
