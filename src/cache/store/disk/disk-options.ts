import type { Bytes, Clock, Counters } from '../../../base/index.ts'
import type { RemovalPolicy } from '../removal-policy.ts'
import type { StoreLimits } from '../store.ts'
import type { Ledger } from './ledger.ts'
import type { ReadCached } from './open-files.ts'
import type { OpenSignal } from './sharing.ts'

// What a disk store is told when it is opened, and what it counts.

export interface DiskLimits extends StoreLimits {
  readonly objectBytesMin: Bytes
  /** Shares of bytesMax: beyond `high` the background removes what was used longest ago, down to `low`. */
  readonly low: number
  readonly high: number
}

export interface DiskOptions {
  readonly folder: string
  readonly limits: DiskLimits
  readonly clock: Clock
  /** One line for the operator. */
  readonly notice: (text: string) => void
  /** lru unless said otherwise. */
  readonly policy?: RemovalPolicy
  /** How processes that share the folder tell each other; without it each look-up asks the index. */
  readonly openSignal?: OpenSignal
  /** Without it each read is a thread's. */
  readonly readCached?: ReadCached | null
}

/** How the ledger is opened, the first time and after it was set aside. Throws what keeps it from being one. */
export type OpenLedger = () => Ledger

export const diskCounters = {
  stored: { doc: 'responses written to disk' },
  replaced: { doc: 'stored responses whose fields a 304 or HEAD has updated' },
  removed: { doc: 'responses removed because the disk store was full', whenItGrows: 'cache_dir is small for the traffic' },
  variantsRemoved: { doc: 'variants removed because their key had too many' },
  invalidated: { doc: 'stored responses invalidated by unsafe requests or purges' },
  refused: { doc: 'responses that were storable and did not fit, or were too small or too large' },
  damaged: {
    doc: 'stored responses that were not what had been written, and were removed',
    whenItGrows: 'the disk changes what it is given: look at its health',
  },
  failed: { doc: 'errors of the disk', whenItGrows: 'it is full or broken; cache.log names the error' },
} as const

export type DiskCounters = Counters<typeof diskCounters>
