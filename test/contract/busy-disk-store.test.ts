import { DiskStore } from '../../src/cache/store/disk/disk-store.ts'
import { closeDisks, newBusyDisk } from '../cache/disk-kit.ts'
import { storeContract } from './store.ts'

// The disk store keeps the contract while somebody else has its index most of the time: what can wait waits, and nobody
// can tell but by the time it takes.

storeContract({
  name: 'disk with a busy index',
  make: limits => newBusyDisk(limits),
  room: (objects, size) => objects * (size + 700) + 40_000,
  settled: async store => {
    if (store instanceof DiskStore) await store.settled()
  },
  end: closeDisks,
})
