import type { HierarchyCode } from '../../base/index.ts'
import { type Ring, takerOf } from './hash-ring.ts'

// Which ways a request may take where there are other proxies, in the order to try: Squid's peer_select. Pure: who is up,
// who is allowed and whose turn it is are told, and what was chosen is written down by whoever asked.
//
//   who answered ICP ──► one parent by rule ──► every other parent ──► default parent      never_direct ends here
//                  (prefer_direct: origin first) ──► origin                                always_direct begins here

/** What is known of a peer when a request comes. */
export interface PeerView {
  readonly name: string
  /** For this host (neighbor_type_domain). */
  readonly kind: 'parent' | 'sibling'
  /** Up, with room for one more connection, and this request may go there. */
  readonly usable: boolean
  readonly roundRobin: boolean
  readonly weightedRoundRobin: boolean
  readonly weight: number
  /** How much of its turn it has had. */
  readonly turns: number
}

export interface SelectRequest {
  /** May the origin be asked: only (always_direct), never, or as well. */
  readonly direct: 'only' | 'never' | 'also'
  /** Another cache can help with it. */
  readonly hierarchical: boolean
  /** What the rings go by. */
  readonly sourceKey: string
  /** '' = nobody has said who he is. */
  readonly userKey: string
}

export interface SelectRules {
  readonly preferDirect: boolean
  readonly nonhierarchicalDirect: boolean
}

export interface Rings<P extends PeerView> {
  readonly carp: Ring<Named>
  readonly source: Ring<Named>
  readonly user: Ring<Named>
  readonly carpKey: (name: string) => string
  readonly view: (name: string) => P | undefined
}

interface Named {
  readonly name: string
}

/** A way to take; null = the origin. */
export interface Choice<P> {
  readonly peer: P | null
  readonly code: HierarchyCode
}

/** Who answered a query: a hit wherever, else the parent that was quickest to miss; null = not there any more. */
export interface PingFound<P> {
  readonly peer: P | null
  readonly code: HierarchyCode
}

export const selectWays = <P extends PeerView>(
  request: SelectRequest,
  rules: SelectRules,
  peers: readonly P[],
  rings: Rings<P>,
  found: PingFound<P> | null,
): readonly Choice<P>[] => {
  const ways: Choice<P>[] = []
  const add = (peer: P | null, code: HierarchyCode): void => {
    if (!ways.some(way => way.peer === peer)) ways.push({ peer, code })
  }
  if (request.direct === 'only') return [{ peer: null, code: 'HIER_DIRECT' }]
  if (found !== null && found.peer !== null) add(found.peer, found.code)
  const parents = (): void => {
    const first = parentByRule(request, peers, rings)
    if (first !== null) add(first.peer, first.code)
    for (const peer of peers) if (isParent(peer)) add(peer, 'ANY_OLD_PARENT')
  }
  if (request.direct === 'never') {
    parents()
    return ways
  }
  if (rules.preferDirect) add(null, 'HIER_DIRECT')
  if (request.hierarchical || !rules.nonhierarchicalDirect) parents()
  add(null, 'HIER_DIRECT')
  return ways
}

const isParent = (peer: PeerView): boolean => peer.kind === 'parent' && peer.usable

/** The one parent this request is for. */
const parentByRule = <P extends PeerView>(
  request: SelectRequest,
  peers: readonly P[],
  rings: Rings<P>,
): { readonly peer: P; readonly code: HierarchyCode } | null => {
  const may = ({ name }: Named): boolean => rings.view(name)?.usable === true
  const of = (taker: Named | null): P | undefined => (taker === null ? undefined : rings.view(taker.name))
  const bySource = of(takerOf(rings.source, () => request.sourceKey, may, false))
  if (bySource !== undefined) return { peer: bySource, code: 'SOURCEHASH_PARENT' }
  const byUser = request.userKey === '' ? undefined : of(takerOf(rings.user, () => request.userKey, may, false))
  if (byUser !== undefined) return { peer: byUser, code: 'USERHASH_PARENT' }
  const byUri = of(takerOf(rings.carp, ({ name }) => rings.carpKey(name), may, true))
  if (byUri !== undefined) return { peer: byUri, code: 'CARP' }
  const parents = peers.filter(isParent)
  const inTurn = nextInTurn(parents.filter(peer => peer.roundRobin), peer => peer.turns / peer.weight)
    ?? nextInTurn(parents.filter(peer => peer.weightedRoundRobin), peer => peer.turns)
  if (inTurn !== null) return { peer: inTurn, code: 'ROUNDROBIN_PARENT' }
  const [first] = parents
  if (first !== undefined) return { peer: first, code: 'FIRSTUP_PARENT' }
  return null
}

/** Who has had least; of equal ones the last in the conf, as in Squid. */
const nextInTurn = <P extends PeerView>(peers: readonly P[], had: (peer: P) => number): P | null => {
  let next: P | null = null
  for (const peer of peers) if (next === null || had(next) >= had(peer)) next = peer
  return next
}
