import type { Comm, Connection, Listener, ListenOptions, ReceiveOptions } from '../../comm/index.ts'
import { assert, type CounterTable, declareCounters, type Endpoint, endpointText, errnoOf } from '../base/index.ts'
import { Chain, type Entry, type Place } from './chain.ts'

// The table of Zorp's dispatcher: bind → chain of entries. The first entry on a bind opens its listener, the last one
// to go closes it.
//
//   comm ──connection──► chain of its bind ──► entry ──taken──► a session
//                                         └──► next entry ... nobody: closed, counted

/** What comm has to know to listen. Entries that share a bind must agree on it. */
export type ListenParameters = Omit<ListenOptions, 'endpoint' | 'handedIn' | 'note'> & {
  /** For a receiver: datagrams are taken instead of connections, within these limits. */
  readonly datagrams?: DatagramLimits
}

/** What a receiver may be told anew while it is open; `bufferBytes` is for the next one. */
export type DatagramLimits = Pick<ReceiveOptions, 'bufferBytes' | 'flowsMax' | 'flowsPerClientMax' | 'timesOf'>

export type Protocol = 'tcp' | 'udp'

export const protocolOf = ({ datagrams }: ListenParameters): Protocol => (datagrams === undefined ? 'tcp' : 'udp')

/** An entry in the table. */
export interface Registered {
  /** Where it listens, with the port the kernel chose when 0 was asked. */
  readonly endpoint: Endpoint
  /** The next connection is offered to `entry`; the listener stays, and no connection is lost between the two. */
  replace(entry: Entry): void
  /** A receiver's limits from here on; those that flows have begun with stay theirs. */
  limit(datagrams: DatagramLimits): void
  /** Harmless when done before. */
  remove(): void
  /** It is asked: neither it nor its listener has gone. */
  readonly live: boolean
}

export type Added =
  | { readonly ok: true; readonly registered: Registered }
  | NotAdded

export interface NotAdded {
  readonly ok: false
  readonly reason: 'conflict' | 'listen-failed'
  readonly detail: string
  /** The system's word, '' when it was not the system. */
  readonly errno: string
}

/** The part of comm that opens ports. */
export type ListeningComm = Pick<Comm, 'listen'> & Partial<Pick<Comm, 'receive'>>

export interface DispatcherOptions {
  readonly comm: ListeningComm
  /** An entry threw: a bug of ours. Its connection has been closed. */
  readonly failed?: (error: unknown, where: string) => void
  /** Nobody took it: told before it is closed. A stranger can make this happen as often as he likes. */
  readonly unclaimed?: (connection: Connection, bind: Endpoint) => void
}

const table = {
  taken: { doc: 'connections taken by an entry' },
  declined: {
    doc: 'connections closed because no entry took them',
    whenItGrows: 'something connects to a port that only waits for others (data connections)',
  },
  failures: { doc: 'connections closed because an entry threw', whenItGrows: 'a bug of ours: cache_log has the stack' },
} as const satisfies CounterTable

/** One bind: its listener, and who is asked there. */
interface Bind {
  readonly key: string
  readonly parameters: ListenParameters
  readonly chain: Chain
  readonly listener: Listener
  /** Where its receiver looks its limits up. */
  limits: DatagramLimits | null
  /** Entries it is kept open for. */
  holders: number
}

export const createDispatcher = (options: DispatcherOptions): Dispatcher => new Dispatcher(options)

export class Dispatcher {
  readonly counters = declareCounters(table)
  readonly #comm: ListeningComm
  readonly #failed: (error: unknown, where: string) => void
  readonly #unclaimed: (connection: Connection, bind: Endpoint) => void
  readonly #binds = new Map<string, Bind>()

  constructor(options: DispatcherOptions) {
    this.#comm = options.comm
    this.#failed = options.failed ?? (() => {})
    this.#unclaimed = options.unclaimed ?? (() => {})
  }

  /** Binds in the table. */
  get binds(): number {
    return this.#binds.size
  }

  /** Entries on a bind. */
  entriesOn(bind: Endpoint, device?: string, protocol: Protocol = 'tcp'): number {
    return this.#binds.get(keyOf(protocol, bind, device))?.chain.size ?? 0
  }

  add(bind: Endpoint, parameters: ListenParameters, entry: Entry, priority: number): Added {
    // port 0 asks for a port of its own and never meets another entry
    const present = bind.port === 0 ? undefined : this.#binds.get(keyOf(protocolOf(parameters), bind, parameters.device))
    if (present === undefined) return this.#open(bind, parameters, entry, priority)
    const differs = difference(present.parameters, parameters)
    if (differs === null) return { ok: true, registered: registered(this, present, entry, priority) }
    return {
      ok: false,
      reason: 'conflict',
      detail: `${endpointText(bind)} is listened on already, with another ${parameterWords[differs]}`,
      errno: '',
    }
  }

  /**
   * On the bind that takes connections to `to` by now, as it is: this very one, or one for every address. The entry
   * looks at the connection's local end then. null: there is none. `holds`: the bind stays open as long as the entry does.
   */
  join(to: Endpoint, entry: Entry, priority: number, protocol: Protocol = 'tcp', holds = true): Registered | null {
    const present = this.#binds.get(keyOf(protocol, to)) ?? this.#wildcardFor(to, protocol)
    return present === undefined ? null : registered(this, present, entry, priority, holds)
  }

  /** Every listener. Connections that were taken stay with those who took them. */
  close(): void {
    for (const bind of this.#binds.values()) bind.listener.close()
    this.#binds.clear()
  }

  /** Is it in the table? */
  knows(bind: Bind): boolean {
    return this.#binds.get(bind.key) === bind
  }

  /** The bind has nobody left who holds it. */
  dropped(bind: Bind): void {
    if (!this.knows(bind)) return
    this.#binds.delete(bind.key)
    bind.listener.close()
  }

  #wildcardFor({ family, port }: Endpoint, protocol: Protocol): Bind | undefined {
    const six = this.#binds.get(keyOf(protocol, { family: 6, address: '::', port }))
    if (family === 6) return six
    return this.#binds.get(keyOf(protocol, { family: 4, address: '0.0.0.0', port })) ?? (six?.parameters.dualStack ? six : undefined)
  }

  #open(bind: Endpoint, parameters: ListenParameters, entry: Entry, priority: number): Added {
    const chain = new Chain()
    const holder = { limits: parameters.datagrams ?? null, holders: 0 }
    let listener: Listener
    try {
      listener = this.#openPort(bind, parameters, holder, connection => this.#offer(listener.endpoint, chain, connection))
    } catch (error) {
      // comm's sentence is for the user already
      const detail = error instanceof Error ? error.message : String(error)
      return { ok: false, reason: 'listen-failed', detail, errno: errnoOf(error) }
    }
    const opened: Bind = Object.assign(holder, {
      key: keyOf(protocolOf(parameters), listener.endpoint, parameters.device), parameters, chain, listener,
    })
    this.#binds.set(opened.key, opened)
    return { ok: true, registered: registered(this, opened, entry, priority) }
  }

  #openPort(bind: Endpoint, parameters: ListenParameters, holder: Pick<Bind, 'limits'>, arrived: (connection: Connection) => void): Listener {
    const { datagrams, ...others } = parameters
    const note = `${datagrams === undefined ? 'listener' : 'receiver'} ${endpointText(bind)}`
    if (datagrams === undefined) return this.#comm.listen({ ...others, endpoint: bind, note }, arrived)
    assert(this.#comm.receive !== undefined, 'a comm for receivers receives')
    return this.#comm.receive(
      {
        ...others,
        endpoint: bind,
        note,
        bufferBytes: datagrams.bufferBytes,
        timesOf: destination => (holder.limits ?? datagrams).timesOf(destination),
        get flowsMax() {
          return (holder.limits ?? datagrams).flowsMax
        },
        get flowsPerClientMax() {
          return (holder.limits ?? datagrams).flowsPerClientMax
        },
      },
      arrived,
    )
  }

  #offer(bind: Endpoint, chain: Chain, connection: Connection): void {
    try {
      if (chain.offer(connection) === 'taken') {
        this.counters.taken++
        return
      }
    } catch (error) {
      this.counters.failures++
      this.#failed(error, `an entry on ${endpointText(connection.local)}`)
      connection.close('handler-failed')
      return
    }
    this.counters.declined++
    this.#unclaimed(connection, bind)
    connection.resetClose('refused') // as if nobody listened there
  }
}

const registered = (dispatcher: Dispatcher, bind: Bind, entry: Entry, priority: number, holds = true): Registered => {
  if (holds) bind.holders++
  return new ChainEntry(dispatcher, bind, bind.chain.add(entry, priority), holds)
}

class ChainEntry implements Registered {
  readonly #dispatcher: Dispatcher
  readonly #bind: Bind
  readonly #place: Place
  readonly #holds: boolean

  constructor(dispatcher: Dispatcher, bind: Bind, place: Place, holds: boolean) {
    this.#dispatcher = dispatcher
    this.#bind = bind
    this.#place = place
    this.#holds = holds
  }

  get endpoint(): Endpoint {
    return this.#bind.listener.endpoint
  }

  replace(entry: Entry): void {
    this.#place.entry = entry
  }

  limit(datagrams: DatagramLimits): void {
    this.#bind.limits = datagrams
  }

  remove(): void {
    if (this.#place.removed) return
    this.#bind.chain.remove(this.#place)
    if (this.#holds && --this.#bind.holders === 0) this.#dispatcher.dropped(this.#bind)
  }

  get live(): boolean {
    return !this.#place.removed && this.#dispatcher.knows(this.#bind)
  }
}

/** Protocol, address, and device: one port may be another one on each device. A receiver is another bind, too. */
const keyOf = (protocol: Protocol, bind: Endpoint, device?: string): string =>
  device === undefined ? `${protocol} ${endpointText(bind)}` : `${protocol} ${endpointText(bind)} ${device}`

/** What entries of one bind must agree on, in the words of whoever wrote the conf. */
export const parameterWords = {
  flags: 'way of being taken (tproxy or not)',
  dualStack: 'choice of IPv4 and IPv6',
  backlog: 'backlog',
  natBackend: 'way of being taken (intercept, tproxy, direct)',
  mark: 'mark',
  device: 'device',
} as const satisfies Readonly<Record<Parameter, string>>

type Parameter = Exclude<keyof ListenParameters, 'datagrams' | 'deferSeconds'>

const parameters: readonly Parameter[] = ['natBackend', 'flags', 'dualStack', 'backlog', 'mark', 'device']

/** The first parameter in which two differ. Zorp let the first registration win, silently. */
export const difference = (one: ListenParameters, other: ListenParameters): Parameter | null =>
  parameters.find(name => one[name] !== other[name]) ?? null
