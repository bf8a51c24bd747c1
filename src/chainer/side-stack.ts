import type { Attempt, Connection, ConnectDone, PairEnds } from '../../comm/index.ts'
import type { Clock, GiveUpSignal } from '../base/index.ts'
import type { Route } from '../router/router.ts'
import type { Session } from '../service/session.ts'
import type { Chained, ChainedDone, Chainer, OriginFetch, OriginHandler, OriginRequest } from './chainer.ts'
import { createConnectChainer } from './connect.ts'
import type { Dialer } from './dial.ts'
import { createOriginPool, type OriginPool } from './origin-pool/pool.ts'

// Zorp's SideStackChainer: the server of one proxy is another proxy, in the same session, which goes on from there.
//
//   client ──► left proxy ──► this chainer ══ pair ══► right proxy ──► right chainer ──► server

export interface SideStackOptions {
  readonly name: string
  readonly clock: Clock
  readonly pair: (left: PairEnds, right: PairEnds, note: string) => readonly [Connection, Connection]
  /** Starts the right proxy; `routes` is where the left one was going. */
  readonly startRight: (owner: Session, client: Connection, routes: readonly Route[]) => void
}

export const createSideStackChainer = (options: SideStackOptions): Chainer => new SideStackChainer(options)

class SideStackChainer implements Chainer {
  readonly name: string
  readonly #options: SideStackOptions
  /** For proxies that ask one request after the other: what they keep open is theirs, and no other session's. */
  readonly #pools = new WeakMap<Session, OriginPool>()

  constructor(options: SideStackOptions) {
    this.name = options.name
    this.#options = options
  }

  dial(session: Session, routes: readonly Route[], done: ChainedDone): Attempt {
    return this.#chainer(session, routes).dial(session, routes.slice(0, 1), done)
  }

  connect(session: Session, routes: readonly Route[], signal: GiveUpSignal): Promise<Chained> {
    return this.#chainer(session, routes).connect(session, routes.slice(0, 1), signal)
  }

  fetch(session: Session, routes: readonly Route[], request: OriginRequest, handler: OriginHandler): OriginFetch {
    return this.#chainer(session, routes).fetch(session, routes.slice(0, 1), request, handler)
  }

  #chainer(session: Session, routes: readonly Route[]): Chainer {
    const { clock } = this.#options
    const comm: Dialer = { dial: (wanted, _timeoutMs, done) => this.#dial(session, routes, wanted.target, done) }
    return createConnectChainer({ name: this.name, comm, clock, pool: this.#poolOf(session, comm) })
  }

  #poolOf(session: Session, comm: Dialer): OriginPool {
    const known = this.#pools.get(session)
    if (known !== undefined) return known
    const pool = createOriginPool({ comm, clock: this.#options.clock })
    this.#pools.set(session, pool)
    session.client.addCloseHandler(() => pool.close())
    return pool
  }

  #dial(session: Session, routes: readonly Route[], target: Route['target'], done: ConnectDone): { cancel(): void } {
    const { peer, original } = session.client
    const [left, right] = this.#options.pair(
      { peer: target, local: peer, original: { kind: 'direct' } },
      { peer, local: session.client.local, original },
      `side_stack ${this.name}`,
    )
    let cancelled = false
    queueMicrotask(() => {
      if (cancelled) return left.resetClose()
      this.#options.startRight(session, right, routes)
      done(null, left)
    })
    return {
      cancel() {
        cancelled = true
      },
    }
  }
}
