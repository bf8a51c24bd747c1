import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytes, ms, sleep, systemClock } from '../../src/base/index.ts'
import { Ledger, type Patience } from '../../src/cache/store/disk/ledger.ts'
import { openDisk } from '../../src/cache/store/disk/open-disk.ts'
import { fieldsOf, storedOf } from '../cache/kit.ts'

// How long a full disk store holds up the event loop: bin/nodex test/bench/removal-steps.ts. Without clients, rules or a
// second core: the store alone takes in responses of 15 KB, lets as many go, and each change of its index is timed.

const bytesMax = bytes(100e6)
const contentLength = 15_000
const perTurn = 10
const pauseMs = 15
const seconds = 10

const times: number[] = []
const { write } = Ledger.prototype
Ledger.prototype.write = function <T>(this: Ledger, patience: Patience, work: () => T): T {
  const from = performance.now()
  try {
    return write.call(this, patience, work) as T
  } finally {
    times.push(performance.now() - from)
  }
}

const folder = mkdtempSync(join(tmpdir(), 'glassquid-removal-'))
try {
  const limits = { bytesMax, objectBytesMax: bytes(1e6), objectBytesMin: bytes(0), variantsMax: 4, low: 0.9, high: 0.95 }
  const opened = openDisk({ folder, limits, clock: systemClock, notice: text => console.error(text) })
  if (!opened.ok) throw new Error(opened.message)
  const { store } = opened
  let named = 0
  let asked = 0
  let refused = 0
  const put = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      asked++
      const uri = `http://a.example/${named++}`
      const made = store.open(storedOf({ uri, response: ['Cache-Control: max-age=1000'], contentLength }), fieldsOf())
      if (!made.ok || !made.writer.append(Buffer.alloc(contentLength, asked)) || made.writer.complete() === null) refused++
    }
    await sleep(systemClock, ms(pauseMs))
  }
  while (store.counters.removed === 0) await put(perTurn)
  times.length = 0
  asked = 0
  refused = 0
  const before = store.counters.removed
  const until = performance.now() + seconds * 1000
  while (performance.now() < until) await put(perTurn)
  times.sort((a, b) => a - b)
  const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(2)
  console.log(`${asked} responses in ${seconds} s, ${refused} refused, ${store.counters.removed - before} removed`)
  console.log(`${times.length} changes, ms: p50 ${at(0.5)}  p99 ${at(0.99)}  p99.9 ${at(0.999)}  most ${(times.at(-1) ?? 0).toFixed(2)}`)
  await store.close()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
