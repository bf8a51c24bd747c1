import { Disks } from '../../src/cache/index.ts'
import { closeDisks, newDisk } from '../cache/disk-kit.ts'
import { storeContract } from './store.ts'

// Folders side by side keep the contract of all stores. One folder, since the order of use is each folder's own; what
// several do is in test/cache/disks.test.ts.

storeContract({
  name: 'disks',
  make: limits => new Disks([newDisk({ limits })]),
  room: (objects, size) => objects * (size + 700) + 60_000,
  end: closeDisks,
})
