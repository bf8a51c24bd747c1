import {
  type Clock, type DurationMs, elapsed, type Endpoint, type ErrorCode, type MonoMs, monoMs, ms, type ProxyError, type WallMs,
} from '../../base/index.ts'
import {
  addConditions, type Asking, type CacheKey, isConditional, isOriginFailure, type StoredResponse, type Validation,
  validationOf, type Writer,
} from '../../cache/index.ts'
import type { OriginFetch, OriginHandler, OriginRequest } from '../../chainer/chainer.ts'
import type { Fields } from '../../http/index.ts'
import type { Route, RouteAnswer } from '../../router/router.ts'
import { adapting } from './adapt/respmod.ts'
import { CountHttp } from './counters.ts'
import { passedFields, requestThere, routeHint, unruledPairs } from './forward-request.ts'
import { admitArrival, askingFor, confirmedBy, openFor, supersede } from './keep.ts'
import { tellServerMarks } from './packets.ts'
import { undecodable } from './response.ts'
import { noWay, peersFor, type ServerWay, WaysFetch, waysFor } from './server-ways.ts'
import type { Transaction } from './transaction.ts'
import { sayWhy } from './why.ts'

// stale-while-revalidate (RFC 5861 3): the client has the stale response already; behind its back the origin is asked
// whether it still holds, and what it says is kept for the next one. Nobody waits for this fetch: it outlives the
// client, sends nothing, and has a record of its own.
//
//   304 ──► fresh again            5xx, no answer ──► the stale one stays, within its window; not asked again for a while
//   200 ──► in its place           what may not be stored ──► the stale one goes, its content is not even read

type Send = (request: OriginRequest, handler: OriginHandler) => OriginFetch

interface Failing {
  readonly until: MonoMs
  readonly pause: DurationMs
}

/** Keys whose stored responses are being validated behind their clients' backs: one fetch each. */
export class ValidationsBehind {
  readonly #keys = new Set<CacheKey>()
  /** Of the last try; oldest first. */
  readonly #failing = new Map<CacheKey, Failing>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get count(): number {
    return this.#keys.size
  }

  begin(key: CacheKey): boolean {
    if (this.#keys.size >= validationsBehindMax || this.#keys.has(key)) return false
    const failing = this.#failing.get(key)
    if (failing !== undefined && this.#clock.mono() < failing.until) return false
    this.#keys.add(key)
    return true
  }

  /** `failed`: the origin could not say; the key has a pause, twice as long after each failure. */
  end(key: CacheKey, failed: boolean): void {
    this.#keys.delete(key)
    const before = this.#failing.get(key)
    this.#failing.delete(key)
    if (!failed) return
    const pause = ms(Math.min(pauseMaxMs, before === undefined ? pauseMinMs : 2 * before.pause))
    this.#failing.set(key, { until: monoMs(this.#clock.mono() + pause), pause })
    for (const oldest of this.#failing.keys()) {
      if (this.#failing.size <= failingMax) break
      this.#failing.delete(oldest)
    }
  }
}

/** At once; beyond that stale responses wait for a later request. As many connections to origins may come of it. */
const validationsBehindMax = 256
const pauseMinMs = 1000
const pauseMaxMs = 60_000
/** Keys remembered as failing; of those forgotten the next request asks again. */
const failingMax = 4096

/** `stored` is about to be given to the client of `t` although it is stale. */
export const validateBehind = (t: Transaction, stored: StoredResponse): void => {
  // a HEAD would bring no content to put in its place
  if (t.key === null || t.head.method !== 'GET' || !t.client.deps.validationsBehind.begin(t.key)) return
  CountHttp.validationsBehind++
  const asking = t.behind()
  withoutWishes(asking)
  new ValidatingBehind(asking, t.key, stored).start()
}

/**
 * What the client said to caches was about the stale response it has got: another cache on the way would take
 * only-if-cached and max-stale at their word, and we no-store.
 */
const withoutWishes = (t: Transaction): void => {
  if (!t.fields.has('cache-control') && !t.fields.has('pragma')) return
  const fields = t.fields.copy()
  fields.delete('cache-control')
  fields.delete('pragma')
  t.replaceRequest({ ...t.head, fields })
}

class ValidatingBehind implements OriginHandler {
  /** A request without a client: only what it asks for counts, and what the conf said then. */
  readonly #t: Transaction
  readonly #key: CacheKey
  #validation: Validation | null
  #requestTime: WallMs
  /** How to send it; null = nothing has been found yet. */
  #send: Send | null = null
  #fetch: OriginFetch | null = null
  #asking: Asking | null = null
  #writer: Writer | null = null
  #status = 0
  /** A 304 was about nothing we have: asked once more, without conditions. */
  #again = false
  /** The origin could not say. */
  #failed = false
  #askedAt: MonoMs

  constructor(t: Transaction, key: CacheKey, stored: StoredResponse) {
    this.#t = t
    this.#key = key
    this.#requestTime = t.client.deps.clock.wall()
    this.#askedAt = t.client.deps.clock.mono()
    const validation = validationOf(stored, t.variants ?? [stored], t.fields)
    this.#validation = isConditional(validation) ? validation : null
  }

  start(): void {
    const { session } = this.#t.client
    const peers = peersFor(this.#t)
    const ways = peers === null ? null : waysFor(this.#t, peers, true)
    const answer = ways ?? session.service.router.route(session, routeHint(this.#t))
    if (answer instanceof Promise) {
      answer.then(
        (known: RouteAnswer | readonly ServerWay[]) => this.#found(known),
        error => {
          this.#fail('internal', error instanceof Error ? error.message : '')
          this.#over()
        },
      )
    } else this.#found(answer)
  }

  #found(answer: RouteAnswer | readonly ServerWay[]): void {
    if ('ok' in answer) this.#go(answer)
    else this.#goBy(answer)
  }

  #goBy(ways: readonly ServerWay[]): void {
    if (ways.length === 0) {
      this.#fail('no-route', noWay().message)
      this.#over()
      return
    }
    this.#t.outcome.serverContentBytes = 0
    this.#ask((request, handler) => new WaysFetch(this.#t, ways, request, handler).start())
  }

  #go(answer: RouteAnswer): void {
    if (!answer.ok) {
      this.#fail(answer.error, answer.detail)
      this.#over()
      return
    }
    const o = this.#t.outcome
    o.hierarchy = answer.routes[0].hierarchy
    o.server = answer.routes[0].target
    o.serverContentBytes = 0
    const { session } = this.#t.client
    this.#ask((request, handler) => session.service.chainer.fetch(session, answer.routes, requestThere(this.#t, request), handler))
  }

  #fail(code: ErrorCode | null, detail: string): void {
    CountHttp.validationsBehindFailed++
    this.#failed = true
    this.#t.outcome.result = 'TCP_REFRESH_FAIL_OLD'
    this.#t.outcome.error = code
    this.#t.outcome.errorDetail = detail
  }

  #ask(send: Send): void {
    this.#send = send
    const t = this.#t
    const fields = passedFields(t)
    if (this.#validation !== null) addConditions(fields, this.#validation)
    else addConditions(fields, unconditional)
    this.#requestTime = t.client.deps.clock.wall()
    this.#asking = askingFor(t)
    const request = {
      method: 'GET', target: t.target?.path ?? '/', pairs: unruledPairs(t, fields), content: null,
      contentLength: undefined, idempotent: true,
    }
    this.#fetch = (t.policy.adaptation === null ? send : adapting(t, send))(request, this)
  }

  #over(): void {
    const t = this.#t
    const { clock, record, validationsBehind } = t.client.deps
    this.#answered()
    validationsBehind.end(this.#key, this.#failed)
    const o = t.outcome
    o.endedMono = clock.mono()
    o.serverResponseMs = elapsed(this.#askedAt, o.endedMono)
    o.serverTotalMs = o.serverResponseMs
    if (this.#fetch !== null) o.attempts = this.#fetch.attempts
    sayWhy(o)
    record(o)
  }

  #answered(fields: Fields | null = null): boolean {
    const asking = this.#asking
    if (asking === null) return false
    this.#asking = null
    const { collapse } = this.#t.client.deps
    const outdated = fields === null ? asking.outdated : collapse.isOutdated(asking, fields)
    collapse.answered(asking)
    return outdated
  }

  #giveUp(): void {
    this.#writer?.abandon()
    this.#writer = null
    this.#fetch?.abort()
    this.#over()
  }

  // ---- from the origin

  onConnected(server: Endpoint, local: Endpoint | null, route: Route): void {
    const o = this.#t.outcome
    o.server = server
    o.serverLocal = local
    o.forged = route.forged
    tellServerMarks(o, route)
    o.hierarchy = route.hierarchy
  }

  onInterim(): void {}

  onHead(status: number, reason: string, fields: Fields): void {
    const t = this.#t
    this.#status = status
    const o = t.outcome
    o.status = status
    o.serverStatus = status
    o.responseFields = fields
    o.contentType = fields.get('content-type') ?? ''
    o.result = status === 304 ? 'TCP_REFRESH_UNMODIFIED' : 'TCP_REFRESH_MODIFIED'
    const responseTime = t.client.deps.clock.wall()
    const outdated = this.#answered(fields)
    const arrival = { status, reason, fields, requestTime: this.#requestTime, responseTime, outdated }
    if (this.#validation !== null && status === 304) {
      this.#again = confirmedBy(t, this.#validation, arrival) === null
      return
    }
    if (isOriginFailure(status) || undecodable(fields) !== null) {
      this.#fail(null, `the origin answered ${status}`)
      this.#giveUp()
      return
    }
    const admission = admitArrival(t, arrival)
    const opened = admission?.kind === 'store' ? openFor(t, admission.response, arrival) : null
    if (opened?.ok === true) this.#writer = opened.writer
    else this.#giveUp()
  }

  onData(chunk: Buffer): boolean {
    this.#t.outcome.serverContentBytes += chunk.length
    if (this.#writer === null) return true
    if (this.#writer.append(chunk)) {
      if (!this.#writer.pressed) return true
      this.#writer.onRelieved = () => this.#fetch?.resume()
      return false
    }
    // too large after all: without the old one nobody asks for it behind a client's back again
    supersede(this.#t, this.#status)
    this.#giveUp()
    return true
  }

  onDoubt(): void {
    this.#writer?.abandon()
    this.#writer = null
  }

  onEnd(): void {
    this.#writer?.complete()
    if (this.#again && this.#send !== null) {
      this.#again = false
      this.#validation = null
      this.#ask(this.#send)
    } else this.#over()
  }

  onError(error: ProxyError): void {
    this.#fail(error.code, error.message)
    this.#writer?.abandon()
    this.#t.client.deps.notices.serverFailure(this.#t.outcome.uri, error)
    this.#over()
  }
}

const unconditional: Validation = { chosen: null, candidates: [], ifNoneMatch: null, ifModifiedSince: null }
