// What may be given up: the part of an AbortSignal that those use who begin something. Whoever begins thousands a second
// takes a `dial` that can be cancelled instead: Node's signals are event targets, which cost more than all the rest.

export interface GiveUpSignal {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}
