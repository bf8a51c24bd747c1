import type { AccessFacts, AccessList, Decision, Explanation } from '../../acl/index.ts'
import type { HierarchyCode } from '../../base/index.ts'
import type { Peer } from '../../peer/peer.ts'
import type { CarpKeyPart, PeerKind } from '../../conf/directive/peers.ts'
import { type Ring, ringOf } from './hash-ring.ts'
import { type Choice, type PeerView, type PingFound, type SelectRules, selectWays } from './select.ts'

// Which cache_peers, and whether the origin, for one request: what is asked of the conf and of the peers' state before
// `selectWays` decides, and what is written down of it afterwards.
//
//   always_direct, never_direct ──► who may be asked by ICP ──► (answers) ──► ways

/** A cache_peer of one conf. */
export interface PeerUse {
  readonly peer: Peer
  /** cache_peer_access; null = every request. */
  readonly access: AccessList | null
  /** neighbor_type_domain: the first that names the host. */
  readonly kinds: readonly { readonly kind: PeerKind; readonly names: (host: string) => boolean }[]
}

export interface PeerQuestion {
  readonly facts: AccessFacts
  readonly method: string
  /** http://host[:port]/path, or host:port for CONNECT. */
  readonly uri: string
  readonly scheme: string
  readonly host: string
  readonly port: number
  readonly path: string
  /** Another cache can help with it. */
  readonly hierarchical: boolean
  /** An accelerator without allow-direct asks peers only. */
  readonly neverDirect: boolean
  /** The stored response of a sibling will not do. */
  readonly freshOnly: boolean
  /** '' = nobody has said who he is. */
  readonly user: string
}

export interface PeerAnswer {
  readonly ways: readonly Choice<Peer>[]
  /** Not all who were asked by ICP answered in time. */
  readonly timedOut: boolean
}

/** What `choose` would say, and why. */
export interface ExplainedPeers {
  /** Null: no line. */
  readonly alwaysDirect: Explanation | null
  readonly neverDirect: Explanation | null
  /** As far as the conf goes: what peers say by ICP comes before it. */
  readonly ways: readonly { readonly peer: string; readonly code: HierarchyCode }[]
  readonly askedByIcp: readonly string[]
  /** Every cache_peer; `left` = why it is none of the ways, '' = it is one. */
  readonly peers: readonly { readonly name: string; readonly kind: PeerKind; readonly access: Explanation | null; readonly left: string }[]
}

/** Who asks peers by ICP. */
export interface PeerPing {
  /** Null: there is nobody to wait for. */
  ask(uri: string, targets: readonly PingTarget[]): Promise<PingAnswer> | null
}

export interface PingTarget {
  readonly peer: Peer
  readonly kind: PeerKind
}

export interface PingAnswer {
  readonly hit: PingTarget | null
  /** The parent whose miss came first, by its weight. */
  readonly firstMiss: Peer | null
  readonly timedOut: boolean
}

export interface PeerRouterOptions {
  readonly uses: readonly PeerUse[]
  /** Null: no line. */
  readonly alwaysDirect: AccessList | null
  readonly neverDirect: AccessList | null
  readonly rules: SelectRules
  /** Seconds; background-ping asks no more often. */
  readonly backgroundPingMs: number
}

interface View extends PeerView {
  readonly use: PeerUse
}

export class PeerRouter {
  readonly uses: readonly PeerUse[]
  /** Handed in when the conf begins to hold. */
  ping: PeerPing | null = null
  readonly #options: PeerRouterOptions
  readonly #byName: ReadonlyMap<string, PeerUse>
  readonly #carp: Ring<{ readonly name: string; readonly weight: number }>
  readonly #source: Ring<{ readonly name: string; readonly weight: number }>
  readonly #user: Ring<{ readonly name: string; readonly weight: number }>

  constructor(options: PeerRouterOptions) {
    const ring = (shares: (peer: Peer) => boolean) => ringOf(options.uses.map(({ peer }) => peer).filter(shares).map(({ line }) => line))
    this.uses = options.uses
    this.#options = options
    this.#byName = new Map(options.uses.map(use => [use.peer.name, use]))
    this.#carp = ring(({ line }) => line.carp)
    this.#source = ring(({ line }) => line.sourceHash)
    this.#user = ring(({ line }) => line.userHash)
  }

  choose(question: PeerQuestion): PeerAnswer | Promise<PeerAnswer> {
    const { alwaysDirect } = this.#options
    const always = alwaysDirect?.check(question.facts) ?? no
    return always instanceof Promise ? always.then(known => this.#afterAlways(question, known)) : this.#afterAlways(question, always)
  }

  /** Nothing is changed by it: no turn is taken, nobody is asked or probed. */
  async explain(question: PeerQuestion): Promise<ExplainedPeers> {
    const { facts } = question
    const alwaysDirect = (await this.#options.alwaysDirect?.explain(facts)) ?? null
    const only = alwaysDirect?.decision.allowed === true
    const neverDirect = only || question.neverDirect ? null : ((await this.#options.neverDirect?.explain(facts)) ?? null)
    const direct = only ? 'only' : question.neverDirect || neverDirect?.decision.allowed === true ? 'never' : 'also'
    const views = only ? [] : this.uses.map(use => viewOf(use, question, looksUsable(use.peer)))
    const ways = this.#ways(question, direct, views, null)
    const asks = this.ping !== null && !only && (direct === 'never' || question.hierarchical)
    const askedByIcp = asks ? this.uses.filter(use => this.#isToBeAsked(question, use)) : []
    const taken = new Set(ways.map(({ peer }) => peer?.use))
    const peers = await Promise.all(this.uses.map(async use => {
      const access = (await use.access?.explain(facts)) ?? null
      const kind = kindFor(use, question.host)
      return { name: use.peer.name, kind, access, left: taken.has(use) ? '' : only ? 'always_direct: no peer is asked' : whyLeft(use, kind, access, question) }
    }))
    return {
      alwaysDirect, neverDirect, peers,
      ways: ways.map(({ peer, code }) => ({ peer: peer?.name ?? '', code })),
      askedByIcp: askedByIcp.map(({ peer }) => peer.name),
    }
  }

  #afterAlways(question: PeerQuestion, always: Allows): PeerAnswer | Promise<PeerAnswer> {
    if (always.allowed) return this.#select(question, 'only', null, false)
    if (question.neverDirect) return this.#afterNever(question, yes)
    const never = this.#options.neverDirect?.check(question.facts) ?? no
    return never instanceof Promise ? never.then(known => this.#afterNever(question, known)) : this.#afterNever(question, never)
  }

  #afterNever(question: PeerQuestion, never: Allows): PeerAnswer | Promise<PeerAnswer> {
    const direct = never.allowed ? 'never' : 'also'
    const { ping } = this
    if (ping === null || (direct === 'also' && !question.hierarchical)) return this.#select(question, direct, null, false)
    const targets = this.uses.flatMap(use => (this.#isToBeAsked(question, use) ? [{ peer: use.peer, kind: kindFor(use, question.host) }] : []))
    const asked = targets.length === 0 ? null : ping.ask(question.uri, targets)
    if (asked === null) return this.#select(question, direct, null, false)
    return asked.then(({ hit, firstMiss, timedOut }) => {
      const found: PingFound<Peer> | null =
        hit !== null
          ? { peer: hit.peer, code: hit.kind === 'parent' ? 'PARENT_HIT' : 'SIBLING_HIT' }
          : firstMiss === null ? null : { peer: firstMiss, code: 'FIRST_PARENT_MISS' }
      return this.#select(question, direct, found, timedOut)
    })
  }

  #select(question: PeerQuestion, direct: 'only' | 'never' | 'also', found: PingFound<Peer> | null, timedOut: boolean): PeerAnswer {
    const views = direct === 'only' ? [] : this.uses.map(use => viewOf(use, question, use.peer.isUsable))
    const ways = this.#ways(question, direct, views, found)
    this.#tookTurn(ways)
    return { ways: ways.map(({ peer, code }) => ({ peer: peer === null ? null : peer.use.peer, code })), timedOut }
  }

  #ways(question: PeerQuestion, direct: 'only' | 'never' | 'also', views: readonly View[], found: PingFound<Peer> | null): readonly Choice<View>[] {
    return selectWays(
      { direct, hierarchical: question.hierarchical, sourceKey: question.facts.client.address, userKey: question.user },
      this.#options.rules,
      views,
      {
        carp: this.#carp,
        source: this.#source,
        user: this.#user,
        carpKey: name => carpKey(this.#byName.get(name)?.peer.line.carpKey ?? [], question),
        view: name => views.find(view => view.name === name),
      },
      found === null ? null : { peer: views.find(view => view.use.peer === found.peer) ?? null, code: found.code },
    )
  }

  #tookTurn(ways: readonly Choice<View>[]): void {
    const way = ways.find(({ code }) => code === 'ROUNDROBIN_PARENT')
    if (way === undefined || way.peer === null) return
    const { peer } = way.peer.use
    if (peer.line.roundRobin) return peer.took(1)
    if (peer.state.turns > turnsMax) for (const use of this.uses) if (use.peer.line.weightedRoundRobin) use.peer.beginTurnsAnew()
    peer.took(Math.max(1, Math.floor((peer.state.rtt - peer.line.baseTime) / peer.line.weight)))
  }

  /** Squid's peerWouldBePinged. */
  #isToBeAsked(question: PeerQuestion, use: PeerUse): boolean {
    const { peer } = use
    if (!peer.isQueried || !mayUse(use, question)) return false
    if (peer.line.kind === 'sibling' && !question.hierarchical) return false
    if (peer.line.backgroundPing && peer.askedWithin(this.#options.backgroundPingMs)) return false
    return peer.isDueForQuery || peer.isUp
  }
}

type Allows = Pick<Decision, 'allowed'>

const yes: Allows = { allowed: true }
const no: Allows = { allowed: false }

/** Milliseconds of weighted-round-robin after which counting begins anew. */
const turnsMax = 1_000_000

/** As `isUsable`, which also looks after who seems to be down. */
const looksUsable = (peer: Peer): boolean => peer.isUp && peer.hasRoom

const whyLeft = ({ peer }: PeerUse, kind: PeerKind, access: Explanation | null, { method, hierarchical, freshOnly }: PeerQuestion): string => {
  if (access?.decision.allowed === false) return `cache_peer_access: ${access.summary}`
  if (!peer.isUp) return 'it is down'
  if (!peer.hasRoom) return 'it has as many connections as max-conn= allows'
  if (kind === 'sibling') {
    if (!peer.isQueried) return 'a sibling, and it is not asked by ICP'
    if (!hierarchical || freshOnly) return 'a sibling, and what it may have will not do'
    return 'a sibling: only if it says by ICP that it has it'
  }
  if (peer.line.originServer && method === 'CONNECT') return 'an origin server is no proxy to tunnel through'
  return 'requests like this one go direct where they may (nonhierarchical_direct)'
}

const viewOf = (use: PeerUse, question: PeerQuestion, usable: boolean): View => {
  const { line, state } = use.peer
  return {
    use,
    name: line.name,
    kind: kindFor(use, question.host),
    usable: mayUse(use, question) && usable,
    roundRobin: line.roundRobin,
    weightedRoundRobin: line.weightedRoundRobin,
    weight: line.weight,
    turns: state.turns,
  }
}

const kindFor = ({ peer, kinds }: PeerUse, host: string): PeerKind => kinds.find(({ names }) => names(host))?.kind ?? peer.line.kind

/** Squid's peerAllowedToUse. */
const mayUse = (use: PeerUse, question: PeerQuestion): boolean => {
  const { line } = use.peer
  if (question.freshOnly && kindFor(use, question.host) === 'sibling') return false
  // an origin is no proxy to tunnel through, unless it is where the tunnel is to lead
  if (line.originServer && question.method === 'CONNECT' && question.port !== line.port) return false
  return use.access === null || use.access.checkFast(question.facts).allowed
}

/** Squid: what a URI lacks of the wished parts is nothing; if that is all, the URI stands in. */
const carpKey = (parts: readonly CarpKeyPart[], { scheme, host, port, path, uri }: PeerQuestion): string => {
  if (parts.length === 0) return uri
  const question = path.indexOf('?')
  const before = question < 0 ? path : path.slice(0, question)
  const texts: Record<CarpKeyPart, string> = {
    scheme: scheme === '' ? '' : `${scheme}://`,
    host,
    port: `:${port}`,
    path: before,
    params: question < 0 ? '' : path.slice(question),
  }
  const key = parts.map(part => texts[part]).join('')
  return key === '' ? uri : key
}
