import type { Connection } from '../../comm/index.ts'
import { type CounterTable, declareCounters, type Endpoint, endpointText } from '../base/index.ts'
import type { Refused, Service, Session } from '../service/index.ts'
import { type Answer, type Entry, priority } from './chain.ts'
import { type Dispatcher, difference, type ListenParameters, type Registered } from './dispatcher.ts'

// A listener is the entry that takes whatever nobody else on its bind took, and starts a session of its service with
// it. `http_port` is one like any other.

export interface ListenerOptions {
  /** For myportname and the log; two listeners may share it. */
  readonly name: string
  readonly bind: Endpoint
  readonly parameters: ListenParameters
  readonly service: Service
  /**
   * What becomes of a connection to an interception port (natBackend other than none) that no rule sent here: it is
   * meant for the port itself, or its original destination is not known. To go on with it would be a loop.
   * pass = the proxy answers it, which it must be prepared for.
   */
  readonly directHit: 'close' | 'pass'
}

/** The service room's. It closes what it refuses. */
export type StartSession = (service: Service, connection: Connection, portName: string) => Session | Refused

const table = {
  sessions: { doc: 'connections that became sessions' },
  refused: { doc: 'connections a service refused', whenItGrows: 'a limit of the service; see its counters' },
  directHits: {
    doc: 'connections to an interception port that no rule had redirected',
    whenItGrows: 'somebody connects to the port itself, or the look-up of the original destination does not work here',
  },
} as const satisfies CounterTable

type ListenerCounters = ReturnType<typeof declareCounters<typeof table>>

class ListenerEntry implements Entry {
  readonly options: ListenerOptions
  readonly #startSession: StartSession
  readonly #counters: ListenerCounters

  constructor(options: ListenerOptions, startSession: StartSession, counters: ListenerCounters) {
    this.options = options
    this.#startSession = startSession
    this.#counters = counters
  }

  accept(connection: Connection): Answer {
    const { service, name, parameters, directHit } = this.options
    if (parameters.natBackend !== 'none' && !wasRedirected(connection)) {
      this.#counters.directHits++
      if (directHit === 'close') {
        connection.close('refused')
        return 'taken'
      }
    }
    const started = this.#startSession(service, connection, name)
    if ('refused' in started) this.#counters.refused++
    else this.#counters.sessions++
    return 'taken'
  }
}

const wasRedirected = ({ original }: Connection): boolean => original.kind === 'nat' || original.kind === 'tproxy'

/** Why a listener could not be had. */
export interface ListenerProblem {
  readonly options: ListenerOptions
  readonly detail: string
  /** The system's word, '' when it was not the system. */
  readonly errno: string
}

export const createListeners = (dispatcher: Dispatcher, startSession: StartSession): Listeners =>
  new Listeners(dispatcher, startSession)

interface Held {
  readonly options: ListenerOptions
  readonly registered: Registered
}

/** The listeners of a configuration, as one thing that can be exchanged for that of the next. */
export class Listeners {
  readonly counters: ListenerCounters = declareCounters(table)
  readonly #dispatcher: Dispatcher
  readonly #startSession: StartSession
  #held = new Map<string, Held>()

  constructor(dispatcher: Dispatcher, startSession: StartSession) {
    this.#dispatcher = dispatcher
    this.#startSession = startSession
  }

  /** In the order of the configuration. */
  get listening(): readonly { readonly name: string; readonly endpoint: Endpoint }[] {
    return [...this.#held.values()].map(({ options: { name }, registered: { endpoint } }) => ({ name, endpoint }))
  }

  /**
   * Makes the listeners what `wanted` says, or leaves everything as it was and says why. A bind that stays keeps its
   * listener: connections in its backlog are not lost, and the next one meets the new service.
   */
  configure(wanted: readonly ListenerOptions[]): readonly ListenerProblem[] {
    const doubles = wanted.filter((options, at) => wanted.findIndex(other => keyOf(other) === keyOf(options)) !== at)
    if (doubles.length > 0) return doubles.map(twice)

    const change = new Change()
    for (const options of wanted) {
      const present = this.#held.get(keyOf(options))
      const stays = present !== undefined && difference(present.options.parameters, options.parameters) === null
      if (present !== undefined && !stays) change.close(present) // the kernel gives the address to one at a time
      if (!stays) this.#open(options, change)
    }
    if (change.problems.length > 0) {
      this.#undo(change)
      return change.problems
    }
    this.#held = this.#exchanged(wanted, change)
    return []
  }

  close(): void {
    for (const { registered } of this.#held.values()) registered.remove()
    this.#held.clear()
  }

  #open(options: ListenerOptions, change: Change): void {
    const added = this.#dispatcher.add(options.bind, options.parameters, this.#entry(options), priority.listen)
    if (added.ok) change.opened.set(keyOf(options), { options, registered: added.registered })
    else change.problems.push({ options, detail: added.detail, errno: added.errno })
  }

  #exchanged(wanted: readonly ListenerOptions[], change: Change): Map<string, Held> {
    const held = new Map<string, Held>()
    for (const options of wanted) {
      const key = keyOf(options)
      const present = change.opened.get(key) ?? this.#held.get(key)
      if (present === undefined) continue // cannot be: opened above, or held before
      present.registered.replace(this.#entry(options))
      held.set(key, { options, registered: present.registered })
    }
    for (const [key, { registered }] of this.#held) if (held.get(key)?.registered !== registered) registered.remove()
    return held
  }

  #undo(change: Change): void {
    for (const { registered } of change.opened.values()) registered.remove()
    for (const { options } of change.closed) {
      const again = new Change()
      this.#open(options, again)
      const key = keyOf(options)
      const back = again.opened.get(key)
      if (back === undefined) this.#held.delete(key)
      else this.#held.set(key, back)
      change.problems.push(...again.problems)
    }
  }

  #entry(options: ListenerOptions): ListenerEntry {
    return new ListenerEntry(options, this.#startSession, this.counters)
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

const twice = (options: ListenerOptions): ListenerProblem => ({
  options,
  detail: `${endpointText(options.bind)} is listened on twice`,
  errno: '',
})

/** A port the kernel chooses is never the same as another's. */
const keyOf = ({ bind, name }: ListenerOptions): string =>
  bind.port === 0 ? `${endpointText(bind)} ${name}` : endpointText(bind)
