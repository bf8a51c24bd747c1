import type { CloseReason, Connection, ConnectionReader } from '../../../comm/connection.ts'
import { ProxyError } from '../../base/index.ts'
import {
  BodyReader, type ContentSink, endToEndFields, type HeadLimits, parseResponseHead, requestHeadText, type ResponseHead,
} from '../../http/index.ts'
import type { Peer } from '../../peer/peer.ts'
import { originPairs, passedFields } from './forward-request.ts'
import { passChallenges, passesLogin, peerPairs, targetFor } from './peer-request.ts'
import { connectionLine, headText, sendHead } from './response.ts'
import { judgeResponse } from './judge-response.ts'
import type { Next } from './steps.ts'
import type { ServerSide, Transaction } from './transaction.ts'
import { wasOffered } from './upgrades.ts'
import { openTunnel, relay, tunnelFailed } from './tunnel.ts'

// A request with Upgrade (RFC 9110 7.8), WebSocket above all. It goes to the server on a connection of its own, with
// the two hop-by-hop fields it needs. 101: the two connections become a relay. Anything else is an ordinary response.
// CONNECT through a parent is much the same: it opens with any 2xx.

/** `peer`: the server is that cache_peer; null = an origin. */
export const upgrade = (t: Transaction, server: Connection, peer: Peer | null): Promise<Next> =>
  new Promise(resolve => {
    const pairs = originPairs(t, passedFields(t))
    const told = peer === null ? pairs : peerPairs(t, peer, pairs)
    const path = t.target?.path ?? '/'
    const target = peer === null ? path : targetFor(t, peer, path)
    const text = requestHeadText(t.head.method, target, [...told, 'Connection', 'Upgrade', 'Upgrade', t.offers])
    begin(new Exchange(t, server, { opens: isSwitch, elsewhere: null }, resolve), t, server, text)
  })

const isSwitch = (status: number): boolean => status === 101

/** `elsewhere`: goes on by another way where this parent says no; null = what it says is for the client. */
export const connectThrough = (
  t: Transaction,
  server: Connection,
  peer: Peer,
  elsewhere: ((failure: ProxyError) => Promise<Next>) | null,
): Promise<Next> =>
  new Promise(resolve => {
    const text = requestHeadText('CONNECT', t.outcome.uri, peerPairs(t, peer, originPairs(t, passedFields(t))))
    const refused = (failure: ProxyError): Promise<Next> | null => {
      peer.useless()
      return elsewhere?.(failure) ?? null
    }
    begin(new Exchange(t, server, { opens: isSuccess, elsewhere: refused }, resolve), t, server, text)
  })

const isSuccess = (status: number): boolean => status >= 200 && status < 300

const begin = (exchange: Exchange, t: Transaction, server: Connection, text: string): void => {
  server.setReader(exchange)
  server.setTimeout(t.policy.timeouts.read)
  t.serverSide = exchange
  server.write(text)
}

interface Plan {
  readonly opens: (status: number) => boolean
  /** Another way, when this one has led to nothing; null, or the answer null = there is none. */
  readonly elsewhere: ((failure: ProxyError) => Promise<Next> | null) | null
}

class Exchange implements ConnectionReader, ServerSide {
  readonly #t: Transaction
  readonly #server: Connection
  readonly #plan: Plan
  readonly #resolve: (next: Next) => void
  readonly #limits: HeadLimits
  #held: Buffer | null = null
  #body: BodyReader | null = null
  #over = false

  constructor(t: Transaction, server: Connection, plan: Plan, resolve: (next: Next) => void) {
    this.#t = t
    this.#server = server
    this.#plan = plan
    this.#resolve = resolve
    this.#limits = t.policy.limits.responseHead
  }

  onData(server: Connection, slab: Buffer, start: number, end: number): void {
    server.setTimeout(this.#t.policy.timeouts.read)
    if (this.#body !== null) {
      this.#pass(slab, start, end)
      return
    }
    const held = this.#held
    this.#held = null
    if (held === null) this.#readHead(slab, start, end)
    else {
      const all = Buffer.concat([held, slab.subarray(start, end)])
      this.#readHead(all, 0, all.length)
    }
  }

  #readHead(bytes: Buffer, start: number, end: number): void {
    let at = start
    while (!this.#over) {
      const answer = parseResponseHead(bytes, at, end, this.#limits, this.#t.head.method)
      if (answer.kind === 'more') {
        this.#held = Buffer.from(bytes.subarray(at, end))
        return
      }
      if (answer.kind === 'bad') {
        this.#fail(new ProxyError(answer.error, answer.why, { side: 'server' }))
        return
      }
      at = answer.end
      const head = answer.head
      if (this.#plan.opens(head.status)) {
        this.#open(head, at < end ? Buffer.from(bytes.subarray(at, end)) : null)
        return
      }
      if (head.status >= 200) {
        const why = refusal(head.status)
        if (this.#goElsewhere(why)) return
        // the client has begun with TLS, or may: what a parent says in clear is nothing it could read
        if (this.#t.bumping !== null) this.#fail(why)
        else this.#answer(head, bytes, at, end)
        return
      }
      if (this.#t.outcome.versionMinor === 1 && head.status !== 100 && this.#t.head.method !== 'CONNECT') {
        this.#t.client.connection.write(`${headText(head.status, head.reason, endToEndFields(head.fields).pairs)}\r\n`)
      }
    }
  }

  #open(head: ResponseHead, early: Buffer | null): void {
    const t = this.#t
    this.#over = true
    t.serverSide = null
    t.outcome.serverStatus = head.status
    if (t.head.method === 'CONNECT') {
      this.#server.setTimeout(0)
      openTunnel(t, this.#server, early).then(this.#resolve)
      return
    }
    const chosen = head.fields.joined('upgrade') ?? ''
    if (!wasOffered(t, chosen)) {
      this.#server.close('aborted')
      this.#resolve(tunnelFailed(t, new ProxyError('bad-response', `the server changes to '${chosen}', which it was not offered`, { side: 'server' })))
      return
    }
    t.outcome.status = 101
    const pairs = [...endToEndFields(head.fields).pairs, 'Connection', 'Upgrade', 'Upgrade', chosen]
    sendHead(t, `${headText(101, head.reason, pairs)}\r\n`)
    this.#server.setTimeout(0)
    relay(t, this.#server, early).then(this.#resolve)
  }

  /** The server does not want to change the protocol. Its framing is passed on as it is; then both ends close. */
  #answer(head: ResponseHead, bytes: Buffer, at: number, end: number): void {
    const t = this.#t
    t.keepAlive = false
    t.outcome.result = 'TCP_MISS'
    if (t.head.method === 'CONNECT') {
      t.outcome.result = 'TCP_TUNNEL' // as Squid, whatever the parent says
      t.outcome.storeReason = 'tunnel'
    }
    t.outcome.serverStatus = head.status
    t.outcome.status = head.status
    t.outcome.responseFields = head.fields
    t.outcome.contentType = head.fields.get('content-type') ?? ''
    const verdict = t.policy.judgesResponses ? judgeResponse(t, head.status, head.fields, head.framing.length) : true
    if (verdict instanceof Promise) {
      const rest = Buffer.from(bytes.subarray(at, end))
      this.#server.deferRead()
      verdict.then(may => {
        if (this.#over) return
        this.#server.resumeRead()
        if (may) this.#give(head, rest, 0, rest.length)
        else this.#refused()
      }).catch(error => t.broke(error))
    } else if (verdict) this.#give(head, bytes, at, end)
    else this.#refused()
  }

  #refused(): void {
    this.#over = true
    this.#t.serverSide = null
    this.#server.close('aborted')
    this.#resolve(this.#t.over ? 'done' : 'refuse')
  }

  #give(head: ResponseHead, bytes: Buffer, at: number, end: number): void {
    const t = this.#t
    const sent = endToEndFields(head.fields)
    if (t.peer !== null && passesLogin(t.peer)) passChallenges(head.fields, sent)
    const { pairs } = sent
    if (head.framing.kind === 'chunked') pairs.push('Transfer-Encoding', 'chunked')
    sendHead(t, `${headText(head.status, head.reason, pairs)}${connectionLine(t)}\r\n`)
    this.#body = new BodyReader(head.framing)
    this.#pass(bytes, at, end)
  }

  #pass(bytes: Buffer, start: number, end: number): void {
    const body = this.#body
    if (body === null) return
    const rest = body.feed(bytes, start, end, ignore)
    if (rest > start) {
      this.#t.outcome.responseBytes += rest - start
      this.#t.contentLeft -= rest - start // with its framing: a little less is let through
      if (this.#t.contentLeft < 0) {
        this.#fail(new ProxyError('reply-too-large', 'longer than allowed'))
        return
      }
      const copy = Buffer.from(bytes.subarray(start, rest))
      if (!this.#t.client.write(copy)) {
        this.#server.deferRead()
        this.#server.setTimeout(0) // the client's turn
      }
    }
    if (body.failed !== null) this.#fail(new ProxyError('bad-response', body.failed.why, { side: 'server' }))
    else if (body.done) this.#done()
  }

  #done(): void {
    if (this.#over) return
    this.#over = true
    this.#t.serverSide = null
    this.#server.close('done')
    this.#resolve(this.#t.over ? 'done' : 'finish')
  }

  /** False: there is no other way. */
  #goElsewhere(failure: ProxyError): boolean {
    const next = this.#t.headSent ? null : (this.#plan.elsewhere?.(failure) ?? null)
    if (next === null) return false
    this.#over = true
    this.#t.serverSide = null
    this.#server.close('aborted')
    next.then(this.#resolve, error => this.#t.broke(error))
    return true
  }

  #fail(failure: ProxyError): void {
    if (this.#over || this.#goElsewhere(failure)) return
    this.#over = true
    this.#t.serverSide = null
    this.#server.close('aborted')
    this.#resolve(tunnelFailed(this.#t, failure))
  }

  drained(): void {
    if (this.#body === null || this.#over) return
    this.#server.setTimeout(this.#t.policy.timeouts.read)
    this.#server.resumeRead()
  }

  clientGone(): void {
    this.#server.close('aborted')
  }

  onEnd(): void {
    if (this.#body?.end()) this.#done()
    else if (this.#server.bytesRead === 0) this.#fail(new ProxyError('empty-response', 'the server closed without a byte', { side: 'server' }))
    else this.#fail(new ProxyError('read-error', 'the server closed within its response', { side: 'server' }))
  }

  onDrain(): void {}

  onTimeout(): void {
    this.#fail(new ProxyError('read-timeout', 'no answer to Upgrade', { side: 'server', errno: 'ETIMEDOUT' }))
  }

  onClose(_server: Connection, why: CloseReason): void {
    this.#fail(new ProxyError('read-error', why, { side: 'server' }))
  }
}

const refusal = (status: number): ProxyError => new ProxyError('bad-response', `the parent answered ${status} to CONNECT`, { side: 'server' })

/** The bytes are passed on with their framing; the reader only finds the end. */
const ignore: ContentSink = { onContent() {} }
