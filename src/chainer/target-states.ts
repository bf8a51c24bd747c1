import { type Clock, type DurationMs, type Endpoint, endpointText, type MonoMs, type ProxyError } from '../base/index.ts'
import type { Route } from '../router/router.ts'
import type { Course, Plan, Turn } from './course.ts'

// Who failed lately (Zorp's StateBasedChainer, whose memory knew addresses only: a dead service took a live one on the
// same machine down with it). Known by protocol, address and port, as they are after NAT.

export interface TargetStatesOptions {
  readonly clock: Clock
  /** 0 to 1; so that what failed together is not tried again together. */
  readonly random?: () => number
}

/** A part of timeout_state that chance adds. */
const jitter = 0.1

/** Targets remembered; beyond, the one that failed longest ago is forgotten. */
const targetsMax = 4096

export class TargetStates {
  readonly #clock: Clock
  readonly #random: () => number
  /** Until when, in the order of failing. */
  readonly #down = new Map<string, MonoMs>()

  constructor(options: TargetStatesOptions) {
    this.#clock = options.clock
    this.#random = options.random ?? Math.random
  }

  get size(): number {
    return this.#down.size
  }

  isDown(target: Endpoint, protocol: Protocol = 'tcp'): boolean {
    const key = keyOf(target, protocol)
    const until = this.#down.get(key)
    if (until === undefined) return false
    if (this.#clock.mono() < until) return true
    this.#down.delete(key)
    return false
  }

  /** For `timeoutState` from its first failure on: one that is down already is not down for longer. */
  failed(target: Endpoint, timeoutState: DurationMs, protocol: Protocol = 'tcp'): void {
    if (this.isDown(target, protocol)) return
    const until = this.#clock.mono() + timeoutState * (1 + jitter * this.#random())
    this.#down.set(keyOf(target, protocol), until as MonoMs)
    if (this.#down.size <= targetsMax) return
    const oldest = this.#down.keys().next()
    if (oldest.done !== true) this.#down.delete(oldest.value)
  }

  reached(target: Endpoint, protocol: Protocol = 'tcp'): void {
    this.#down.delete(keyOf(target, protocol))
  }

  forget(targets: Iterable<Endpoint>, protocol: Protocol = 'tcp'): void {
    for (const target of targets) this.#down.delete(keyOf(target, protocol))
  }
}

type Protocol = 'tcp' | 'udp'

const keyOf = (target: Endpoint, protocol: Protocol): string => `${protocol} ${endpointText(target)}`

/** Zorp's FailoverChainer: the first that is not known to be down. */
export const failover =
  (states: TargetStates, timeoutState: DurationMs): Plan =>
  (routes, protocol) =>
    new StateCourse(routes, states, timeoutState, protocol)

/** The same, beginning with another one each time. */
export const roundRobin =
  (states: TargetStates, timeoutState: DurationMs, turn: Turn): Plan =>
  (routes, protocol) =>
    new StateCourse(turn.rotated(routes), states, timeoutState, protocol)

/**
 * Two rounds. The first passes over those that are down. Has it reached nobody, what is known of these targets is
 * forgotten and each is tried once more: everybody being down is more often the fault of the way there.
 */
class StateCourse implements Course {
  readonly #routes: readonly Route[]
  readonly #states: TargetStates
  readonly #timeoutState: DurationMs
  readonly #protocol: Protocol
  #at = 0
  #secondRound = false

  constructor(routes: readonly Route[], states: TargetStates, timeoutState: DurationMs, protocol: Protocol) {
    this.#routes = routes
    this.#protocol = protocol
    this.#states = states
    this.#timeoutState = timeoutState
    this.#passOver()
  }

  get route(): Route | null {
    return this.#routes[this.#at] ?? null
  }

  get after(): Route | null {
    return this.#routes[this.#at + 1] ?? null
  }

  failed(error: ProxyError): void {
    const { route } = this
    if (route === null) return
    if (targetFaults.has(error.code)) this.#states.failed(route.target, this.#timeoutState, this.#protocol)
    this.#at++
    this.#passOver()
  }

  unanswered({ target }: Route): void {
    this.#states.failed(target, this.#timeoutState, this.#protocol)
  }

  reached(): void {
    // a socket for datagrams says nothing of who is there
    if (this.route !== null && this.#protocol === 'tcp') this.#states.reached(this.route.target, this.#protocol)
  }

  #passOver(): void {
    if (this.#secondRound) return
    while (this.route !== null && this.#states.isDown(this.route.target, this.#protocol)) this.#at++
    if (this.route !== null) return
    this.#secondRound = true
    this.#states.forget(this.#routes.map(route => route.target), this.#protocol)
    this.#at = 0
  }
}

/** What says something about the target, and not about us or about the address we come with. */
const targetFaults: ReadonlySet<string> = new Set(['connect-failed', 'connect-timeout'])
