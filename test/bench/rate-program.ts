import { COMM_NONBLOCKING, type Connection, type ConnectionReader, createComm } from '../../comm/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'
import type { Percentiles, Rate, RateMeasured } from './rate.ts'

// An open loop: request n is due at n / rate, whatever became of those before it. When all connections are busy it waits
// in line, and its waiting counts: latency is from due to the last byte of the answer. A closed loop (wrk) asks less
// while the subject is slow, and so leaves out the very requests that would have waited (coordinated omission).
//
// The program never sleeps: it looks at the clock in every turn of the event loop, so a request is written within a turn
// of being due. How late it is itself is measured as well (`ownDelay`): what waited while a connection was free.

const what = JSON.parse(process.argv[2] ?? '{}') as Rate // run.ts wrote it
const request = Buffer.from(`GET ${what.path} HTTP/1.1\r\nHost: ${what.host}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n`)
const total = Math.floor(what.perSecond * what.seconds)
/** The first of them warm up what is cold and are not counted. */
const uncounted = Math.floor(total / 5)
const everyMs = 1000 / what.perSecond

const due = new Float64Array(total)
const sent = new Float64Array(total)
const own = new Float64Array(total)
let answered = 0
let failures = 0
let next = 0
let startMs = 0
let freeSince = 0

const comm = createComm({ clock: systemClock, engine: 'native' })
const free: Wire[] = []

/** One connection and the answer it is reading. */
class Wire implements ConnectionReader {
  readonly connection: Connection
  #number = -1
  #wroteMs = 0
  /** Bytes of the answer still to come; -1 = its head is not here yet. */
  #left = -1
  #head = ''

  constructor(connection: Connection) {
    this.connection = connection
    connection.setReader(this)
  }

  ask(number: number, now: number): void {
    this.#number = number
    this.#wroteMs = now
    this.#left = -1
    own[number] = now - Math.max(startMs + number * everyMs, freeSince)
    this.connection.write(request)
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    if (this.#left < 0) start = this.#readHead(slab, start, end)
    if (this.#left < 0) return
    this.#left -= end - start
    if (this.#left > 0) return
    const now = performance.now()
    due[this.#number] = now - (startMs + this.#number * everyMs)
    sent[this.#number] = now - this.#wroteMs
    answered++
    if (free.length === 0) freeSince = now
    free.push(this)
  }

  #readHead(slab: Buffer, start: number, end: number): number {
    const text = this.#head + slab.toString('latin1', start, end)
    const close = text.indexOf('\r\n\r\n')
    if (close < 0) {
      this.#head = text
      return end
    }
    const at = text.indexOf('ength: ') + 7
    this.#left = Number.parseInt(text.slice(at, at + 9), 10)
    if (!text.startsWith('HTTP/1.1 200')) failures++
    const bytes = start + close + 4 - this.#head.length
    this.#head = ''
    return bytes
  }

  onEnd(): void {
    this.connection.close()
  }

  onDrain(): void {}

  onTimeout(): void {}

  onClose(): void {
    failures++
  }
}

const percentiles = (values: Float64Array): Percentiles => {
  const sorted = values.slice(uncounted).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}

const turn = (): void => {
  const now = performance.now()
  while (next < total && free.length > 0 && startMs + next * everyMs <= now) free.pop()?.ask(next++, now)
  const late = now - startMs > what.seconds * 1000 + 10_000
  if (answered < total && !late) setImmediate(turn)
  else report(now)
}

const report = (now: number): void => {
  const found: RateMeasured = {
    perSecond: answered / ((now - startMs) / 1000),
    due: percentiles(due),
    sent: percentiles(sent),
    ownDelayP99: percentiles(own).p99,
    failures: failures + (total - answered),
  }
  console.log(JSON.stringify(found))
  process.exit(0)
}

const options = { target: endpoint(what.host, 80), flags: COMM_NONBLOCKING, note: 'bench' }
const wires = await Promise.all(
  Array.from({ length: what.connections }, async () => new Wire(await comm.connect(options, 10_000))),
)
free.push(...wires)
startMs = performance.now() + 50
freeSince = startMs
setImmediate(turn)
