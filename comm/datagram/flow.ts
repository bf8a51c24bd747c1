import { type Endpoint, type MonoMs, ms, type Watched } from '../../src/base/index.ts'
import { direct, type OriginalDestination } from '../nat-lookup/index.ts'
import { DatagramConnection } from './connection.ts'
import type { FlowReceiver } from './flow-receiver.ts'
import type { FlowTimes } from './receive-options.ts'

// One client's datagrams to one destination: the client side of a UDP session. It has no descriptor of its own; its
// receiver reads and sends for it. It ends when it has been quiet for too long, or when its owner closes it.

export class Flow extends DatagramConnection implements Watched {
  readonly fd = -1
  readonly local: Endpoint
  readonly original: OriginalDestination
  readonly receiver: FlowReceiver
  /** In the receiver's tables. */
  readonly row: number
  readonly clientRow: number
  readonly times: FlowTimes
  /** Of its quiet time; the reader's own is apart. */
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  /** Links of the receiver's list of flows without an answer. */
  before: Flow | null = null
  behind: Flow | null = null
  listed = false
  /** Index of the interface its first datagram came in by; 0 = not told. */
  incoming = 0
  questions = 0
  answers = 0
  /** When a datagram last went either way. */
  movedAt: MonoMs
  /** The socket answers leave from, where the receiver's own does not do (see native-receiver.ts). */
  way: unknown = null

  constructor(
    receiver: FlowReceiver,
    client: Endpoint,
    destination: Endpoint,
    taken: boolean,
    row: number,
    clientRow: number,
    times: FlowTimes,
  ) {
    super(receiver.carrier, receiver.held, client, receiver.options.note)
    this.receiver = receiver
    this.local = destination
    this.original = taken ? { kind: 'tproxy', destination } : direct
    this.row = row
    this.clientRow = clientRow
    this.times = times
    this.movedAt = this.openedAt
    receiver.carrier.host.deadlines.set(this, ms(times.unansweredMs))
  }

  /** A datagram of the client. */
  arrived(slab: Buffer, start: number, end: number): void {
    this.questions++
    this.movedAt = this.carrier.now()
    this.received(slab, start, end)
  }

  protected send(a: Buffer | string, b: Buffer | string | null, c: Buffer | string | null): void {
    const now = this.carrier.now()
    this.movedAt = now
    if (this.answers++ === 0) this.receiver.answered(this)
    this.receiver.sendTo(this, a, b, c)
    // a longer time is noticed when the wheel comes round, a shorter one has to be told
    const { answeredMs } = this.times
    if (this.answers >= this.questions && this.deadlineAt > now + answeredMs) {
      this.carrier.host.deadlines.set(this, ms(answeredMs))
    }
  }

  deadlinePassed(): void {
    const { host } = this.carrier
    const left = this.movedAt + this.#quietMax - host.clock.mono()
    if (left > 0) return host.deadlines.set(this, ms(left))
    host.counters.flowsIdle++
    this.close('timeout')
  }

  get #quietMax(): number {
    const { unansweredMs, idleMs, answeredMs } = this.times
    return this.answers === 0 ? unansweredMs : this.answers >= this.questions ? answeredMs : idleMs
  }

  protected ask(): void {} // what comes while it takes no input is held, up to its share

  protected leave(): void {
    this.carrier.host.deadlines.forget(this)
    this.receiver.left(this)
  }
}
