/** Asked for from outside; the exit code. */
export class Stopped extends Error {
  readonly code: number

  constructor(code: number) {
    super('stopped')
    this.code = code
  }
}

/** Ctrl-C and TERM end whatever is being waited for; the lab is then closed as always. */
export class Stop {
  readonly #asked: Promise<never>
  readonly #listeners: readonly (readonly [NodeJS.Signals, () => void])[]

  constructor() {
    const { promise, reject } = Promise.withResolvers<never>()
    promise.catch(() => {}) // nobody may be waiting when it comes
    this.#asked = promise
    // Ctrl-C is how the lab is meant to end; being told to is not
    this.#listeners = [
      ['SIGINT', () => reject(new Stopped(0))],
      ['SIGTERM', () => reject(new Stopped(143))],
      ['SIGHUP', () => reject(new Stopped(129))],
    ]
    for (const [signal, listener] of this.#listeners) process.on(signal, listener)
  }

  or<T>(awaited: Promise<T>): Promise<T> {
    return Promise.race([awaited, this.#asked])
  }

  forget(): void {
    for (const [signal, listener] of this.#listeners) process.removeListener(signal, listener)
  }
}
