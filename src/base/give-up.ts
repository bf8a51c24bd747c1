// An AbortSignal for what is begun thousands of times a second: Node's is an event target, which costs more than the rest
// of a plug session's bookkeeping. One listener, no event, no reason. Where a function takes one, an AbortSignal does too.

export interface GiveUpSignal {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export class GiveUp implements GiveUpSignal {
  aborted = false
  #listener: (() => void) | null = null

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.#listener !== null) throw new Error('a GiveUp has one listener')
    if (!this.aborted) this.#listener = listener
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    if (this.#listener === listener) this.#listener = null
  }

  /** Harmless when done before. */
  abort(): void {
    this.aborted = true
    const listener = this.#listener
    this.#listener = null
    listener?.()
  }
}
