import { bytes } from '../../src/base/index.ts'
import { MemoryStore, TieredStore } from '../../src/cache/index.ts'
import { closeDisks, newDisk } from '../cache/disk-kit.ts'
import { storeContract } from './store.ts'

// Memory over disk keeps the contract of all stores, with a memory that holds little of what the disk does: so most of
// the contract's tests pass through both.

const memoryBytes = bytes(48 * 1024)

storeContract({
  name: 'tiers',
  make: limits =>
    new TieredStore(
      new MemoryStore({ ...limits, bytesMax: bytes(Math.min(memoryBytes, limits.bytesMax)) }),
      newDisk({ limits: { ...limits, bytesMax: bytes(Math.max(0, limits.bytesMax - memoryBytes)) } }),
    ),
  room: (objects, size) => objects * (size + 700) + 60_000 + memoryBytes,
  countsLess: true,
  settled: async store => {
    if (store instanceof TieredStore) await store.disk.settled()
  },
  end: closeDisks,
})
