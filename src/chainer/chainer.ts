import type { Connection } from '../../comm/connection.ts'
import type { Attempt } from '../../comm/engine/engine.ts'
import type { Endpoint, GiveUpSignal, ProxyError } from '../base/index.ts'
import type { Fields } from '../http/index.ts'
import type { Route } from '../router/router.ts'
import type { Session } from '../service/session.ts'
import type { ServerSight } from '../tls/index.ts'

// The only way to a server. `connect` gives a raw connection (tunnels, plug); `fetch` one HTTP exchange over pooled
// connections. Both walk the routes in order; a refusal of one does not end the walk.

export interface Chainer {
  readonly name: string
  /**
   * `done` comes once, and not before this has returned; not at all after cancel. It fails with connect-failed,
   * connect-timeout, spoof-failed, socket-failed, shutting-down.
   */
  dial(session: Session, routes: readonly Route[], done: ChainedDone): Attempt
  /** The same as a promise, which rejects with ProxyError; client-aborted when `signal` aborts. */
  connect(session: Session, routes: readonly Route[], signal: GiveUpSignal): Promise<Chained>
  /**
   * Never throws: every failure arrives at handler.onError, exactly once, instead of onEnd. onConnected may come before
   * this returns; everything else comes later.
   */
  fetch(session: Session, routes: readonly Route[], request: OriginRequest, handler: OriginHandler): OriginFetch
  /**
   * A connection that `connect` has made with TLS and on which nothing has been said: it is for the next request that may
   * use it, or closes. Absent: whoever connects keeps it to himself.
   */
  keep?(chained: Chained, sight: ServerSight): void
}

/** One of the two is null. */
export type ChainedDone = (error: ProxyError | null, chained: Chained | null) => void

export interface Chained {
  readonly connection: Connection
  readonly route: Route
  readonly attempts: number
  /** To be told when nobody was there after all. Datagrams only, and where the chainer remembers. */
  readonly unanswered?: (() => void) | undefined
}

export interface OriginRequest {
  readonly method: string
  /** As it goes on the request line: origin-form, or `*`. */
  readonly target: string
  /** name, value, name, value ... in the order to send; Host included; hop-by-hop fields already removed. */
  readonly pairs: readonly string[]
  /** Null = no content. An iterable is read once: a request with one is never retried after its first byte was asked for. */
  readonly content: Buffer | AsyncIterable<Uint8Array> | null
  /** Known length of an iterable; undefined = chunked. */
  readonly contentLength: number | undefined
  /** RFC 9110 9.2.2: may be sent again after a connection that was reused closed before the first byte of an answer. */
  readonly idempotent: boolean
  /** server_pconn_for_nonretriable: a kept connection will do, though it could not be sent a second time. */
  readonly keptWillDo?: boolean
  /** broken_posts: CR LF goes behind content whose length is known. */
  readonly extraLine?: boolean
}

export interface OriginHandler {
  /** A connection carries the request now: which ends it has, and whether it had been used before. */
  onConnected(server: Endpoint, local: Endpoint | null, route: Route, reused: boolean): void
  /** 1xx other than 100 and 101, in order, before onHead. */
  onInterim(status: number, pairs: readonly string[]): void
  onHead(status: number, reason: string, fields: Fields): void
  /**
   * False: stop until OriginFetch.resume. The chunk may be a part of a read buffer: it may be written to connections
   * within the call, and whoever keeps it copies it.
   */
  onData(chunk: Buffer): boolean
  /**
   * Right before onEnd: nobody has said that this is the whole, it is only taken for it. Not to be stored. Absent: all the
   * same to it.
   */
  onDoubt?(): void
  onEnd(trailers: readonly string[]): void
  onError(error: ProxyError): void
}

export interface OriginFetch {
  resume(): void
  /** Nothing is called after it. The connection is closed, since an answer is still on its way. */
  abort(): void
  readonly attempts: number
}
