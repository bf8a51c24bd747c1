// Request content on its way to undici. It stands between the two so that content can be held back until the origin
// said 100 (RFC 9110 10.1.1), and so that undici is released when the exchange is over while the client is still
// sending: what waits in next() would keep both of them.

export interface ContentUser {
  /** The first byte is asked for: from here on the request cannot be sent a second time. */
  contentAsked(): void
}

export class ContentSource implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #content: AsyncIterable<Uint8Array>
  readonly #user: ContentUser
  #iterator: AsyncIterator<Uint8Array> | null = null
  #gated: boolean
  #over = false
  #resolve: ((result: IteratorResult<Uint8Array>) => void) | null = null
  #reject: ((error: unknown) => void) | null = null

  constructor(content: AsyncIterable<Uint8Array>, user: ContentUser, gated: boolean) {
    this.#content = content
    this.#user = user
    this.#gated = gated
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#over) return Promise.resolve(finished)
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      if (!this.#gated) this.#pull()
    })
  }

  /** undici stops early. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.stop()
    return Promise.resolve(finished)
  }

  /** Content may flow. Harmless when it does. */
  open(): void {
    if (!this.#gated) return
    this.#gated = false
    if (this.#resolve !== null) this.#pull()
  }

  /** Nobody needs it any more. */
  stop(): void {
    if (this.#over) return
    this.#over = true
    this.#settled()?.(finished)
    // the owner's cleaning up; its failure concerns nobody who is still here
    this.#iterator?.return?.().then(undefined, () => {})
  }

  #pull(): void {
    if (this.#iterator === null) {
      this.#user.contentAsked()
      this.#iterator = this.#content[Symbol.asyncIterator]()
    }
    this.#iterator.next().then(
      result => this.#settled()?.(result.done === true ? finished : result),
      (error: unknown) => {
        const reject = this.#reject
        this.#settled()
        reject?.(new ContentFailed(error))
      },
    )
  }

  #settled(): ((result: IteratorResult<Uint8Array>) => void) | null {
    const resolve = this.#resolve
    this.#resolve = null
    this.#reject = null
    return resolve
  }
}

/** What the client side said when its content broke off; `cause` has the words. */
export class ContentFailed extends Error {
  override name = 'ContentFailed'
  constructor(cause: unknown) {
    super('the request content broke off', { cause })
  }
}

const finished: IteratorResult<Uint8Array> = { done: true, value: undefined }
