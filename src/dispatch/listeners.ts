import type { Endpoint } from '../base/index.ts'
import { bindKey, clashesOf, entryKey } from './clashes.ts'
import { type Dispatcher, difference, type Registered } from './dispatcher.ts'
import { type ListenerCounters, ListenerEntry, type ListenerHost, type ListenerOptions, listenerCounters, priorityOf, type StartSession } from './listener.ts'

// The listeners of a configuration, as one thing that can be exchanged for that of the next.
//
//   close what stands in the way ──► open what is new ──► all open? exchange the entries of what stays, close the rest
//                                                  └──► no: everything back as it was

/** Why a listener could not be had. */
export interface ListenerProblem {
  readonly options: ListenerOptions
  readonly detail: string
  /** The system's word, '' when it was not the system. */
  readonly errno: string
}

export const createListeners = (
  dispatcher: Dispatcher,
  startSession: StartSession,
  failed: (error: unknown, where: string) => void = () => {},
): Listeners => new Listeners(dispatcher, startSession, failed)

interface Held {
  readonly options: ListenerOptions
  readonly registered: Registered
}

export class Listeners {
  readonly counters: ListenerCounters = listenerCounters()
  readonly #dispatcher: Dispatcher
  readonly #host: ListenerHost
  #held = new Map<string, Held>()

  constructor(dispatcher: Dispatcher, startSession: StartSession, failed: (error: unknown, where: string) => void) {
    this.#dispatcher = dispatcher
    this.#host = { startSession, failed, counters: this.counters, deciding: 0 }
  }

  /** In the order of the configuration. */
  get listening(): readonly { readonly name: string; readonly endpoint: Endpoint; readonly options: ListenerOptions }[] {
    return [...this.#held.values()].map(({ options, registered: { endpoint } }) => ({ name: options.name, endpoint, options }))
  }

  /** Connections that wait for an answer from outside. */
  get deciding(): number {
    return this.#host.deciding
  }

  /**
   * Makes the listeners what `wanted` says, or leaves everything as it was and says why. A bind that stays keeps its
   * listener: connections in its backlog are not lost, and the next one meets the new service.
   */
  configure(wanted: readonly ListenerOptions[]): readonly ListenerProblem[] {
    const clashes = clashesOf(wanted).map(clash => ({ ...clash, errno: '' }))
    if (clashes.length > 0) return clashes
    const change = this.#change(wanted)
    if (change.problems.length === 0) this.#exchange(wanted, change)
    else this.#undo(change)
    return change.problems
  }

  /**
   * The same for addresses that come and go under a configuration that stays: what can be had is had, and the rest is
   * named.
   */
  follow(wanted: readonly ListenerOptions[]): readonly ListenerProblem[] {
    const clashes = clashesOf(wanted).map(clash => ({ ...clash, errno: '' }))
    const possible = wanted.filter(options => !clashes.some(clash => clash.options === options))
    const change = this.#change(possible)
    this.#exchange(possible, change)
    return [...clashes, ...change.problems]
  }

  close(): void {
    for (const { registered } of this.#held.values()) registered.remove()
    this.#held.clear()
  }

  #change(wanted: readonly ListenerOptions[]): Change {
    const change = new Change()
    for (const held of this.#inTheWay(wanted)) change.close(held)
    for (const options of wanted) {
      const present = this.#held.get(entryKey(options))
      if (present === undefined || change.closed.includes(present)) this.#open(options, change)
    }
    return change
  }

  /** The kernel gives an address to one socket at a time, with one set of options. */
  #inTheWay(wanted: readonly ListenerOptions[]): Held[] {
    const binds = new Map(wanted.map(options => [bindKey(options), options.parameters]))
    const fresh = new Set(wanted.filter(options => !this.#held.has(entryKey(options))).map(({ bind }) => bind.port))
    return [...this.#held.values()].filter(({ options }) => {
      const next = binds.get(bindKey(options))
      // one that goes may be the port of all addresses, where now a few of them are wanted, or the other way round
      return next === undefined ? options.bind.port !== 0 && fresh.has(options.bind.port) : difference(options.parameters, next) !== null
    })
  }

  #open(options: ListenerOptions, change: Change): void {
    const added = this.#dispatcher.add(options.bind, options.parameters, this.#entry(options), priorityOf(options))
    if (added.ok) change.opened.set(entryKey(options), { options, registered: added.registered })
    else change.problems.push({ options, detail: placed(options, added.detail), errno: added.errno })
  }

  #exchange(wanted: readonly ListenerOptions[], change: Change): void {
    const held = new Map<string, Held>()
    for (const options of wanted) {
      const key = entryKey(options)
      const present = change.opened.get(key) ?? this.#held.get(key)
      if (present === undefined || change.closed.includes(present)) continue // could not be opened
      present.registered.replace(this.#entry(options))
      if (options.parameters.datagrams !== undefined) present.registered.limit(options.parameters.datagrams)
      held.set(key, { options, registered: present.registered })
    }
    for (const [key, { registered }] of this.#held) if (held.get(key)?.registered !== registered) registered.remove()
    this.#held = held
  }

  #undo(change: Change): void {
    for (const { registered } of change.opened.values()) registered.remove()
    for (const { options } of change.closed) {
      const again = new Change()
      this.#open(options, again)
      const key = entryKey(options)
      const back = again.opened.get(key)
      if (back === undefined) this.#held.delete(key)
      else this.#held.set(key, back)
      change.problems.push(...again.problems)
    }
  }

  #entry(options: ListenerOptions): ListenerEntry {
    return new ListenerEntry(options, this.#host)
  }
}

/** What was done so far on the way to the next set of listeners. */
class Change {
  readonly opened = new Map<string, Held>()
  readonly closed: Held[] = []
  readonly problems: ListenerProblem[] = []

  close(held: Held): void {
    held.registered.remove()
    this.closed.push(held)
  }
}

const placed = ({ place }: ListenerOptions, detail: string): string => (place === undefined ? detail : `${place}: ${detail}`)
