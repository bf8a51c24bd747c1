import type { Endpoint, ErrorCode, HierarchyCode } from '../base/index.ts'
import type { Peer } from '../peer/peer.ts'
import type { Session } from '../service/session.ts'
import type { TlsTarget } from '../tls/tls-client.ts'

/** What the proxy knows about the server it needs; how much of it counts is the router's decision. */
export interface RouteHint {
  /** Host name or address from the protocol (URL, Host field); null when the protocol names none. */
  readonly host: string | null
  /** 0 = not said. */
  readonly port: number
  /** The original destination and nothing else: unverified Host, or client_dst_passthru. */
  readonly pinned: boolean
  /** The policy allows the client's address at the server side (spoof_client_ip); the router must want it too. */
  readonly forge: boolean
  /** Whose address that is, if not who is connected (tproxy_uses_indirect_client). */
  readonly forgedAs?: Endpoint | undefined
  /** tcp_outgoing_address, by family; unused when forged. */
  readonly sourceIPv4: string | null
  readonly sourceIPv6: string | null
  /** tcp_outgoing_mark / tcp_outgoing_tos; undefined = not set. */
  readonly mark: number | undefined
  readonly tos: number | undefined
  /** The request itself goes in TLS, to whoever the host is; absent = in clear text. */
  readonly tls?: TlsTarget | undefined
  /** The CONNECT request that a cache_peer is asked first: `tls` is then spoken to the server behind it. */
  readonly tunnel?: string | undefined
  /** What may be wrong with the certificate of a cache_peer that is spoken to in TLS. */
  readonly judgePeer?: TlsTarget['judge'] | undefined
}

/** One way to a server. A list of them is tried in order by the chainer. */
export interface Route {
  readonly target: Endpoint
  /** Local address for the server side; null = the kernel chooses. Port 0 = any. A wildcard address: only the port. */
  readonly source: Endpoint | null
  /** `source` is not ours: needs COMM_TPROXY_REM, and never falls back to an address of ours. */
  readonly forged: boolean
  /** Where `source` has a port that is taken: another of its class will do (group), or any of it in the first place. */
  readonly ports?: 'group' | 'random' | undefined
  /** It is another address of the server of the route before. */
  readonly sameServer?: boolean
  readonly mark: number | undefined
  readonly tos: number | undefined
  /** TLS is spoken to the target, before anything else. */
  readonly tls?: TlsTarget | undefined
  readonly hierarchy: HierarchyCode
  /** The cache_peer at its end; absent = an origin. Whoever connects tells it what became of that. */
  readonly peer?: Peer | undefined
  /** The CONNECT request that opens the way through the peer: everything, TLS as well, is for the server behind it. */
  readonly tunnel?: string | undefined
  /** Its connection is for one client connection alone, and reused for any request of that one. */
  readonly tie?: Tie | undefined
}

/** What a server connection may be tied to: a client connection that has proved to a site who it is. */
export interface Tie {
  /** Of all ties of the process: no two are the same. */
  readonly id: string
  /** The client has gone: nothing is kept for it. */
  readonly ended: boolean
  /** Set by whoever keeps a connection for it: lets go of it. */
  release: (() => void) | null
  /** What was kept is gone. */
  lost(): void
}

export type RouteAnswer =
  | { readonly ok: true; readonly routes: readonly [Route, ...Route[]] }
  | { readonly ok: false; readonly error: ErrorCode; readonly detail: string }

/** Answers at once where it can: a promise only when a name has to be resolved. */
export interface Router {
  readonly name: string
  route(session: Session, hint: RouteHint): RouteAnswer | Promise<RouteAnswer>
  /** To a cache_peer instead. Absent: its sessions have servers of their own. */
  routeToPeer?(session: Session, hint: RouteHint, peer: Peer, hierarchy: HierarchyCode): RouteAnswer | Promise<RouteAnswer>
}
