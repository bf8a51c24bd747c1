import type { AccessFacts } from '../../../acl/index.ts'
import { type Endpoint, type ErrorCode, ProxyError } from '../../../base/index.ts'
import type { OriginFetch, OriginHandler, OriginRequest } from '../../../chainer/chainer.ts'
import { endToEndFields, type Fields, responseHeadText } from '../../../http/index.ts'
import type { Route } from '../../../router/router.ts'
import type { Transaction } from '../transaction.ts'
import { type Adapted, type AdaptationService, type IcapUser, hearService, mayRetry, messageOf, nextService, type Shown, type Steps } from './plan.ts'

// RESPMOD: between the origin and whoever reads from it, one object for each step of a chain. The response is shown to
// the service as it comes, and what comes back is passed on: it is that which is stored.
//
//   origin ──► Adapting ──push──► service
//                 └──► handler ◄──content── ┘        unchanged: what was pushed, then the origin's own bytes

interface Plan {
  readonly facts: AccessFacts
  steps: Steps | null
}

type Ask = (request: OriginRequest, handler: OriginHandler) => OriginFetch

/** Asks the origin so that `adaptation_access` sees the response. */
export const adapting = (t: Transaction, ask: Ask): Ask => {
  const steps = t.policy.adaptation?.responseSteps ?? 0
  return (request, handler) => {
    // by the time the response comes the connection's facts may be about its next request
    const facts = t.facts.copy(t.outcome)
    const plan: Plan = { facts, steps: null }
    let fetch: OriginFetch | null = null
    const origin: OriginFetch = {
      resume: () => fetch?.resume(),
      abort: () => fetch?.abort(),
      get attempts() {
        return fetch?.attempts ?? 1
      },
    }
    let owner = origin
    let to = handler
    for (let step = steps - 1; step >= 0; step--) {
      const one: Adapting = new Adapting(t, to, plan, step)
      to = one
      owner = owner === origin ? one : owner
    }
    // each resumes the one before it, the first the origin
    for (let one: OriginHandler = to, before = origin; one instanceof Adapting; one = one.handler) {
      one.source = before
      before = one
    }
    fetch = ask(request, to)
    return owner
  }
}

class Adapting implements OriginHandler, OriginFetch, IcapUser {
  readonly #t: Transaction
  readonly handler: OriginHandler
  readonly #plan: Plan
  readonly #step: number
  source: OriginFetch | null = null
  #head: { readonly status: number; readonly reason: string; readonly fields: Fields } | null = null
  #shown: Shown | null = null
  readonly #tried = new Set<string>()
  /** The one it is shown to, and how often it was shown to it again. */
  #service: AdaptationService | null = null
  #retries = 0
  #bypass = true
  /** What has come before anybody could be shown it. */
  #trailers: readonly string[] | null = null
  #adapted = false
  /** Nobody has said that what came was all of it. */
  #doubted = false
  #over = false

  constructor(t: Transaction, handler: OriginHandler, plan: Plan, step: number) {
    this.#t = t
    this.handler = handler
    this.#plan = plan
    this.#step = step
  }

  // ---- for the owner

  get attempts(): number {
    return this.source?.attempts ?? 1
  }

  resume(): void {
    if (this.#shown === null) this.source?.resume()
    else this.#shown.resume()
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#shown?.abort()
    this.source?.abort()
  }

  // ---- from the origin

  onConnected(server: Endpoint, local: Endpoint | null, route: Route, reused: boolean): void {
    this.handler.onConnected(server, local, route, reused)
  }

  onInterim(status: number, pairs: readonly string[]): void {
    this.handler.onInterim(status, pairs)
  }

  onHead(status: number, reason: string, fields: Fields): void {
    if (this.#step === 0) this.#plan.steps = responsePlan(this.#t, this.#plan.facts, status, fields)
    const services = this.#plan.steps?.[this.#step]
    // a 304 has nothing to look at, and belongs to what was looked at before
    if (services === undefined || status === 304) return this.handler.onHead(status, reason, fields)
    this.#head = { status, reason, fields }
    this.#show([])
  }

  #show(kept: readonly Buffer[], again: AdaptationService | null = null): void {
    const t = this.#t
    const head = this.#head
    const services = this.#plan.steps?.[this.#step] ?? []
    const service = again ?? nextService(t, services, this.#tried)
    if (head === null || service === undefined) return
    this.#tried.add(service.name)
    this.#service = service
    this.#bypass = service.bypass
    const hasBody = t.head.method !== 'HEAD' && head.status !== 204
    const length = head.fields.get('content-length')
    const text = responseHeadText(head.status, head.reason, endToEndFields(head.fields).pairs)
    this.#shown = t.client.deps.icap.show(service, messageOf(t, text, hasBody, length === undefined ? -1 : Number(length)), this, t.client.connection)
    for (const piece of kept) this.#shown.push(piece)
    if (this.#trailers !== null) this.#shown.end()
  }

  onData(chunk: Buffer): boolean {
    return this.#shown === null ? this.handler.onData(chunk) : this.#shown.push(chunk)
  }

  onDoubt(): void {
    this.#doubted = true
  }

  onEnd(trailers: readonly string[]): void {
    this.#trailers = trailers
    if (this.#shown === null) this.#tellEnd(trailers)
    else this.#shown.end()
  }

  onError(error: ProxyError): void {
    this.#over = true
    this.#shown?.abort()
    this.handler.onError(error)
  }

  // ---- from the service

  onRoom(): void {
    if (this.#trailers === null) this.source?.resume()
  }

  onUnchanged(kept: readonly Buffer[]): void {
    const head = this.#head
    this.#shown = null
    if (this.#over || head === null) return
    this.handler.onHead(head.status, head.reason, head.fields)
    let goOn = true
    // no more than is ever kept, whatever the handler says
    for (const piece of kept) if (!this.#over) goOn = this.handler.onData(piece)
    if (this.#over) return
    if (this.#trailers !== null) this.#tellEnd(this.#trailers)
    else if (goOn) this.source?.resume()
  }

  onIcapFields(fields: Fields): void {
    hearService(this.#t, fields)
  }

  onAdapted({ response, hasBody }: Adapted): void {
    if (this.#over || response === null) return
    this.#adapted = true
    const fields = endToEndFields(response.fields)
    if (!hasBody && this.#t.head.method !== 'HEAD') fields.delete('content-length')
    if (!hasBody && this.#t.head.method !== 'HEAD') fields.append('Content-Length', '0')
    this.handler.onHead(response.status, response.reason, fields)
  }

  onContent(piece: Buffer): boolean {
    return this.#over || this.handler.onData(piece)
  }

  onEndOfService(): void {
    if (this.#over) return
    this.#over = true
    // what the origin still has to say nobody wants
    if (this.#trailers === null) this.source?.abort()
    this.#tellEnd([])
  }

  #tellEnd(trailers: readonly string[]): void {
    if (this.#doubted) this.handler.onDoubt?.()
    this.handler.onEnd(trailers)
  }

  onFailure(why: string, kept: readonly Buffer[] | null, code: ErrorCode = 'icap-failed'): void {
    if (this.#over) return
    if (kept !== null && !this.#adapted) {
      if (mayRetry(this.#t, this.#service, this.#retries)) {
        this.#retries++
        return this.#show(kept, this.#service)
      }
      const services = this.#plan.steps?.[this.#step] ?? []
      if (nextService(this.#t, services, this.#tried) !== undefined) return this.#show(kept)
      if (this.#bypass) {
        this.#t.client.deps.icap.bypassed(why)
        return this.onUnchanged(kept)
      }
    }
    this.#over = true
    this.source?.abort()
    this.handler.onError(new ProxyError(code, why, { side: 'proxy' }))
  }
}

/** The first group that allows; what would have to be looked up for it is not known here. */
const responsePlan = (t: Transaction, facts: AccessFacts, status: number, fields: Fields): Steps | null => {
  facts.responseStatus = status
  facts.responseFields = fields
  const groups = t.policy.adaptation?.groups ?? []
  return groups.find(({ vector, access }) => vector === 'respmod' && access.checkFast(facts).allowed)?.steps ?? null
}
