import type { Connection, ConnectionReader } from '../../../comm/index.ts'
import { type Clock, ms, type Timer } from '../../base/index.ts'
import { type Detector, peekBytesMax } from './detector.ts'

// Reads from a client until one of the detectors knows what it speaks, and gives back what it has read.
//
//   bytes ──► first detector: match ──► that one      no ──► the next      undecided ──► more bytes
//             none left, time over, FIN, too many bytes ──► none

/** Each look begins anew: a client that sends byte by byte shall not cost us the square of what it sends. */
const looksMax = 1024

/** The number of the first detector that matches; -1 = none does. What was read is with the connection again. */
export const detect = (connection: Connection, detectors: readonly Detector[], clock: Clock): Promise<number> =>
  new Promise(resolve => {
    connection.setReader(new Detection(connection, detectors, clock, resolve))
  })

class Detection implements ConnectionReader {
  readonly #connection: Connection
  readonly #detectors: readonly Detector[]
  readonly #resolve: (found: number) => void
  readonly #timer: Timer
  #bytes: Buffer = Buffer.alloc(0)
  /** The first one that has not said no. */
  #at = 0
  #looks = 0
  #over = false

  constructor(connection: Connection, detectors: readonly Detector[], clock: Clock, resolve: (found: number) => void) {
    this.#connection = connection
    this.#detectors = detectors
    this.#resolve = resolve
    const timeout = ms(Math.max(0, ...detectors.map(({ timeoutMs }) => timeoutMs)))
    this.#timer = clock.after(timeout, () => this.#found(-1), { unref: true })
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    this.#bytes = Buffer.concat([this.#bytes, slab.subarray(start, end)])
    for (; this.#at < this.#detectors.length; this.#at++) {
      const finding = this.#detectors[this.#at]?.look(this.#bytes)
      if (finding === 'match') return this.#found(this.#at)
      if (finding === 'undecided' && this.#bytes.length < peekBytesMax && ++this.#looks < looksMax) return
    }
    this.#found(-1)
  }

  onEnd(): void {
    this.#found(-1)
  }

  onDrain(): void {}

  /** The dispatcher's limit for all who wait. */
  onTimeout(connection: Connection): void {
    connection.close('timeout')
  }

  onClose(): void {
    this.#found(-1)
  }

  #found(which: number): void {
    if (this.#over) return
    this.#over = true
    this.#timer.cancel()
    this.#connection.giveBack(this.#bytes)
    this.#resolve(which)
  }
}
