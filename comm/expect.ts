import { randomInt } from 'node:crypto'
import {
  assert,
  type Clock,
  type CounterTable,
  Deadlines,
  type DurationMs,
  declareCounters,
  type Endpoint,
  endpointText,
  type MonoMs,
  type Watched,
} from '../src/base/index.ts'
import type { Answer, Dispatcher, Entry, ListenParameters, Registered } from '../src/dispatch/index.ts'
import type { Connection } from './connection.ts'
import { COMM_REUSEADDR, COMM_REUSEPORT, COMM_TPROXY_LCL } from './engine/engine.ts'
import type { ExpectSet } from './expect-set.ts'

// Related connections: what a running session waits for, at an address that is usually somebody else's. The data
// connection of FTP, which a server opens to the client's own address, is the one everybody knows.
//
//   expect(foreign, from) ──► a socket that listens on foreign:port ──► the kernel gives it the SYN before any rule about
//                                          │                            what shall be taken (intercept/rules, of_our_sockets)
//                                          ▼
//                        dispatch, priority RELATED ──► the peer is the expected one? ──► arrived, and gone if `once`
//                                                                      └──► no: the next entry, or a reset; it goes on waiting
//
// This is TPROXY 2's LISTEN reference: the kernel's table of sockets is the table of expectations. A socket is found,
// added and removed in constant time, it is gone with close(2) and with the process, however that ends, and there is
// nothing to clean up. A port on which a listener of ours takes everything already needs no socket: then its chain is
// joined. Sets of nf_tables are the other form (expect-set.ts).

export interface ExpectOptions {
  /**
   * Where they will connect to. Port 0: one of `ports`, chosen by chance; without `ports` one of the kernel's. Which one
   * it is stands in the expectation.
   */
  readonly foreign: Endpoint
  readonly ports?: { readonly first: number; readonly last: number }
  /** Who is expected; port 0: from any port of his. null: anybody. */
  readonly from: Endpoint | null
  /** Gone after this time, to a second. */
  readonly ttl: DurationMs
  /** Gone after the first connection from the expected peer. */
  readonly once: boolean
  /** Whose it is, for the limit on each: the client's address, as a rule. */
  readonly owner: string
  /** For the descriptor table. */
  readonly note: string
  readonly arrived: (connection: Connection) => void
  /** Once; not after `close`. */
  readonly ended?: (why: 'arrived' | 'expired') => void
}

export interface Expectation {
  /** What to tell the peer. */
  readonly endpoint: Endpoint
  /** Harmless when it has ended. */
  close(): void
}

export type ExpectAnswer = { readonly ok: true; readonly expectation: Expectation } | NotExpected

export interface NotExpected {
  readonly ok: false
  /** limit: of all, of the owner, or of descriptors; in-use: the port, or all of `ports`; failed: the system said no. */
  readonly reason: 'limit' | 'in-use' | 'failed'
  readonly detail: string
}

export interface ExpectLimits {
  readonly expectationsMax: number
  readonly expectationsPerOwnerMax: number
}

/** Each is a descriptor. A client that needs more than a few at once is not transferring files. */
export const usualExpectLimits: ExpectLimits = { expectationsMax: 16_384, expectationsPerOwnerMax: 64 }

export interface ExpectHost {
  readonly clock: Clock
  readonly dispatcher: Pick<Dispatcher, 'add' | 'join'>
  /** The dispatcher's for related connections. */
  readonly priority: number
  /** An address of this machine: needs no power. */
  readonly isLocal: (address: string) => boolean
  /** Descriptors that may still be used. */
  readonly descriptorsLeft: () => number
  readonly limits?: Partial<ExpectLimits>
  /** Other processes listen on the same ports as this one. */
  readonly sharesPorts?: boolean
  /** The other form than sockets. */
  readonly set?: SetForm | null
}

/** Elements of a set, all served by the listener on this port of all addresses. */
export interface SetForm {
  readonly elements: ExpectSet
  readonly port: number
}

/** The kernel never offers more than the queue; more than one are strangers, or a peer that tries again. */
const backlog = 16

const leaseMore = 5000

/** The kernel's own choice where nobody changed net.ipv4.ip_local_port_range. */
const usualPorts = { first: 32_768, last: 60_999 } as const

const isLocal = (host: ExpectHost, { address }: Endpoint): boolean => host.isLocal(address)

/** Ports of a range that are tried before it is called full: the more are free, the fewer are needed. */
const triesMax = 64

const table = {
  expected: { doc: 'connections that were waited for' },
  arrived: { doc: 'connections that came as expected' },
  expired: { doc: 'waits that ended with nobody coming', whenItGrows: 'clients, or a firewall between, give up data connections' },
  strangers: {
    doc: 'connections to an expected place from somebody else',
    whenItGrows: 'somebody tries ports: the expected ones are told apart by their address and still served',
  },
  limited: { doc: 'waits refused by a limit', whenItGrows: 'one client, or all together, have too many data connections open at once' },
} as const satisfies CounterTable

export const createExpectations = (host: ExpectHost): Expectations => new Expectations(host)

/** Everything the process waits for. */
export class Expectations {
  readonly counters = declareCounters(table)
  readonly limits: ExpectLimits
  readonly #host: ExpectHost
  readonly #deadlines: Deadlines
  /** By the place they connect to. */
  readonly #places = new Map<string, Place>()
  /** Binds of listeners that were joined, by their endpoint. */
  readonly #joined = new Map<string, Joined>()
  readonly #perOwner = new Map<string, number>()
  #set: SetForm | null
  #count = 0

  constructor(host: ExpectHost) {
    this.#host = host
    this.limits = { ...usualExpectLimits, ...host.limits }
    this.#set = host.set ?? null
    this.#deadlines = new Deadlines(host.clock)
  }

  get count(): number {
    return this.#count
  }

  /** Before anything is waited for. */
  useSet(set: SetForm): void {
    assert(this.#count === 0, 'what is waited for in one form stays in it')
    this.#set = set
  }

  /** Listens when it returns: whoever is told of the endpoint now may connect at once. */
  expect(options: ExpectOptions): ExpectAnswer {
    assert(options.ttl > 0, 'what is waited for without end is a listener')
    const refused = this.#limitReached(options.owner)
    if (refused !== null) {
      this.counters.limited++
      return { ok: false, reason: 'limit', detail: refused }
    }
    // no socket is bound for a place in a set, so nobody chooses a port but we
    const ports = options.ports ?? (this.#set === null ? undefined : usualPorts)
    const found = options.foreign.port === 0 && ports !== undefined ? this.#anyOf(options, ports) : this.#placeAt(options.foreign)
    if ('ok' in found) return found
    const element = this.#addElement(found, options)
    if (element !== null) {
      this.#release(found)
      return { ok: false, reason: 'failed', detail: element }
    }
    const waiting = new Waiting(this, found, options)
    this.#perOwner.set(options.owner, (this.#perOwner.get(options.owner) ?? 0) + 1)
    this.#count++
    this.counters.expected++
    this.#deadlines.set(waiting, options.ttl)
    return { ok: true, expectation: waiting }
  }

  /** Nobody is told. */
  close(): void {
    for (const place of [...this.#places.values()]) for (let each = place.first; each !== null; each = place.first) each.close()
    this.#deadlines.stop()
    this.#set?.elements.close()
  }

  // ---- called by what is waiting

  /** The entry of every bind: a connection is known by where it was going. */
  readonly entry: Entry = { accept: connection => this.#accept(connection) }

  ended(waiting: Waiting): void {
    const { owner } = waiting.options
    const left = (this.#perOwner.get(owner) ?? 1) - 1
    if (left > 0) this.#perOwner.set(owner, left)
    else this.#perOwner.delete(owner)
    this.#count--
    this.#deadlines.forget(waiting)
    const { place } = waiting
    place.remove(waiting)
    if (!isLocal(this.#host, place.endpoint)) this.#set?.elements.remove(place.endpoint, waiting.options.from)
    this.#release(place)
  }

  /** If nobody waits there. */
  #release(place: Place): void {
    if (place.first !== null) return
    this.#places.delete(place.key)
    if (place.joined === null) place.registered.remove()
    else this.#leave(place.joined)
  }

  /** null, or why not. The kernel's lease is a little longer than ours: it is for the case that we are killed. */
  #addElement({ endpoint }: Place, { from, ttl }: ExpectOptions): string | null {
    if (isLocal(this.#host, endpoint)) return null
    return this.#set?.elements.add(endpoint, from, ttl + leaseMore) ?? null
  }

  #accept(connection: Connection): Answer {
    const place = this.#places.get(endpointText(connection.local))
    if (place === undefined) return 'declined' // a bind for many places: this one nobody waits at
    for (let waiting = place.first; waiting !== null; waiting = waiting.behind) {
      if (!isExpected(waiting.options.from, connection.peer)) continue
      this.counters.arrived++
      if (waiting.options.once) waiting.end('arrived') // first: whoever is told may wait for the next one
      waiting.options.arrived(connection)
      return 'taken'
    }
    this.counters.strangers++
    return 'declined'
  }

  // ---- places

  #limitReached(owner: string): string | null {
    const { expectationsMax, expectationsPerOwnerMax } = this.limits
    if (this.#count >= expectationsMax) return `${expectationsMax} connections are waited for already`
    if ((this.#perOwner.get(owner) ?? 0) >= expectationsPerOwnerMax) {
      return `${expectationsPerOwnerMax} connections are waited for on behalf of ${owner} already`
    }
    return this.#host.descriptorsLeft() > 0 ? null : 'descriptors run short'
  }

  /** By chance, so that nobody can tell which port is next. Never one where somebody is waiting already. */
  #anyOf({ foreign }: ExpectOptions, { first, last }: { readonly first: number; readonly last: number }): Place | NotExpected {
    const size = last - first + 1
    const start = randomInt(size)
    for (let i = 0; i < Math.min(size, triesMax); i++) {
      const at = { ...foreign, port: first + ((start + i) % size) }
      if (this.#places.has(endpointText(at))) continue
      const found = this.#placeAt(at)
      if (!('ok' in found) || found.reason !== 'in-use') return found
    }
    return { ok: false, reason: 'in-use', detail: `no port of ${first}-${last} is free at ${foreign.address}` }
  }

  #placeAt(at: Endpoint): Place | NotExpected {
    const present = at.port === 0 ? undefined : this.#places.get(endpointText(at))
    return present ?? this.#open(at)
  }

  #open(at: Endpoint): Place | NotExpected {
    const { dispatcher, priority } = this.#host
    if (this.#set !== null && !isLocal(this.#host, at)) {
      const joined = this.#joinListener(this.#set.port)
      if (joined !== null) return this.#place(at, joined.registered, joined)
      return { ok: false, reason: 'failed', detail: `no listener has port ${this.#set.port} of all addresses` }
    }
    const parameters: ListenParameters = {
      flags: COMM_REUSEADDR | (isLocal(this.#host, at) ? 0 : COMM_TPROXY_LCL),
      dualStack: false,
      backlog,
      natBackend: 'none',
    }
    const plain = dispatcher.add(at, parameters, this.entry, priority)
    // with several processes the chain of a listener is no way: the kernel may give the connection to another process's.
    // A socket of its own on the very address is found before all of them.
    const added =
      this.#host.sharesPorts === true && !plain.ok && plain.errno === 'EADDRINUSE'
        ? dispatcher.add(at, { ...parameters, flags: parameters.flags | COMM_REUSEPORT }, this.entry, priority)
        : plain
    if (added.ok) return this.#place(added.registered.endpoint, added.registered, null)
    const inUse = added.reason === 'conflict' || added.errno === 'EADDRINUSE'
    const joined = inUse ? this.#join(at) : null
    if (joined !== null) return this.#place(at, joined.registered, joined)
    return { ok: false, reason: inUse ? 'in-use' : 'failed', detail: added.detail }
  }

  #place(at: Endpoint, registered: Registered, joined: Joined | null): Place {
    const place = new Place(at, registered, joined)
    this.#places.set(place.key, place)
    return place
  }

  /** That of the sets, for both families. */
  #joinListener(port: number): Joined | null {
    return this.#join({ family: 6, address: '::', port })
  }

  /** One entry in the chain of a listener, however many wait behind it. */
  #join(at: Endpoint): Joined | null {
    const registered = this.#host.dispatcher.join(at, this.entry, this.#host.priority)
    if (registered === null) return null
    const key = endpointText(registered.endpoint)
    const present = this.#joined.get(key)
    if (present !== undefined) {
      registered.remove()
      present.places++
      return present
    }
    const joined: Joined = { key, registered, places: 1 }
    this.#joined.set(key, joined)
    return joined
  }

  #leave(joined: Joined): void {
    if (--joined.places > 0) return
    this.#joined.delete(joined.key)
    joined.registered.remove()
  }
}

/** The bind of a listener that takes connections to many places. */
interface Joined {
  readonly key: string
  readonly registered: Registered
  places: number
}

/** Where somebody waits, or several: the newest is asked first. */
class Place {
  readonly endpoint: Endpoint
  readonly key: string
  readonly registered: Registered
  readonly joined: Joined | null
  first: Waiting | null = null

  constructor(endpoint: Endpoint, registered: Registered, joined: Joined | null) {
    this.endpoint = endpoint
    this.key = endpointText(endpoint)
    this.registered = registered
    this.joined = joined
  }

  add(waiting: Waiting): void {
    waiting.behind = this.first
    if (this.first !== null) this.first.before = waiting
    this.first = waiting
  }

  /** Keeps its own link behind: who is looking at it finds the way on. */
  remove(waiting: Waiting): void {
    if (waiting.before === null) this.first = waiting.behind
    else waiting.before.behind = waiting.behind
    if (waiting.behind !== null) waiting.behind.before = waiting.before
  }
}

class Waiting implements Expectation, Watched {
  readonly options: ExpectOptions
  readonly place: Place
  before: Waiting | null = null
  behind: Waiting | null = null
  deadlineAt = 0 as MonoMs
  deadlineTurn = 0
  deadlineBefore: Watched | null = null
  deadlineBehind: Watched | null = null
  readonly #all: Expectations
  #over = false

  constructor(all: Expectations, place: Place, options: ExpectOptions) {
    this.#all = all
    this.place = place
    this.options = options
    place.add(this)
  }

  get endpoint(): Endpoint {
    return this.place.endpoint
  }

  close(): void {
    if (this.#over) return
    this.#over = true
    this.#all.ended(this)
  }

  end(why: 'arrived' | 'expired'): void {
    this.close()
    this.options.ended?.(why)
  }

  deadlinePassed(): void {
    this.#all.counters.expired++
    this.end('expired')
  }
}

const isExpected = (from: Endpoint | null, peer: Endpoint): boolean =>
  from === null || (from.address === peer.address && (from.port === 0 || from.port === peer.port))
