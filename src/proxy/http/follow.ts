import {
  conditionOf, type FollowFailure, type Follower, type FollowReader, type Growing, type ReleaseReason, type StoredResponse,
} from '../../cache/index.ts'
import type { FieldView } from '../../base/index.ts'
import { cutWhole, sendNotModified } from './cut-whole.ts'
import { fetchFrom } from './fetch.ts'
import { judgeResponse } from './judge-response.ts'
import { JudgedLater } from './judged-later.ts'
import { responseDenied } from './send-hit.ts'
import { breakOff, connectionLine, contentFraming, sendHead, writeContent, endContent } from './response.ts'
import type { Next } from './steps.ts'
import type { ServerSide, Transaction } from './transaction.ts'

/** A request that lives on the fetch of another (collapsed_forwarding): the same content, at this client's own pace. */
export const follow = (t: Transaction, growing: Growing): Promise<Next> =>
  new Promise(resolve => new Following(t, resolve, false).begin(growing))

/** The request whose fetch it is: it has written its head already, and now reads along like the others. */
export const followOwn = (t: Transaction, growing: Growing, resolve: (next: Next) => void): void =>
  new Following(t, resolve, true).begin(growing)

class Following implements FollowReader, ServerSide {
  readonly #t: Transaction
  readonly #resolve: (next: Next) => void
  readonly #own: boolean
  #follower: Follower | null = null
  /** The head waits for its verdict. */
  #unjudged: JudgedLater | null = null

  constructor(t: Transaction, resolve: (next: Next) => void, own: boolean) {
    this.#t = t
    this.#resolve = resolve
    this.#own = own
  }

  begin(growing: Growing): void {
    const t = this.#t
    const follower = growing.follow(this)
    this.#follower = follower
    t.serverSide = this
    // a response that is here whole ends within this call; nobody waits for what has ended
    follower.resume()
  }

  drained(): void {
    this.#follower?.resume()
  }

  clientGone(): void {
    this.#follower?.leave()
  }

  get requestFields(): FieldView {
    return this.#t.fields
  }

  onHead(response: StoredResponse): void {
    if (this.#own) return
    const t = this.#t
    const { sendHit } = t.policy.access
    if (sendHit !== null && responseDenied(t, sendHit, response.status, response.fields())) return this.#alone()
    const verdict = t.policy.judgesResponses ? judgeResponse(t, response.status, response.fields(), response.contentLength) : true
    if (typeof verdict === 'boolean') {
      if (verdict) this.#give(response)
      else this.#refused()
      return
    }
    const waiting = new JudgedLater()
    this.#unjudged = waiting
    verdict.then(may => {
      if (this.#unjudged !== waiting) return // it has ended otherwise meanwhile
      this.#unjudged = null
      if (!may) return this.#refused()
      this.#give(response)
      for (const piece of waiting.pieces) if (this.#follower !== null) this.onPiece(piece)
      if (waiting.trailers !== null && this.#follower !== null) this.onEnd()
      else this.#follower?.resume()
    }).catch(error => t.broke(error))
  }

  /** send_hit: what another has fetched is not for this one. */
  #alone(): void {
    const t = this.#t
    const follower = this.#follower
    t.outcome.reuseReason = 'send-hit-deny'
    this.#detach()
    follower?.leave()
    if (t.over) this.#resolve('done')
    else fetchFrom(t, t.stored, false).then(this.#resolve, error => t.broke(error))
  }

  #refused(): void {
    const follower = this.#follower
    this.#end('refuse')
    follower?.leave()
  }

  #give(response: StoredResponse): void {
    const t = this.#t
    const o = t.outcome
    o.result = 'TCP_MISS'
    o.collapsed = true
    o.status = response.status
    o.serverStatus = response.status
    o.contentType = response.contentType
    const fields = response.fields()
    o.responseFields = fields
    if (t.asks?.conditional === true && conditionOf(response, t.fields).kind === 'not-modified') {
      sendNotModified(t, response, false)
      this.#served()
      return
    }
    if (t.asWhole && cutWhole(t, response.status, fields, t.client.deps.clock.wall(), false)) {
      if (t.cut?.over === true) this.#served()
      return
    }
    t.framing = contentFraming(t, response.status, response.contentLength >= 0)
    const framing = t.framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : ''
    const age = `Age: ${response.ageField(t.client.deps.clock.wall())}\r\n`
    sendHead(
      t,
      `${response.head}${age}${t.policy.responseViaLine}${t.forwardStatusLine(false)}${framing}${connectionLine(t)}\r\n`,
    )
    t.limit(t.policy.timeouts.write)
  }

  onPiece(piece: Buffer): boolean {
    if (this.#unjudged !== null) {
      this.#unjudged.pieces.push(piece)
      return false
    }
    const taken = writeContent(this.#t, piece)
    if (this.#t.contentLeft < 0) {
      this.#tooLong()
      return false
    }
    if (this.#t.cut?.over === true) this.#served()
    return taken
  }

  /** reply_body_max_size, where the length was not known before. */
  #tooLong(): void {
    const follower = this.#follower
    this.#t.outcome.error = 'reply-too-large'
    breakOff(this.#t)
    this.#end('finish')
    follower?.leave()
  }

  /** It has all it wanted, though the content goes on. */
  #served(): void {
    const follower = this.#follower
    this.#end('finish')
    follower?.leave()
  }

  onEnd(): void {
    if (this.#unjudged !== null) {
      this.#unjudged.trailers = []
      return
    }
    endContent(this.#t, [])
    this.#end('finish')
  }

  onStored(stored: StoredResponse): void {
    const t = this.#t
    t.outcome.collapsed = true
    // the very one we had: nobody has confirmed it, the origin has failed
    t.outcome.result = stored === t.stored ? 'TCP_REFRESH_FAIL_OLD' : 'TCP_REFRESH_UNMODIFIED'
    t.stored = stored
    this.#end('deliver')
  }

  onRelease(reason: ReleaseReason): void {
    const t = this.#t
    t.outcome.reuseReason = `collapse: ${reason}`
    this.#detach()
    if (t.over) this.#resolve('done')
    else fetchFrom(t, t.stored, reason === 'other-variant').then(this.#resolve, error => t.broke(error))
  }

  onFail(why: FollowFailure): void {
    const t = this.#t
    t.outcome.error = why === 'too-slow' ? 'lifetime' : 'read-error'
    t.outcome.errorDetail = why
    breakOff(t)
    this.#end('finish')
  }

  #detach(): void {
    this.#unjudged = null
    if (this.#t.serverSide === this) this.#t.serverSide = null
    this.#follower = null
  }

  #end(next: Next): void {
    this.#detach()
    this.#resolve(this.#t.over ? 'done' : next)
  }
}
