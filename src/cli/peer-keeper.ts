import { type Attempt, CommError } from '../../comm/index.ts'
import { type Clock, type DurationMs, endpoint, ms, type Timer } from '../base/index.ts'
import type { OriginPool } from '../chainer/index.ts'
import { askMonitorUrl, type DialPeer, type Peer } from '../peer/index.ts'
import { addressesOf, type PeerRouter } from '../router/index.ts'
import { beginPeers, type PeerParts } from './peers.ts'

// What is done about peers without a request: connections are kept ready (standby=), pages asked for (monitorurl=), and names
// looked up again for those that are only asked by ICP.

/** What has been used is opened again so soon. */
const standbyEvery = ms(1000)
/** Squid: once an hour. The resolver knows how long a name holds. */
const namesEvery = ms(10 * 60_000)

export class PeerKeeper {
  readonly #parts: PeerParts
  readonly #pool: OriginPool
  #peers: PeerRouter | null = null
  /** Timers and questions of the present conf: cancelled with it. */
  #stops: (() => void)[] = []

  constructor(parts: PeerParts, pool: OriginPool) {
    this.#parts = parts
    this.#pool = pool
  }

  /** These hold from now on. */
  use(peers: PeerRouter | null): void {
    this.stop()
    beginPeers(peers, this.#peers, this.#parts)
    this.#peers = peers
    const all = (peers?.uses ?? []).map(({ peer }) => peer)
    const ready = all.filter(({ line }) => line.standby > 0)
    if (ready.length > 0) this.#every(standbyEvery, () => ready.forEach(peer => this.#prepare(peer)))
    const queried = all.filter(peer => peer.isQueried)
    if (queried.length > 0) this.#every(namesEvery, () => queried.forEach(peer => this.#locate(peer)))
    for (const peer of all) if (peer.line.monitorUrl !== '') this.#monitor(peer)
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop()
  }

  #prepare(peer: Peer): void {
    const [address] = peer.state.addresses
    if (address === undefined || !peer.isUsable) return
    const route = {
      target: endpoint(address, peer.line.port), source: null, forged: false, mark: undefined, tos: undefined, peer,
      hierarchy: 'FIRSTUP_PARENT', // not a part of what connections are known by
      tls: peer.tls === null ? undefined : { ...peer.tls, judge: () => null }, // each request judges what was seen for itself
    } as const
    this.#pool.prepare(route, peer.line.standby, peer.connectTimeout)
  }

  #locate(peer: Peer): void {
    void Promise.resolve(addressesOf(peer.line.host, this.#parts.lookup)).then(answer => {
      if (answer.ok) peer.livesAt(answer.addresses)
    })
  }

  #monitor(peer: Peer): void {
    const { comm } = this.#parts
    const plain: DialPeer = (target, timeout, done) => comm.dial({ target, flags: 0, note: `monitor ${peer.name}` }, timeout, done)
    const dial = peer.tls === null ? plain : secured(peer.tls, plain)
    let asking: Attempt | null = null
    this.#stops.push(() => asking?.cancel())
    this.#every(ms(peer.line.monitorInterval * 1000), () => {
      const [address] = peer.state.addresses
      if (address === undefined) return this.#locate(peer)
      asking ??= askMonitorUrl(peer.line, endpoint(address, peer.line.port), dial, fault => {
        asking = null
        peer.monitored(fault)
      })
    })
  }

  #every(interval: DurationMs, act: () => void): void {
    let timer: Timer = again(this.#parts.clock, interval, () => turn())
    const turn = (): void => {
      act()
      timer = again(this.#parts.clock, interval, turn)
    }
    this.#stops.push(() => timer.cancel())
  }
}

/**
 * The page is asked for inside TLS. What is wrong with the peer's certificate is for each request to judge: here it is asked
 * whether the peer works.
 */
const secured =
  (tls: NonNullable<Peer['tls']>, plain: DialPeer, repeats = true): DialPeer =>
  (target, timeout, done) => {
    let attempt = plain(target, timeout, (error, connection) => {
      if (connection === null) return done(error, null)
      attempt = tls.client.connect(connection, tls, timeout, (failure, found) => {
        if (found !== null) done(null, found.connection)
        // certificates it forgets to send have been fetched meanwhile
        else if (failure?.kind === 'again' && repeats) attempt = secured(tls, plain, false)(target, timeout, done)
        else done(new CommError(failure?.code || 'EPROTO', 'connect', `TLS: ${failure?.message ?? 'no connection'}`), null)
      })
    })
    return { cancel: () => attempt.cancel() }
  }

const again = (clock: Clock, interval: DurationMs, act: () => void): Timer => clock.after(interval, act, { unref: true })
