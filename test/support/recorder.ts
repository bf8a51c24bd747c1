import type { CloseReason, Connection, ConnectionReader } from '../../comm/index.ts'

// A reader that writes down what it is told. Tests wait for something to have been told, never for time.

export type Told = 'data' | 'end' | 'drain' | 'timeout' | 'close'

export interface Reactions {
  onData?(connection: Connection, bytes: Buffer): void
  onEnd?(connection: Connection): void
  onDrain?(connection: Connection): void
  onTimeout?(connection: Connection): void
  onClose?(connection: Connection, why: CloseReason): void
}

export class Recorder implements ConnectionReader {
  /** Everything but 'data', in order. */
  readonly told: Told[] = []
  closedBecause: CloseReason | null = null
  bytes = 0
  readonly #reactions: Reactions
  readonly #keep: boolean
  readonly #chunks: Buffer[] = []
  #waiting: { readonly holds: () => boolean; readonly go: () => void }[] = []

  /** `keep: false` counts the bytes only. */
  constructor(reactions: Reactions = {}, options: { readonly keep?: boolean } = {}) {
    this.#reactions = reactions
    this.#keep = options.keep ?? true
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  get text(): string {
    return this.received.toString('latin1')
  }

  /** Resolves once `holds` does; looked at after everything that is told. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise(go => this.#waiting.push({ holds, go }))
  }

  count = (what: Told): number => this.told.filter(word => word === what).length
  ended = (): Promise<void> => this.until(() => this.told.includes('end'))
  closed = (): Promise<void> => this.until(() => this.closedBecause !== null)
  has = (bytes: number): Promise<void> => this.until(() => this.bytes >= bytes)

  onData(connection: Connection, slab: Buffer, start: number, end: number): void {
    this.bytes += end - start
    const view = slab.subarray(start, end)
    if (this.#keep) this.#chunks.push(Buffer.from(view))
    this.#react(() => this.#reactions.onData?.(connection, view))
  }

  onEnd(connection: Connection): void {
    this.told.push('end')
    this.#react(() => this.#reactions.onEnd?.(connection))
  }

  onDrain(connection: Connection): void {
    this.told.push('drain')
    this.#react(() => this.#reactions.onDrain?.(connection))
  }

  onTimeout(connection: Connection): void {
    this.told.push('timeout')
    this.#react(() => this.#reactions.onTimeout?.(connection))
  }

  onClose(connection: Connection, why: CloseReason): void {
    this.told.push('close')
    this.closedBecause ??= why
    this.#react(() => this.#reactions.onClose?.(connection, why))
  }

  #react(reaction: () => void): void {
    try {
      reaction()
    } finally {
      const waiting = this.#waiting
      this.#waiting = waiting.filter(({ holds, go }) => {
        const now = holds()
        if (now) go()
        return !now
      })
    }
  }
}
