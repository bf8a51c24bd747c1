import type { Connection } from '../../comm/index.ts'
import { type CounterTable, type DurationMs, declareCounters, type Endpoint, ms } from '../base/index.ts'
import type { Decided, Refused, Service, Session } from '../service/index.ts'
import { type Answer, type Entry, priority } from './chain.ts'
import type { ListenParameters } from './dispatcher.ts'

// A listener is the entry that takes whatever nobody before it on its bind took, and starts a session with it.
// `http_port` is one like any other.
//
//   connection ──► came by a rule? ──► service, or whatever the rules say ──► session | refused: closed | declined: next
//                   direct hit              └─ a name must be looked up first: the connection waits, unread, others do not

export interface ListenerOptions {
  /** For myportname and the log; two listeners may share it. */
  readonly name: string
  /** For complaints: the file and line it comes from. */
  readonly place?: string
  readonly bind: Endpoint
  readonly parameters: ListenParameters
  /** Lower is asked first; `priority.listen` unless told. */
  readonly priority?: number
  readonly service: Service | StartHere
  /**
   * What becomes of a connection to an interception port (natBackend other than none) that no rule sent here: it is
   * meant for the port itself, or its original destination is not known. To go on with it would be a loop.
   * pass = the proxy answers it, which it must be prepared for.
   */
  readonly directHit: 'close' | 'pass'
}

/** The service room's. It closes what it refuses. */
export type StartSession = (service: Service, connection: Connection, portName: string) => Session | Refused

/**
 * Finds the service itself. What it refuses it closes: a refusal is an answer, the next entry is not asked. A promise
 * when something outside has to be asked first, of what is then to be done with the connection, if it is still there;
 * that can no longer decline, the connection is this entry's by then.
 */
export interface StartHere {
  (connection: Connection, portName: string): Started | 'declined' | Promise<() => Started>
  /** What it would do, for who takes connections before it and must not take what it would refuse. */
  decide?(connection: Connection, portName: string): Decision | null
}

/** The service a connection would get. Null instead: none, it would be refused, or only its first bytes tell. */
export interface Decision {
  readonly service: Service
  readonly decided: Decided
}

type Started = Session | Refused

const table = {
  sessions: { doc: 'connections that became sessions' },
  refused: { doc: 'connections a service refused', whenItGrows: 'a limit of the service; see its counters' },
  directHits: {
    doc: 'connections to an interception port that no rule had redirected',
    whenItGrows: 'somebody connects to the port itself, or the look-up of the original destination does not work here',
  },
  deciding: { doc: 'connections for which something outside had to be asked: a name server, a helper' },
  undecided: {
    doc: 'connections closed because too many waited for an answer from outside already',
    whenItGrows: 'the name servers or helpers that rules need are slow',
  },
} as const satisfies CounterTable

export type ListenerCounters = ReturnType<typeof declareCounters<typeof table>>

export const listenerCounters = (): ListenerCounters => declareCounters(table)

/** What all entries of a set share. */
export interface ListenerHost {
  readonly startSession: StartSession
  readonly counters: ListenerCounters
  /** Connections that wait for an answer from outside, now. */
  deciding: number
  /** An answer from outside failed: a bug of whoever gives it. */
  readonly failed: (error: unknown, where: string) => void
}

/** Each holds a descriptor and a few hundred bytes meanwhile. */
export const decidingMax = 4096
/** Whoever is asked has a shorter limit of its own (dns_timeout); this one is for the case that it has none. */
const decisionMax: DurationMs = ms(60_000)

export class ListenerEntry implements Entry {
  readonly options: ListenerOptions
  readonly #host: ListenerHost

  constructor(options: ListenerOptions, host: ListenerHost) {
    this.options = options
    this.#host = host
  }

  accept(connection: Connection): Answer {
    const { service, name, parameters, directHit } = this.options
    const { counters, startSession } = this.#host
    if (parameters.natBackend !== 'none' && !wasRedirected(connection)) {
      counters.directHits++
      if (directHit === 'close') {
        connection.close('refused')
        return 'taken'
      }
    }
    if (typeof service !== 'function') {
      this.#started(startSession(service, connection, name))
      return 'taken'
    }
    const started = service(connection, name)
    if (started === 'declined') return 'declined'
    if (started instanceof Promise) this.#wait(connection, started)
    else this.#started(started)
    return 'taken'
  }

  #started(started: Started): void {
    if ('refused' in started) this.#host.counters.refused++
    else this.#host.counters.sessions++
  }

  /** Nobody reads the connection meanwhile: what the client sends stays in the kernel. */
  #wait(connection: Connection, decision: Promise<() => Started>): void {
    const host = this.#host
    const where = `the rules of listener ${this.options.name}`
    host.counters.deciding++
    if (host.deciding >= decidingMax) {
      host.counters.undecided++
      connection.close('refused')
    }
    host.deciding++
    connection.setTimeout(decisionMax) // it has no reader, so comm closes it then
    decision
      .then(start => {
        if (connection.closed) return
        connection.setTimeout(0)
        this.#started(start())
      })
      .catch((error: unknown) => {
        connection.close('handler-failed')
        host.failed(error, where)
      })
      .finally(() => host.deciding--)
  }
}

const wasRedirected = ({ original }: Connection): boolean => original.kind === 'nat' || original.kind === 'tproxy'

export const priorityOf = (options: ListenerOptions): number => options.priority ?? priority.listen
