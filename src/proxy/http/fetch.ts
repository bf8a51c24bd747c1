import { elapsed, type Endpoint, type MonoMs, ProxyError, type WallMs } from '../../base/index.ts'
import {
  addConditions, type Asking, conditionOf, dropConditions, dropRange, fetchesOn, fieldsForOne, type Growing, type GrowingSource,
  isConditional, isOriginFailure, mayCollapse, staleOnError, type StoredResponse, type Validation, validationOf, withoutTags,
  type Writer,
} from '../../cache/index.ts'
import type { OriginFetch, OriginHandler, OriginRequest } from '../../chainer/chainer.ts'
import { endToEndFields, fieldLines, Fields, httpDate, isIdempotent } from '../../http/index.ts'
import type { Route, RouteAnswer } from '../../router/router.ts'
import { CompletingFetch } from './complete-part.ts'
import { challengeLines, tiedRoutes } from './connection-auth.ts'
import { CountHttp } from './counters.ts'
import { cutWhole, sendNotModified } from './cut-whole.ts'
import { adapting } from './adapt/respmod.ts'
import { contentOf } from './adapt/reqmod.ts'
import { slowed } from './delay/slowed.ts'
import { follow, followOwn } from './follow.ts'
import { passedFields, requestThere, routeHint, unruledPairs } from './forward-request.ts'
import { admitArrival, type Arrival, askingFor, confirmedBy, keepBroken, keepComplete, openFor } from './keep.ts'
import { judgeResponse } from './judge-response.ts'
import { JudgedLater } from './judged-later.ts'
import { missDenied } from './miss-access.ts'
import { markResponse, tellServerMarks } from './packets.ts'
import { fetchesWhole, rangeOffsetLimit } from './range-offset.ts'
import {
  breakOff, connectionLine, contentFraming, endContent, headText, sendHead, undecodable, writeContent,
} from './response.ts'
import { passChallenges, passesLogin } from './peer-request.ts'
import { noWay, peersFor, type ServerWay, WaysFetch, waysFor } from './server-ways.ts'
import type { Next } from './steps.ts'
import type { ServerSide, Transaction } from './transaction.ts'

// The response from the origin: to the client piece by piece, and into the store beside it.
//
//   origin ──onHead──► head to the client, writer opened if it may be stored
//          ──onData──► client ──false──► pause … drained ──► resume
//                  └─► writer
//          ──onEnd───► writer complete, finish
//
// Asked with a validation, the origin may say 304: then the stored response is delivered with new fields.
//
// A client that leaves, or has what it wanted (a 304, its range of the whole), does not end the fetch where quick_abort_*
// says otherwise: then it goes on for the store alone. What a fetch that breaks off has brought may be kept as a part.
//
// With collapsed_forwarding a response that may be stored is shared: content goes into a Growing, and this client reads
// it there like everybody else, at its own pace. When this client leaves, the fetch goes on for the others.

export const fetch = (t: Transaction): Promise<Next> => {
  CountHttp.misses++
  const { requestDelayed } = t.policy.limits
  const slowContent = requestDelayed > 0 && t.content !== null && !t.content.complete
  return slowContent ? fetchWhenThere(t, requestDelayed) : fetchFrom(t, null)
}

/** request_body_delay_forward_size: the server is not kept by a client that sends slowly. */
const fetchWhenThere = async (t: Transaction, bytes: number): Promise<Next> => {
  await t.content?.reached(bytes)
  return t.over || t.failure !== null ? 'done' : fetchFrom(t, null)
}

/** `validated`: the stored response the origin is asked about; null = a plain request. */
export const fetchFrom = (t: Transaction, validated: StoredResponse | null, mayFollow = true): Promise<Next> => {
  const { collapse } = t.client.deps
  t.asWhole = fetchesWhole(t)
  if (mayFollow && collapse.on && t.mayCache && t.key !== null && mayShare(t) && mayCollapse(t.head.method, t.asks, t.asWhole)) {
    const growing = collapse.find(t.key, t.fields)
    if (growing !== null) return follow(t, growing)
  }
  if (t.policy.access.miss !== null && missDenied(t, t.policy.access.miss)) return refused
  const peers = peersFor(t)
  if (peers !== null) {
    const ways = waysFor(t, peers, validated !== null || t.asks?.reload === true)
    return ways instanceof Promise ? ways.then(known => goBy(t, validated, known)) : goBy(t, validated, ways)
  }
  const answer = t.client.session.service.router.route(t.client.session, routeHint(t))
  if (!(answer instanceof Promise)) return go(t, validated, answer)
  const asked = t.client.deps.clock.mono()
  return answer.then(known => {
    t.waitedForNames(asked)
    return go(t, validated, known)
  })
}

/** collapsed_forwarding_access. */
const mayShare = (t: Transaction): boolean => t.policy.access.collapsedForwarding?.checkFast(t.client.facts).allowed ?? true

const go = (t: Transaction, validated: StoredResponse | null, answer: RouteAnswer): Promise<Next> => {
  if (t.over) return over
  if (!answer.ok) return Promise.resolve(instead(t, validated, new ProxyError(answer.error, answer.detail)))
  return new Promise(resolve => new Fetching(t, validated, { routes: answer.routes }, resolve).start())
}

const goBy = (t: Transaction, validated: StoredResponse | null, ways: readonly ServerWay[]): Promise<Next> => {
  if (t.over) return over
  if (ways.length === 0) return Promise.resolve(instead(t, validated, noWay()))
  return new Promise(resolve => new Fetching(t, validated, { ways }, resolve).start())
}

/** How to get there: by what the router found, or by ways that are looked up one by one. */
type Reach = { readonly routes: readonly [Route, ...Route[]] } | { readonly ways: readonly ServerWay[] }

const over: Promise<Next> = Promise.resolve('done')
const refused: Promise<Next> = Promise.resolve('refuse')

/** The origin gave nothing: the stale response where that is allowed, else the failure. */
const instead = (t: Transaction, validated: StoredResponse | null, failure: ProxyError): Next => {
  t.failure = failure
  if (validated === null) return 'refuse'
  if (useStale(t, validated, failure.message)) {
    t.failure = null
    t.outcome.error = failure.code
    return 'deliver'
  }
  if (t.outcome.reuseReason === 'must-revalidate' || t.outcome.reuseReason === 'no-cache') {
    // RFC 9111 5.2.2.2: "a cache MUST generate an error response", 504 rather than whatever went wrong
    t.failure = new ProxyError('stale-forbidden', failure.message, { side: 'server', errno: failure.errno, cause: failure })
  }
  return 'refuse'
}

/** RFC 9111 4.2.4, after a validation that failed. */
const useStale = (t: Transaction, validated: StoredResponse, why: string): boolean => {
  const use = staleOnError(validated, t.asks, t.policy.cache, t.client.deps.clock.wall())
  t.outcome.reuseReason = use.reason
  t.outcome.result = use.kind === 'stale' ? 'TCP_REFRESH_FAIL_OLD' : 'TCP_REFRESH_FAIL_ERR'
  if (use.kind === 'stale') t.outcome.errorDetail = why
  return use.kind === 'stale'
}

/**
 * Fetches without a client, at a time: a client may begin one and leave as often as it likes. Fewer than one origin gets
 * connections, so that others still reach it.
 */
const goingOnMax = 128
let goingOn = 0

class Fetching implements OriginHandler, GrowingSource, ServerSide {
  readonly #t: Transaction
  readonly #validated: StoredResponse | null
  readonly #validation: Validation | null
  /** cache_miss_revalidate off: the client's conditions stay here. */
  readonly #keepsConditions: boolean
  readonly #reach: Reach
  readonly #resolve: (next: Next) => void
  readonly #requestTime: WallMs
  readonly #startedMono: MonoMs
  #fetch: OriginFetch | null = null
  /** The fetch, where stored parts are put together with what is missing. */
  #completing: CompletingFetch | null = null
  /** Bytes of content so far, stored ones included. */
  #received = 0
  /** Until the head is here. */
  #asking: Asking | null = null
  #writer: Writer | null = null
  /** Others may join this fetch. */
  #growing: Growing | null = null
  /** Its response is being shared: the growing one has the content and the say. */
  #shared = false
  #paused = false
  /** The client has to take more first. */
  #clientFull = false
  /** A 304 has come that is about this. */
  #confirmed: StoredResponse | null = null
  /** A 304 has come that is about nothing we have. */
  #again = false
  /** The client of this transaction is served otherwise, or gone. */
  #over = false
  /** The store wants it, with clients or without. */
  #forStore = false
  /** It is one of those without a client; a client may have joined since. */
  #goesOn = false
  /** Who is asked now. */
  #connected: Endpoint | null = null
  /** The head waits for its verdict. */
  #unjudged: JudgedLater | null = null

  constructor(
    t: Transaction,
    validated: StoredResponse | null,
    reach: Reach,
    resolve: (next: Next) => void,
  ) {
    this.#t = t
    this.#validated = validated
    this.#validation = validationFor(t, validated)
    this.#keepsConditions = this.#validation === null && keepsConditions(t)
    this.#reach = reach
    this.#resolve = resolve
    this.#requestTime = t.client.deps.clock.wall()
    this.#startedMono = t.client.deps.clock.mono()
  }

  start(): void {
    const t = this.#t
    const { session, deps } = t.client
    if (t.mayCache && t.key !== null && deps.collapse.on && mayShare(t) && this.#worthSharing()) {
      this.#growing = deps.collapse.begin(t.key, this)
    }
    t.serverSide = this
    t.outcome.serverContentBytes = 0
    this.#asking = askingFor(t)
    const reach = this.#reach
    if ('routes' in reach) {
      t.outcome.hierarchy = reach.routes[0].hierarchy
      t.outcome.server = reach.routes[0].target // until another one is reached
    }
    const send = (request: OriginRequest, handler: OriginHandler): OriginFetch =>
      'routes' in reach ? session.service.chainer.fetch(session, tiedRoutes(t, reach.routes), request, handler) : new WaysFetch(t, reach.ways, request, handler).start()
    const slow = t.policy.delay !== null && t.policy.delay.server.length > 0
    const calm = !slow ? send : (request: OriginRequest, handler: OriginHandler) => slowed(t, handler, to => send(request, to))
    const ask = t.policy.adaptation === null || t.policy.adaptation.responseSteps === 0 ? calm : adapting(t, calm)
    if (t.partial === null || t.completing === null) this.#fetch = ask(this.#request(), this)
    else {
      this.#completing = new CompletingFetch(ask, this.#request(), t.partial, t.completing, this)
      this.#fetch = this.#completing
      this.#completing.start()
    }
  }

  /**
   * Whether others should wait for what this request brings: not for an answer to a condition of the client's own, and
   * not for what is most likely for this client alone (RFC 9111 3.5).
   */
  #worthSharing(): boolean {
    const { head, asks, fields } = this.#t
    if (!mayCollapse(head.method, asks, this.#t.asWhole) || fields.has('authorization')) return false
    return this.#validation !== null || this.#keepsConditions || asks === null || !asks.conditional
  }

  #request(): OriginRequest {
    const t = this.#t
    const fields = passedFields(t)
    if (this.#validation !== null) addConditions(fields, this.#validation, !t.asWhole)
    else {
      if (t.asWhole) dropRange(fields)
      if (this.#keepsConditions) dropConditions(fields)
    }
    const { content, length } = contentOf(t)
    const request = {
      method: t.head.method,
      target: t.head.form === 'asterisk' ? '*' : (t.target?.path ?? '/'),
      pairs: unruledPairs(t, fields),
      content,
      contentLength: length,
      idempotent: isIdempotent(t.head.method),
    }
    // with ways to choose from, each has a word in it
    return 'routes' in this.#reach ? requestThere(t, request) : request
  }

  // ---- steered by those who read

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#fetch?.resume()
  }

  /** Nobody waits for it any more. */
  deserted(): void {
    if (!this.#over || this.#fetch === null) return // this client still does
    if (this.#fetchesOn() && this.#mayGoOn()) this.resume()
    else this.#stop()
  }

  /** There may be so many fetches without a client, and no more. */
  #mayGoOn(): boolean {
    if (this.#goesOn) return true
    if (goingOn >= goingOnMax) {
      CountHttp.fetchesOnFull++
      return false
    }
    CountHttp.fetchesOn++
    goingOn++
    this.#goesOn = true
    return true
  }

  #ended(): void {
    if (this.#goesOn) goingOn--
    this.#goesOn = false
  }

  /** quick_abort_*: there is something to be stored, and it is worth the rest. */
  #fetchesOn(): boolean {
    const writer = this.#writer
    if (writer === null || writer.refusal !== null) return false
    if (this.#forStore) return true
    if (this.#t.asWhole && rangeOffsetLimit(this.#t) === Number.POSITIVE_INFINITY) return true
    return fetchesOn(this.#t.policy.quickAbort, this.#received, writer.response.contentLength)
  }

  /** What has come may be kept; more is not asked for. */
  #stop(): void {
    this.#keepBroken()
    this.#growing?.fail()
    this.#growing = null
    this.#abort()
  }

  #keepBroken(): void {
    if (this.#writer !== null) keepBroken(this.#t, this.#writer)
    this.#writer = null
  }

  drained(): void {
    this.#clientFull = false
    this.#goOn()
  }

  /** When neither the client nor the disk is behind. */
  #goOn(): void {
    if (!this.#clientFull && this.#writer?.pressed !== true) this.resume()
  }

  clientGone(): void {
    this.#over = true
    this.#left()
  }

  /** This client needs no more of it. */
  #left(): void {
    if (this.#growing !== null && this.#growing.followers > 0) return // it goes on for them
    this.#clientFull = false
    this.deserted()
  }

  /** The client has what it wanted, though the content goes on. */
  #served(): void {
    this.#end('finish')
    this.#left()
  }

  #abort(): void {
    this.#ended()
    this.#answered()
    this.#fetch?.abort()
    this.#fetch = null
  }

  /** Nothing is asked for any more. True: what was asked for has changed meanwhile. */
  #answered(fields: Fields | null = null): boolean {
    const asking = this.#asking
    if (asking === null) return false
    this.#asking = null
    const { collapse } = this.#t.client.deps
    const outdated = fields === null ? asking.outdated : collapse.isOutdated(asking, fields)
    collapse.answered(asking)
    return outdated
  }

  // ---- from the origin

  onConnected(server: Endpoint, local: Endpoint | null, route: Route, reused: boolean): void {
    const o = this.#t.outcome
    o.server = server
    o.serverLocal = local
    o.forged = route.forged
    tellServerMarks(o, route)
    this.#connected = route.target
    o.hierarchy = reused && route.tie !== undefined ? 'PINNED' : route.hierarchy
  }

  onInterim(status: number, pairs: readonly string[]): void {
    const t = this.#t
    // RFC 9110 15.2: passed on, except to those who cannot know them
    if (t.outcome.versionMinor === 0 || t.headSent || this.#over) return
    t.client.connection.write(`${headText(status, '', endToEndFields(Fields.from(pairs)).pairs)}\r\n`)
  }

  onHead(status: number, reason: string, fields: Fields): void {
    const t = this.#t
    if (t.policy.retryOnError && this.#askElsewhere(status)) return
    const now = t.client.deps.clock.wall()
    const outdated = this.#answered(fields)
    const arrival = { status, reason, fields, requestTime: this.#requestTime, responseTime: now, outdated }
    t.outcome.serverStatus = this.#completing?.originStatus ?? status
    t.outcome.attempts = this.#fetch?.attempts ?? 1
    const coding = undecodable(fields)
    if (coding !== null) {
      this.#fetch?.abort()
      this.onError(new ProxyError('bad-response', `the transfer coding ${coding} cannot be undone`, { side: 'server' }))
      return
    }
    if (this.#validation !== null && status === 304) {
      this.#confirmed = confirmedBy(t, this.#validation, arrival)
      if (this.#confirmed === null) this.#again = true
      else {
        t.outcome.result = 'TCP_REFRESH_UNMODIFIED'
        t.linesForOne = fieldLines(fieldsForOne(fields, t.cachePolicy))
      }
      return
    }
    if (this.#validated !== null && isOriginFailure(status) && useStale(t, this.#validated, `the origin answered ${status}`)) {
      this.#fetch?.abort()
      this.#settle(this.#validated)
      return
    }
    const admission = admitArrival(t, arrival)
    const response = admission?.kind === 'store' ? admission.response : null
    if (response !== null) this.#open(response, arrival)
    else if (this.#growing !== null && t.key !== null) this.#dissolve()
    if (this.#over) {
      // its client is gone: only others could want it
      if (!this.#shared) this.deserted()
      return
    }
    if (this.#confirmsClient(response)) {
      // it was our question that brought it, and would be again
      this.#forStore = true
      this.#served()
      return
    }
    if (!t.policy.judgesResponses) {
      this.#give(status, reason, fields, now)
      return
    }
    const verdict = judgeResponse(t, status, fields, Number(fields.get('content-length') ?? -1))
    if (typeof verdict === 'boolean') {
      if (verdict) this.#give(status, reason, fields, now)
      else this.#refused()
      return
    }
    const waiting = new JudgedLater()
    this.#unjudged = waiting
    verdict.then(may => {
      this.#unjudged = null
      if (may && !this.#over) {
        this.#give(status, reason, fields, now)
        this.#giveHeld(waiting)
        return
      }
      const toldNow = !this.#over
      if (toldNow) this.#end('refuse')
      if (waiting.trailers !== null) this.onEnd(waiting.trailers)
      else if (toldNow) this.#left()
    }).catch(error => t.broke(error))
  }

  /** retry_on_error: another address of the same server may do better. True: it is asked instead, and this fetch over. */
  #askElsewhere(status: number): boolean {
    const t = this.#t
    const reach = this.#reach
    if (!errorsRetried.has(status) || !('routes' in reach) || this.#completing !== null || this.#over || t.content !== null) return false
    const [next, ...others] = reach.routes.slice(reach.routes.findIndex(({ target }) => target === this.#connected) + 1)
    if (next === undefined) return false
    this.#dissolve()
    this.#abort()
    this.#leave()
    const again = new Promise<Next>(resolve => new Fetching(t, this.#validated, { routes: [next, ...others] }, resolve).start())
    again.then(this.#resolve, error => t.broke(error))
    return true
  }

  #give(status: number, reason: string, fields: Fields, now: WallMs): void {
    const t = this.#t
    this.#sendHead(status, reason, fields, now)
    if (t.cut?.over === true) {
      this.#served()
      return
    }
    if (this.#shared && this.#growing !== null) {
      this.#over = true
      followOwn(t, this.#growing, this.#resolve)
    }
  }

  /** What has come while the head was judged. */
  #giveHeld({ pieces, trailers }: JudgedLater): void {
    this.#clientFull = false
    for (const piece of pieces) if (!this.#over) this.#giveClient(piece)
    if (trailers !== null) this.onEnd(trailers)
    else this.#goOn()
  }

  /** This client may not have it; others, and the store, may. */
  #refused(): void {
    this.#end('refuse')
    this.#left()
  }

  #open(response: StoredResponse, arrival: Arrival): void {
    const t = this.#t
    const opened = openFor(t, response, arrival)
    if (opened.ok) this.#writer = opened.writer
    else t.outcome.storeReason = opened.reason
    if (this.#growing === null) return
    // too old to be stored is not too old for those who asked before the change
    if (opened.ok || arrival.outdated) {
      this.#shared = true
      this.#growing.respond(response, this.#writer)
    } else this.#dissolve()
  }

  #dissolve(): void {
    const t = this.#t
    if (this.#growing !== null && t.key !== null) t.client.deps.collapse.dissolve(t.key, this.#growing)
    this.#growing = null
  }

  /**
   * The client's own condition, in whose place ours or none was sent, holds for the new response: it has that already, and the
   * content is for others.
   */
  #confirmsClient(response: StoredResponse | null): boolean {
    if ((this.#validation === null && !this.#keepsConditions) || response === null || this.#t.asks?.conditional !== true) return false
    if (conditionOf(response, this.#t.fields).kind !== 'not-modified') return false
    this.#t.outcome.result = this.#resultCode()
    sendNotModified(this.#t, response, this.#writer !== null)
    return true
  }

  #sendHead(status: number, reason: string, fields: Fields, now: WallMs): void {
    const t = this.#t
    const o = t.outcome
    if (t.policy.packets !== null) markResponse(t, t.policy.packets, o.hierarchy)
    if (status >= 400 && !t.policy.persistentAfterError) t.keepAlive = false
    if (t.asWhole && cutWhole(t, status, fields, now, this.#writer !== null)) {
      if (o.result === 'NONE_NONE') o.result = this.#resultCode()
      return
    }
    if (o.result === 'NONE_NONE') o.result = this.#resultCode()
    const sent = endToEndFields(fields)
    if (status === 204) sent.delete('content-length') // RFC 9110 8.6
    if (t.peer !== null && passesLogin(t.peer)) passChallenges(fields, sent)
    withoutTags(sent, t.policy.cache.tags)
    const session = challengeLines(t, sent)
    // RFC 9110 6.6.1: a recipient that forwards adds the Date that is missing
    if (!sent.has('date')) sent.append('Date', httpDate(now))
    t.framing = contentFraming(t, status, sent.has('content-length'))
    o.status = status
    o.responseFields = fields
    o.contentType = fields.get('content-type') ?? ''
    const framing = t.framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : ''
    const head = headText(status, reason, sent.pairs)
    const ours = `${t.policy.responseViaLine}${t.forwardStatusLine(this.#writer !== null)}${framing}${session}${connectionLine(t)}`
    sendHead(t, `${head}${ours}\r\n`)
    t.limit(t.policy.timeouts.write)
  }

  #resultCode() {
    if (this.#validated !== null) return 'TCP_REFRESH_MODIFIED'
    return this.#t.reuse?.reason === 'reload' ? 'TCP_CLIENT_REFRESH_MISS' : 'TCP_MISS'
  }

  onData(chunk: Buffer): boolean {
    const t = this.#t
    this.#received += chunk.length
    t.outcome.serverContentBytes = this.#completing?.originBytes ?? this.#received
    if (this.#shared && this.#growing !== null) {
      this.#growing.append(chunk)
      // for the store alone, and it will not have it
      if (this.#growing.followers === 0 && this.#writer?.refusal !== null) this.deserted()
      return !this.#paused
    }
    if (this.#confirmed !== null || this.#again) return true
    if (this.#writer !== null && !this.#writer.append(chunk)) {
      t.outcome.storeReason = this.#writer.refusal ?? ''
      this.#writer = null
      this.deserted() // if it was for the store alone
    }
    if (this.#unjudged !== null) {
      this.#unjudged.pieces.push(chunk)
      this.#clientFull = true
    } else if (!this.#over) this.#giveClient(chunk)
    if (this.#writer?.pressed !== true) return !this.#clientFull
    this.#writer.onRelieved = () => this.#goOn()
    return false
  }

  #giveClient(chunk: Buffer): void {
    const t = this.#t
    const taken = writeContent(t, chunk)
    if (t.contentLeft < 0) {
      t.outcome.error = 'reply-too-large'
      this.#leave()
      breakOff(t)
      this.#resolve(t.over ? 'done' : 'finish')
      this.#left()
      return
    }
    this.#clientFull = !taken && t.client.connection.pending > t.policy.readAheadBytesMax
    if (t.cut?.over === true) this.#served()
  }

  onDoubt(): void {
    if (this.#writer === null) return
    this.#t.outcome.storeReason = 'incomplete'
    if (this.#shared && this.#growing !== null) this.#growing.doubt()
    else this.#writer.abandon()
    this.#writer = null
  }

  onEnd(trailers: readonly string[]): void {
    const t = this.#t
    if (this.#unjudged !== null && !this.#over && !this.#shared) {
      this.#unjudged.trailers = trailers
      return
    }
    this.#fetch = null
    this.#ended()
    this.#timed()
    if (this.#confirmed !== null) {
      this.#settle(this.#confirmed)
      return
    }
    if (this.#shared && this.#growing !== null) {
      this.#growing.end()
      return
    }
    if (this.#over) {
      this.#complete()
      // a 304 about nothing we have: those who waited ask for themselves
      this.#growing?.fail()
      this.#growing = null
      return
    }
    if (this.#again) {
      // ask again, without conditions
      this.#dissolve()
      t.variants = null
      this.#leave()
      fetchFrom(t, null).then(this.#resolve, error => t.broke(error))
      return
    }
    this.#complete()
    endContent(t, trailers)
    this.#end('finish')
  }

  #complete(): void {
    const writer = this.#writer
    this.#writer = null
    if (writer !== null && keepComplete(this.#t, writer) === null) this.#t.outcome.storeReason = writer.refusal ?? ''
  }

  /** The stored response is the answer, for this client and for those who waited with it. */
  #settle(stored: StoredResponse): void {
    this.#growing?.settle(stored)
    this.#growing = null
    if (this.#over) return
    this.#t.stored = stored
    this.#end('deliver')
  }

  onError(error: ProxyError): void {
    const t = this.#t
    if (this.#fetch !== null) t.outcome.attempts = this.#fetch.attempts
    this.#fetch = null
    this.#ended()
    this.#answered()
    this.#timed()
    this.#keepBroken()
    if (!this.#over && !t.headSent) {
      this.#insteadOf(error)
      return
    }
    this.#growing?.fail()
    this.#growing = null
    if (this.#over) return
    t.outcome.error = error.code
    t.outcome.errorDetail = error.message
    this.#leave()
    breakOff(t)
    this.#resolve(t.over ? 'done' : 'finish')
  }

  /** Nothing has been sent to the client yet. A stale response is for all who waited; else each tries for himself. */
  #insteadOf(error: ProxyError): void {
    const next = instead(this.#t, this.#validated, error)
    if (next === 'deliver' && this.#validated !== null) {
      this.#settle(this.#validated)
      return
    }
    this.#growing?.fail()
    this.#growing = null
    this.#end(next)
  }

  /** %<pt and %<tt: with one server asked they are the same. */
  #timed(): void {
    const t = this.#t
    const took = elapsed(this.#startedMono, t.client.deps.clock.mono())
    if (t.outcome.serverStatus > 0) t.outcome.serverResponseMs = took
    t.outcome.serverTotalMs = Math.max(0, t.outcome.serverTotalMs) + took
  }

  /** What happens to the client is no longer this fetch's business. */
  #leave(): void {
    this.#over = true
    if (this.#t.serverSide === this) this.#t.serverSide = null
  }

  #end(next: Next): void {
    if (this.#over) return
    this.#leave()
    this.#resolve(this.#t.over ? 'done' : next)
  }
}

/** Squid's, beside those of gateways. */
const errorsRetried: ReadonlySet<number> = new Set([403, 500, 501, 502, 503, 504])

/** With what to ask. Where only other variants are stored, the origin may say which of them it would send. */
const validationFor = (t: Transaction, validated: StoredResponse | null): Validation | null => {
  if (!t.mayCache || t.variants === null || t.reuse?.reason === 'reload' || t.asks?.forOrigin || t.completing !== null) return null
  // the origin chooses among variants for those who want the whole
  if (t.asks?.range === true && validated === null) return null
  const validation = validationOf(validated, t.variants, t.fields)
  return isConditional(validation) ? validation : null
}

/** cache_miss_revalidate off: what is fetched for the store is fetched whole. Not what is for one user alone (Squid). */
const keepsConditions = (t: Transaction): boolean =>
  !t.policy.missConditions && t.mayCache && t.asks?.conditional === true && !t.fields.has('authorization')
