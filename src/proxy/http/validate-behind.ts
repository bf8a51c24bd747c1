import { ProxyError, type WallMs } from '../../base/index.ts'
import {
  addConditions, type Asking, type CacheKey, isConditional, isOriginFailure, type StoredResponse, type Validation,
  validationOf, type Writer,
} from '../../cache/index.ts'
import type { OriginFetch, OriginHandler } from '../../chainer/chainer.ts'
import type { Fields } from '../../http/index.ts'
import type { Route } from '../../router/router.ts'
import { CountHttp } from './counters.ts'
import { originPairs, passedFields, routeHint } from './forward-request.ts'
import { admitArrival, askingFor, confirmedBy, openFor, supersede } from './keep.ts'
import { undecodable } from './response.ts'
import type { Transaction } from './transaction.ts'

// stale-while-revalidate (RFC 5861 3): the client has the stale response already; behind its back the origin is asked
// whether it still holds, and what it says is kept for the next one. Nobody waits for this fetch: it outlives the
// client, sends nothing, and leaves no record but counters.
//
//   304 ──► fresh again            5xx, no answer ──► the stale one stays, within its window
//   200 ──► in its place           what may not be stored ──► the stale one goes, its content is not even read

/** Keys whose stored responses are being validated behind their clients' backs: one fetch each. */
export class ValidationsBehind {
  readonly #keys = new Set<CacheKey>()

  get count(): number {
    return this.#keys.size
  }

  begin(key: CacheKey): boolean {
    if (this.#keys.size >= validationsBehindMax || this.#keys.has(key)) return false
    this.#keys.add(key)
    return true
  }

  end(key: CacheKey): void {
    this.#keys.delete(key)
  }
}

/** At once; beyond that stale responses wait for a later request. As many connections to origins may come of it. */
const validationsBehindMax = 256

/** `stored` is about to be given to the client of `t` although it is stale. */
export const validateBehind = (t: Transaction, stored: StoredResponse): void => {
  // a HEAD would bring no content to put in its place
  if (t.key === null || t.head.method !== 'GET' || !t.client.deps.validationsBehind.begin(t.key)) return
  CountHttp.validationsBehind++
  new ValidatingBehind(t.behind(), t.key, stored).start()
}

class ValidatingBehind implements OriginHandler {
  /** A request without a client: only what it asks for counts, and what the conf said then. */
  readonly #t: Transaction
  readonly #key: CacheKey
  #validation: Validation | null
  #requestTime: WallMs
  #routes: readonly [Route, ...Route[]] | null = null
  #fetch: OriginFetch | null = null
  #asking: Asking | null = null
  #writer: Writer | null = null
  #status = 0
  /** A 304 was about nothing we have: asked once more, without conditions. */
  #again = false

  constructor(t: Transaction, key: CacheKey, stored: StoredResponse) {
    this.#t = t
    this.#key = key
    this.#requestTime = t.client.deps.clock.wall()
    const validation = validationOf(stored, t.variants ?? [stored])
    this.#validation = isConditional(validation) ? validation : null
  }

  start(): void {
    const { session } = this.#t.client
    const answer = session.service.router.route(session, routeHint(this.#t))
    if (answer instanceof Promise) answer.then(known => this.#go(known.ok ? known.routes : null), () => this.#over())
    else this.#go(answer.ok ? answer.routes : null)
  }

  #go(routes: readonly [Route, ...Route[]] | null): void {
    if (routes === null) {
      CountHttp.validationsBehindFailed++
      this.#over()
      return
    }
    this.#routes = routes
    this.#ask(routes)
  }

  #ask(routes: readonly Route[]): void {
    const t = this.#t
    const fields = passedFields(t)
    if (this.#validation !== null) addConditions(fields, this.#validation)
    else addConditions(fields, unconditional)
    this.#requestTime = t.client.deps.clock.wall()
    this.#asking = askingFor(t)
    const { session } = t.client
    this.#fetch = session.service.chainer.fetch(
      session,
      routes,
      {
        method: 'GET', target: t.target?.path ?? '/', pairs: originPairs(t, fields), content: null,
        contentLength: undefined, idempotent: true,
      },
      this,
    )
  }

  #over(): void {
    this.#answered()
    this.#t.client.deps.validationsBehind.end(this.#key)
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

  onConnected(): void {}
  onInterim(): void {}

  onHead(status: number, reason: string, fields: Fields): void {
    const t = this.#t
    this.#status = status
    const responseTime = t.client.deps.clock.wall()
    const outdated = this.#answered(fields)
    const arrival = { status, reason, fields, requestTime: this.#requestTime, responseTime, outdated }
    if (this.#validation !== null && status === 304) {
      this.#again = confirmedBy(t, this.#validation, arrival) === null
      return
    }
    if (isOriginFailure(status) || undecodable(fields) !== null) {
      CountHttp.validationsBehindFailed++
      this.#giveUp()
      return
    }
    const admission = admitArrival(t, arrival)
    const opened = admission?.kind === 'store' ? openFor(t, admission.response, arrival) : null
    if (opened?.ok === true) this.#writer = opened.writer
    else this.#giveUp()
  }

  onData(chunk: Buffer): boolean {
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

  onEnd(): void {
    this.#writer?.complete()
    if (this.#again && this.#routes !== null) {
      this.#again = false
      this.#validation = null
      this.#ask(this.#routes)
    } else this.#over()
  }

  onError(error: ProxyError): void {
    CountHttp.validationsBehindFailed++
    this.#writer?.abandon()
    this.#t.client.deps.notices.serverFailure(this.#t.outcome.uri, error)
    this.#over()
  }
}

const unconditional: Validation = { chosen: null, candidates: [], ifNoneMatch: null, ifModifiedSince: null }
