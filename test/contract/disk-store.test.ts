import { closeDisks, newDisk } from '../cache/disk-kit.ts'
import { storeContract } from './store.ts'

// The disk store keeps the contract of all stores. Nothing is removed before it must be (low and high are 1), so that
// what the tests see does not depend on when the background has its turn.

storeContract({
  name: 'disk',
  make: limits => newDisk({ limits }),
  room: (objects, size) => objects * (size + 700) + 60_000,
  end: closeDisks,
})
