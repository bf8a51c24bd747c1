import { randomInt } from 'node:crypto'
import {
  type Attempt,
  COMM_TPROXY_REM,
  type CommError,
  type ConnectDone,
  type ConnectOptions,
} from '../../comm/index.ts'
import { type Clock, type DurationMs, type Endpoint, type ErrorCode, endpointText, ms, ProxyError, type Timer } from '../base/index.ts'
import type { Peer } from '../peer/peer.ts'
import { askTunnel } from './parent-tunnel.ts'
import type { Route } from '../router/router.ts'
import type { BesideRules } from './beside.ts'

// One try to reach one target. What the system refuses becomes a word of the error table here, and nowhere else.

/** The part of comm that opens connections. `done` never comes before `dial` has returned. */
export interface Dialer {
  dial(options: ConnectOptions, timeoutMs: number, done: ConnectDone): Attempt
}

/** How long and how often to try. */
export interface Tries {
  /** One try: connect_timeout. */
  readonly connectTimeout: DurationMs
  /** All of them: forward_timeout. */
  readonly forwardTimeout: DurationMs
  /** forward_max_tries. */
  readonly triesMax: number
  /** The kernel asks silent servers whether they are still there. */
  readonly keepalive: boolean
  /** How often one target is dialled again before it has failed: connect_retries. */
  readonly connectRetries: number
  /** SO_RCVBUF; 0 = the system's. */
  readonly receiveBytes: number
  /** When another address of the same server is tried beside one that does not answer. */
  readonly beside: BesideRules
}

export const connectOptions = (route: Route, note: string, writesFirst: boolean, protocol: 'tcp' | 'udp' = 'tcp'): ConnectOptions => ({
  target: route.target,
  flags: route.forged ? COMM_TPROXY_REM : 0,
  note,
  writesFirst,
  protocol: protocol === 'tcp' ? undefined : protocol,
  source: route.source ?? undefined,
  mark: route.mark,
  tos: route.tos,
})

/** Ports of a class tried before the connection fails. */
const portTriesMax = 16

/**
 * One try to reach a route. Where its port may be another one of its class, a port that is taken (by a socket bound to it,
 * or by a connection of the same four ends) is not the end of it. `writesFirst`: see ConnectOptions.
 */
export const dialRoute = (
  comm: Dialer,
  route: Route,
  note: string,
  timeoutMs: number,
  writesFirst: boolean,
  done: ConnectDone,
  protocol: 'tcp' | 'udp' = 'tcp',
): Attempt => {
  const { ports, source, peer } = route
  if (peer !== undefined) return dialPeer(comm, route, peer, note, timeoutMs, writesFirst, done)
  const options = connectOptions(route, note, writesFirst, protocol)
  if (ports === undefined || source === null || source.port === 0) return comm.dial(options, timeoutMs, done)
  return new PortTries(comm, route, source, options, timeoutMs, done)
}

/** A cache_peer: it counts its connections, and hears which could not be made. The client's ports mean nothing to it. */
const dialPeer = (
  comm: Dialer,
  route: Route,
  peer: Peer,
  note: string,
  timeoutMs: number,
  writesFirst: boolean,
  done: ConnectDone,
): Attempt => {
  peer.dialled()
  let waits = true
  let asking: Attempt | null = null
  const attempt = comm.dial(connectOptions(route, note, writesFirst), Math.min(timeoutMs, peer.connectTimeout), (error, connection) => {
    waits = false
    if (connection !== null) {
      peer.reached()
      connection.addCloseHandler(() => peer.ended())
      if (route.tunnel !== undefined) {
        asking = askTunnel(connection, route.tunnel, timeoutMs, (refused, through) => {
          if (refused !== null) peer.useless()
          done(refused, through)
        })
        return
      }
    } else peer.failed(error === null ? shuttingDown() : connectFailure(error, route))
    done(error, connection)
  })
  return {
    cancel() {
      if (waits) peer.ended()
      waits = false
      attempt.cancel()
      asking?.cancel()
    },
  }
}

/** Squid's: long enough for a server that is being started, too short to be felt. */
const retryDelay = ms(50)

/** The same target once more, a moment later, within the time that is left. What has no time left has failed. */
export const dialAgain = (clock: Clock, retries: number, timeoutMs: number, dial: (timeoutMs: number, done: ConnectDone) => Attempt, done: ConnectDone): Attempt =>
  retries === 0 ? dial(timeoutMs, done) : new Redials(clock, retries, timeoutMs, dial, done)

class Redials implements Attempt {
  readonly #clock: Clock
  readonly #until: number
  readonly #dial: (timeoutMs: number, done: ConnectDone) => Attempt
  readonly #done: ConnectDone
  #left: number
  #attempt: Attempt | null = null
  #pause: Timer | null = null

  constructor(clock: Clock, retries: number, timeoutMs: number, dial: (timeoutMs: number, done: ConnectDone) => Attempt, done: ConnectDone) {
    this.#clock = clock
    this.#left = retries
    this.#until = clock.mono() + timeoutMs
    this.#dial = dial
    this.#done = done
    this.#go()
  }

  cancel(): void {
    this.#pause?.cancel()
    this.#attempt?.cancel()
  }

  #go(): void {
    this.#pause = null
    this.#attempt = this.#dial(Math.max(1, this.#until - this.#clock.mono()), (error, connection) => {
      this.#attempt = null
      if (error === null || this.#left === 0 || noBetterSoon.has(error.code) || this.#until - this.#clock.mono() <= retryDelay) return this.#done(error, connection)
      this.#left--
      this.#pause = this.#clock.after(retryDelay, () => this.#go())
    })
  }
}

/** The time is over, somebody has cancelled, or it is about descriptors, for which others wait too. */
const noBetterSoon: ReadonlySet<string> = new Set(['ETIMEDOUT', 'ECANCELED', 'EMFILE', 'ENFILE'])

class PortTries implements Attempt {
  readonly #comm: Dialer
  readonly #options: ConnectOptions
  readonly #source: Endpoint
  readonly #timeoutMs: number
  readonly #done: ConnectDone
  #attempt: Attempt
  #left = portTriesMax

  constructor(comm: Dialer, route: Route, source: Endpoint, options: ConnectOptions, timeoutMs: number, done: ConnectDone) {
    this.#comm = comm
    this.#options = options
    this.#source = source
    this.#timeoutMs = timeoutMs
    this.#done = done
    this.#attempt = this.#dial(route.ports === 'random' ? portLike(source.port) : source.port)
  }

  cancel(): void {
    this.#attempt.cancel()
  }

  /** A port that is taken is found at once, so each try has the whole time. */
  #dial(port: number): Attempt {
    this.#left--
    return this.#comm.dial({ ...this.#options, source: { ...this.#source, port } }, this.#timeoutMs, (error, connection) => {
      if (error === null || !portTaken(error) || this.#left === 0) return this.#done(error, connection)
      this.#attempt = this.#dial(portLike(this.#source.port))
    })
  }
}

/** bind found it taken, or connect found a connection with the same four ends. */
const portTaken = ({ code, syscall }: CommError): boolean =>
  code === 'EADDRINUSE' || (code === 'EADDRNOTAVAIL' && syscall === 'connect')

/** Zorp's classes: what trusts a client for its low port must go on seeing a low one. */
const portClasses = [
  { first: 1, last: 513 },
  { first: 514, last: 1024 },
  { first: 1025, last: 65535 },
] as const

/** A port of the same class that nobody can guess. */
export const portLike = (port: number): number => {
  const { first, last } = portClasses.find(ports => port <= ports.last) ?? portClasses[2]
  return randomInt(first, last + 1)
}

/** The other targets may do better, so it may always be tried elsewhere. */
export const connectFailure = (error: CommError, route: Route): ProxyError =>
  new ProxyError(codeOf(error.code, route.forged), error.message, {
    side: 'server',
    retry: 'yes',
    errno: error.code,
    cause: error,
  })

const codeOf = (errno: string, forged: boolean): ErrorCode => {
  if (errno === 'ETIMEDOUT') return 'connect-timeout'
  if (forged && forgingFailures.has(errno)) return 'spoof-failed'
  return socketFailures.has(errno) ? 'socket-failed' : 'connect-failed'
}

/**
 * EADDRNOTAVAIL: not a foreign address without IP_TRANSPARENT, or every port of it is taken towards that target.
 * EADDRINUSE: the one port that would do is.
 */
const forgingFailures: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EADDRINUSE', 'EPERM', 'EACCES', 'ENOTSUP', 'ENOPROTOOPT'])

const socketFailures: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EADDRINUSE',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'ENOTSUP',
  'ENODEV',
  'EINVAL',
])

/**
 * What is said when no route worked: the last failure decides what the client sees, the text names them all. `untried` is
 * the route that would have been next.
 */
export const walkFailure = (failures: readonly ProxyError[], untried: Route | null, tried: string): ProxyError => {
  const last = failures.at(-1)
  if (last === undefined) {
    return untried === null
      ? new ProxyError('no-route', 'there is no server to connect to', { side: 'proxy' })
      : new ProxyError('connect-timeout', `${endpointText(untried.target)}: ${tried}`, { side: 'server' })
  }
  if (failures.length === 1) return last
  const detail = failures.map(failure => failure.message).join('; ')
  return new ProxyError(last.code, detail, {
    side: 'server',
    retry: 'yes',
    errno: last.errno,
    cause: new AggregateError(failures, detail),
  })
}

export const shuttingDown = (): ProxyError =>
  new ProxyError('shutting-down', 'no new connections to servers are opened any more')
