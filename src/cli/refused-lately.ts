import type { Outcome } from '../base/index.ts'
import { storeReasons, storeRefusals } from '../cache/index.ts'
import type { LastRefused } from '../proxy/index.ts'

// Why responses were not stored lately, by URI: what `explain` says of a request that misses again and again. A few are
// remembered; a response that is stored is forgotten here.

const urisMax = 1024

/** Longer ones are not worth their memory here. */
const uriLengthMax = 2048

export class Refusals {
  /** Oldest first. */
  readonly #byUri = new Map<string, LastRefused>()

  /** Of every transaction; those that asked no server say nothing. */
  count(o: Outcome): void {
    if (o.serverStatus === 0 || o.storeReason === '' || o.uri.length > uriLengthMax) return
    const doc = docOf(o.storeReason)
    this.#byUri.delete(o.uri)
    if (doc === null) return
    this.#byUri.set(o.uri, { at: new Date(o.startedAt).toISOString(), status: o.serverStatus, reason: o.storeReason, doc })
    if (this.#byUri.size <= urisMax) return
    for (const oldest of this.#byUri.keys()) {
      this.#byUri.delete(oldest)
      break
    }
  }

  of(uri: string): LastRefused | null {
    return this.#byUri.get(uri) ?? null
  }
}

/** Null: it was stored. */
const docOf = (reason: string): string | null => {
  if (Object.hasOwn(storeRefusals, reason)) return storeRefusals[reason as keyof typeof storeRefusals] // it is a key
  if (!Object.hasOwn(storeReasons, reason)) return null
  const line = storeReasons[reason as keyof typeof storeReasons] // it is a key
  return line.kind === 'no' ? line.doc : null
}
