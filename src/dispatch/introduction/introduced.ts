import type { Connection, ConnectionReader } from '../../../comm/index.ts'
import { type Clock, type DurationMs, endpointText, type Timer } from '../../base/index.ts'
import type { Refused } from '../../service/index.ts'
import type { StartHere } from '../listener.ts'
import { type IntroductionHeader, parseIntroduction } from './header.ts'

// A port whose clients come through a balancer (require-proxy-header): each connection begins with a header that says whose
// it is. From then on it is that one's, for limits, zones, access lists, logs and where it was going.
//
//   connection ──► may he speak for others? ──► header ──► connection.introduce ──► whoever starts sessions
//                     no: closed                  └─ bad, late, none: closed

export interface IntroducedParts {
  readonly clock: Clock
  /** Of whom are introductions believed: proxy_protocol_access. */
  readonly mayIntroduce: (connection: Connection, portName: string) => boolean
  /** How long the header may take. */
  readonly timeout: () => DurationMs
  /** The port takes other people's connections: the header's target is where they were going. */
  readonly intercepts: boolean
  readonly complain: (text: string) => void
}

/** The header, then `start`. */
export const startIntroduced = (start: StartHere, parts: IntroducedParts): StartHere => (connection, portName) => {
  const from = endpointText(connection.peer)
  const refuse = (detail: string): Refused => {
    parts.complain(`PROXY header of ${from} on port ${portName}: ${detail}`)
    connection.close('refused')
    return { refused: 'DENIED_BY_POLICY', detail }
  }
  if (connection.introduce === undefined) return refuse('nobody can be introduced here')
  if (!parts.mayIntroduce(connection, portName)) return refuse('proxy_protocol_access does not allow it')
  return read(connection, parts).then(header => () => {
    if (typeof header === 'string') return refuse(header)
    introduce(connection, header, parts.intercepts)
    const started = start(connection, portName)
    // whoever waits for more than a header stands in front of it
    return started === 'declined' || started instanceof Promise ? refuse('nobody takes it') : started
  })
}

const introduce = (connection: Connection, { ends, pairs }: IntroductionHeader, intercepts: boolean): void => {
  const { peer, local, original } = connection
  if (ends === null) connection.introduce?.(peer, local, original, pairs)
  else connection.introduce?.(ends.source, ends.target, intercepts ? { kind: 'nat', destination: ends.target } : original, pairs)
}

/** A text: why there is none. What follows it is with the connection again. */
const read = (connection: Connection, { clock, timeout }: IntroducedParts): Promise<IntroductionHeader | string> =>
  new Promise(resolve => {
    connection.setReader(new HeaderReader(connection, clock, timeout(), resolve))
  })

class HeaderReader implements ConnectionReader {
  readonly #connection: Connection
  readonly #resolve: (header: IntroductionHeader | string) => void
  readonly #timer: Timer
  #bytes: Buffer = Buffer.alloc(0)

  constructor(connection: Connection, clock: Clock, timeout: DurationMs, resolve: (header: IntroductionHeader | string) => void) {
    this.#connection = connection
    this.#resolve = resolve
    this.#timer = clock.after(timeout, () => this.#end('it did not come in time'), { unref: true })
  }

  onData(_connection: Connection, slab: Buffer, start: number, end: number): void {
    // the sender writes it in one piece, so there is little to put together
    this.#bytes = Buffer.concat([this.#bytes, slab.subarray(start, end)])
    const answer = parseIntroduction(this.#bytes)
    if (answer.kind === 'more') return
    if (answer.kind === 'bad') return this.#end(answer.why)
    this.#connection.giveBack(this.#bytes.subarray(answer.end))
    this.#end(answer.header)
  }

  onEnd(): void {
    this.#end('the connection ended before it')
  }

  onDrain(): void {}

  onTimeout(): void {
    this.#end('it did not come in time')
  }

  onClose(): void {
    this.#end('the connection closed before it')
  }

  #end(header: IntroductionHeader | string): void {
    this.#timer.cancel()
    this.#resolve(header)
  }
}
