import { AccessFacts, type Decision } from '../../acl/index.ts'
import type { CloseReason } from '../../../comm/connection.ts'
import {
  type DurationMs,
  type Endpoint,
  type ErrorCode,
  type MonoMs,
  newOutcome,
  type Outcome,
  ProxyError,
  type WallMs,
} from '../../base/index.ts'
import {
  type CacheKey, type CachePolicy, type Forwarded, forwardStatus, hitStatus, mayStayStored, type PartialResponse, type RequestFacts,
  type Reuse, type StoredResponse, timeToLive, validatedStatus, type Variants,
} from '../../cache/index.ts'
import { cacheStatusText, defaultPort, type Fields, type ForwardReason, type RequestHead, type TargetUri } from '../../http/index.ts'
import type { Peer } from '../../peer/peer.ts'
import type { BumpedTunnel } from './bump/bumped-tunnel.ts'
import type { HttpClient } from './client.ts'
import type { Completing } from './complete-part.ts'
import type { ContentCut } from './content-cut.ts'
import { CountHttp } from './counters.ts'
import type { HttpPolicy } from './policy.ts'
import { xCacheLines } from './x-cache.ts'
import type { AdaptedContent } from './adapt/reqmod.ts'
import type { RequestContent } from './request-content.ts'
import type { DenialPage } from './deny-info.ts'
import type { ResponseFraming } from './response.ts'
import { type Step, runSteps } from './steps.ts'

const nowhere: Endpoint = { family: 4, address: '0.0.0.0', port: 0 }

/**
 * What the server side of a transaction hears of its client. An object, not two closures: closures in these fields kept
 * every finished transaction alive through the young collections (docs/benchmarks.md).
 */
export interface ServerSide {
  /** Output that had been waiting is gone. */
  drained(): void
  /** Nobody waits for the response any more. */
  clientGone(): void
}

/** One request with its response. Steps write here what they find; `outcome` is what is left of it afterwards. */
export class Transaction {
  readonly client: HttpClient
  readonly policy: HttpPolicy
  /** Null when the request could not be read. */
  parsed: RequestHead | null
  readonly outcome: Outcome
  step: Step = 'receive'
  content: RequestContent | null = null
  /** What an ICAP service made of it; null = nothing. */
  adaptedContent: AdaptedContent | null = null
  /** The connection may carry another request after this one. */
  keepAlive: boolean

  // receive
  target: TargetUri | null = null
  /** It is a page of our own that is asked for. */
  ownPage = false
  /** That came with its name; null = none did. */
  pagePassword: string | null = null

  // admit
  /** The Host field was not confirmed by DNS to belong to the address the client went to. */
  unverified = false
  /** May its response be stored, and a stored one answer it. */
  mayCache = false
  /** What stands for the URI in keys (store_id_rule); '' = the URI itself. */
  storeId = ''
  /** The client X-Forwarded-For names, as far as it is believed; null = who is connected. */
  indirect: Endpoint | null = null
  /** False: a program that must say its key did not. */
  identified = true
  /** Another URI was put in the place of the client's; its Host field may stay. */
  rewritten: 'no' | 'whole' | 'all but Host' = 'no'
  /** append_domain: the host the client said is not the whole one. */
  completedHost = false
  /** What an ICAP service has said for those after it; null = nothing. */
  sharedMeta: string | null = null

  // lookup
  /** What the request says to caches; null = nothing. */
  asks: RequestFacts | null = null
  key: CacheKey | null = null
  variants: Variants | null = null
  stored: StoredResponse | null = null
  /** Of what is wanted, only parts are stored; `stored` is then the whole as if it were. */
  partial: PartialResponse | null = null
  /** What is missing is to be fetched alone. */
  completing: Completing | null = null
  /** range_offset_limit: of the whole that is fetched, the client gets its range. */
  asWhole = false
  reuse: Reuse | null = null

  // fetch, tunnel
  /** What is done with the TLS of a CONNECT; null = it is nobody's business. */
  bumping: BumpedTunnel | null = null
  /** Protocols offered to the server by Upgrade. */
  offers = ''
  /** Ends a connect that is under way when the client leaves. */
  cancel: AbortController | null = null
  /** The cache_peer that answers it; null = an origin does. */
  peer: Peer | null = null
  /** Whoever is at work for it at the server side. */
  serverSide: ServerSide | null = null

  // response
  /** Lines that a validation brought for this client alone: they are not in what is stored. */
  linesForOne = ''
  /** How the client finds the end of the content. */
  framing: ResponseFraming = 'none'
  /** Only this range of the content is for the client. */
  cut: ContentCut | null = null
  /** The head has been written: an error can only break the connection now. */
  headSent = false
  failure: ProxyError | null = null
  /** What deny_info shows instead of the usual page. */
  denial: DenialPage | null = null
  /** Bytes of content the client may still receive (reply_body_max_size). */
  contentLeft = Number.POSITIVE_INFINITY
  /** The stored response has been judged. */
  judged = false
  #facts: AccessFacts | null = null
  #over = false

  constructor(client: HttpClient, parsed: RequestHead | null) {
    this.client = client
    this.policy = client.policy
    this.parsed = parsed
    this.keepAlive = parsed?.keepAlive ?? false
    this.outcome = outcomeOf(client, parsed)
  }

  /** The request head; steps after receive have one. */
  get head(): RequestHead {
    if (this.parsed === null) throw new ProxyError('internal', 'a step needs a request head that was never read')
    return this.parsed
  }

  get fields(): Fields {
    return this.head.fields
  }

  /** The address buckets and services go by: the indirect client's where the conf says so. */
  addressBy(indirect: boolean): string {
    return (indirect ? this.indirect : null)?.address ?? this.client.session.client.peer.address
  }

  /** What access lists are asked about. */
  get facts(): AccessFacts {
    return this.#facts ?? this.client.facts
  }

  /** The port of the target, the scheme's own if it names none. */
  get targetPort(): number {
    const target = this.target
    return target === null ? 0 : target.port === 0 ? defaultPort(target.scheme) : target.port
  }

  /** Rules for what comes from the origin; what is stored is judged by those of all ports alike. */
  get cachePolicy(): CachePolicy {
    return this.client.port.accel === null ? this.policy.cache : this.policy.acceleratedCache
  }

  get over(): boolean {
    return this.#over
  }

  /** Adds to %dt what a question to the resolver took. */
  waitedForNames(since: MonoMs): void {
    this.outcome.dnsMs = Math.max(0, this.outcome.dnsMs) + (this.client.deps.clock.mono() - since)
  }

  /** An ICAP service has put another request in its place. The record keeps the client's fields. */
  replaceRequest(head: RequestHead): void {
    this.parsed = head
    this.outcome.adaptedFields = head.fields
  }

  limit(delay: DurationMs): void {
    this.client.limit(delay)
  }

  refuse(code: ErrorCode, detail: string): 'refuse' {
    this.failure = new ProxyError(code, detail)
    return 'refuse'
  }

  /** As refuse, for an access list: deny_info has a word in what is shown. */
  deny(decision: Decision, code: ErrorCode, detail: string): 'refuse' {
    const info = this.policy.denyInfo
    if (info !== null) this.denial = info.pageFor(decision.lastTested(this.facts))
    return this.refuse(code, detail)
  }

  /** As deny, for http_access: where the last word was about who the client is, it may say so (again). */
  denyClient(decision: Decision): 'refuse' {
    const { facts } = this
    const { users } = this.policy
    const asks =
      users !== null && facts.credentials !== null && (decision.unproven || users.acls.has(decision.lastTested(facts).toLowerCase()))
    if (!asks) return this.deny(decision, 'denied', '')
    this.outcome.user ||= facts.proof?.user ?? '' // as Squid: who tries names and passwords is to be seen in the log
    return this.deny(decision, this.client.port.accel === null ? 'unauthenticated' : 'unauthenticated-site', facts.proof?.message ?? '')
  }

  /** The record is written and the client's next request may begin. Once. */
  end(): void {
    if (this.#over) return
    this.#over = true
    this.serverSide = null
    this.client.next(this)
  }

  /** RFC 9211, for a response from the store. */
  cacheStatusLine(stored: StoredResponse, now: WallMs): string {
    const { reuse } = this
    // the usual case costs one concatenation
    if (reuse !== null && reuse.reason === 'fresh') {
      return `${this.policy.hitStatusStart}${Math.floor(timeToLive(stored, now) / 1000)}\r\n`
    }
    const isHit = reuse !== null && (reuse.kind === 'fresh' || reuse.kind === 'stale')
    const status = isHit ? hitStatus(stored, reuse.reason, now) : validatedStatus(stored, this.#validated(stored), now)
    return `${xCacheLines(this.policy, 'HIT', 'HIT')}Cache-Status: ${cacheStatusText(this.policy.cacheName, status)}\r\n`
  }

  /** The stored response after the origin was asked, and said that it holds, or nothing of use. */
  #validated(stored: StoredResponse): Forwarded {
    const { serverStatus, collapsed, result, reuseReason } = this.outcome
    const confirmed = result === 'TCP_REFRESH_UNMODIFIED'
    return {
      fwd: this.#fwd, serverStatus, status: 0, collapsed,
      stored: confirmed && mayStayStored(stored, this.cachePolicy),
      detail: confirmed ? '' : reuseReason,
    }
  }

  /** RFC 9211, for a response from the origin. */
  forwardStatusLine(stored: boolean): string {
    const { serverStatus, status, collapsed, storeReason } = this.outcome
    const forwarded = { fwd: this.#fwd, serverStatus, status, stored, collapsed, detail: stored ? '' : storeReason }
    const looked = this.stored !== null ? 'HIT' : this.key === null ? 'NONE' : 'MISS'
    return `${xCacheLines(this.policy, 'MISS', looked)}Cache-Status: ${cacheStatusText(this.policy.cacheName, forwardStatus(forwarded))}\r\n`
  }

  get #fwd(): ForwardReason {
    const reads = this.head.method === 'GET' || this.head.method === 'HEAD'
    return this.reuse?.fwd ?? (!reads ? 'method' : this.mayCache ? 'miss' : 'bypass')
  }

  /** The same request once more, for nobody: what is done behind its client's back. It never gets to a step. */
  behind(): Transaction {
    const other = new Transaction(this.client, this.parsed)
    // the connection's facts are about its next request by the time this one asks
    const { requestFields, adaptation, access, peers } = this.policy
    const asked = requestFields !== null || adaptation !== null || access.storeMiss !== null || peers !== null
    if (asked) other.#facts = this.facts.copy(other.outcome)
    other.target = this.target
    other.unverified = this.unverified
    other.mayCache = this.mayCache
    other.storeId = this.storeId
    other.rewritten = this.rewritten
    other.indirect = this.indirect
    other.completedHost = this.completedHost
    other.outcome.askedUri = this.outcome.askedUri
    other.key = this.key
    other.variants = this.variants
    other.outcome.uri = this.outcome.uri
    other.outcome.initiator = 'validation'
    other.outcome.sessionId = `${this.client.session.id}/validation`
    return other
  }

  // ---- what happens to a transaction from outside

  drained(): void {
    this.limit(this.policy.timeouts.read)
    this.serverSide?.drained()
  }

  /** No progress on the client side within its time. */
  stalled(): void {
    if (this.content !== null && !this.content.complete && !this.headSent) {
      const failure = new ProxyError('request-timeout', 'the content stopped coming', { side: 'client' })
      this.contentFailed(failure)
      this.content.fail(failure)
    } else if (this.client.connection.pending > 0) this.abort('client-stalled')
    // it is not the client that is waited for: resolver, router and server side have clocks of their own, and what they
    // said in this very turn may be still on its way to the next step
    else this.limit(this.policy.timeouts.read)
  }

  /** The content cannot be read on: answered if nothing has been answered yet. */
  contentFailed(failure: ProxyError): void {
    this.keepAlive = false
    if (this.#over) return
    if (this.headSent) {
      this.abort(failure.code)
      return
    }
    if (this.failure !== null) return
    this.failure = failure
    this.stopServer()
    runSteps(this, 'refuse')
  }

  /** Ends it without an answer, from our side. */
  abort(code: ErrorCode): void {
    if (this.#over) return
    this.outcome.error = code
    const { connection } = this.client
    // What a client does not take would wait for it in the kernel long after we are done with it; and where the close is
    // the end mark, only a reset says that the end was not reached.
    if (code === 'client-stalled' || this.framing === 'close') connection.resetClose('aborted')
    else connection.close('aborted')
  }

  /** The client connection is gone. */
  clientClosed(why: CloseReason): void {
    if (this.#over) return
    CountHttp.aborted++
    this.outcome.error ??= 'client-aborted'
    this.outcome.errorDetail ||= why
    this.stopServer()
    runSteps(this, 'finish')
  }

  /** Ends what is done for this client at the server side. */
  stopServer(): void {
    const { serverSide } = this
    this.serverSide = null
    serverSide?.clientGone()
    this.cancel?.abort()
    this.cancel = null
  }

  /** A step threw: a bug of ours, or a failure nobody met nearer to it. */
  broke(error: unknown): void {
    if (this.#over) return
    const failure = error instanceof ProxyError ? error : new ProxyError('internal', 'a step failed', { cause: error })
    if (!(error instanceof ProxyError)) {
      CountHttp.bugs++
      this.client.deps.notices.bug(`${this.outcome.sessionId}/step:${this.step}`, error)
    }
    this.stopServer()
    this.keepAlive = false
    if (this.client.gone || this.headSent || this.step === 'refuse' || this.step === 'finish') {
      this.outcome.error ??= failure.code
      this.client.connection.close('handler-failed')
      this.end()
      return
    }
    this.failure = failure
    runSteps(this, 'refuse')
  }
}

const outcomeOf = (client: HttpClient, parsed: RequestHead | null): Outcome => {
  const { session, deps } = client
  const outcome = newOutcome({
    startedAt: deps.clock.wall(),
    startedMono: deps.clock.mono(),
    client: session.client.peer,
    clientLocal: session.destination ?? nowhere,
    portName: session.portName,
    taken: session.taken,
  })
  outcome.clientTls = client.tls
  outcome.clientHardware = client.hardware
  outcome.introduced = session.client.introduced ?? null
  if (parsed === null) return outcome
  outcome.method = parsed.method
  outcome.uri = '-'
  outcome.versionMinor = parsed.versionMinor
  outcome.requestFields = parsed.fields
  outcome.requestHeadBytes = parsed.headBytes
  return outcome
}
