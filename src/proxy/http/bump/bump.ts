import { type ClientTls, canonicalAddress, endpointText, type ProxyError } from '../../../base/index.ts'
import type { BumpAction } from '../../../conf/config.ts'
import { versionText } from '../../../tls/index.ts'
import { meterResponse } from '../delay/slowed.ts'
import { missDenied } from '../miss-access.ts'
import { markRequest } from '../packets.ts'
import { breakOff, sendHead } from '../response.ts'
import type { Next } from '../steps.ts'
import type { Transaction } from '../transaction.ts'
import { openTunnel } from '../tunnel.ts'
import { type Admission, admitConnect } from './admit-connect.ts'
import type { BumpedTunnel } from './bumped-tunnel.ts'
import { areAlike, isAt } from './confirm-name.ts'
import { HelloReader } from './hello-reader.ts'
import { CountBump } from './counters.ts'
import { acceptClient, type Shown } from './inside.ts'
import { peekServer, type ServerPeeked } from './peek-server.ts'
import type { PortBump } from './port-bump.ts'
import type { BumpPoint, BumpVerdict } from './rules.ts'
import { tunnelUnknown } from './unknown-protocol.ts'
import { certificateFor, certificateNames, keepServer, namesOf, type ServerSeen, seeServer } from './server-seen.ts'

// What becomes of a CONNECT on a port with ssl-bump, and of a connection an https_port has intercepted, for which a
// CONNECT to its destination stands.
//
//   step 1   addresses      http_access, ssl_bump ──► splice, terminate
//              │ peek, stare, bump; or somebody needs a name
//              ▼
//   step 2   the hello ──► is the name the destination's? ──► http_access, ssl_bump ──► splice, terminate
//              │ peek, stare                                        └─► bump
//              ▼
//   step 3   the server's answer ──► ssl_bump ──► splice (peek), bump (stare), terminate
//
//   splice: relay       bump: the server's certificate, one like it for the client, its handshake, the http proxy inside
//   whoever is refused on the way is bumped, to be told so; where that cannot be, the connection just closes

export const bump = (t: Transaction): Promise<Next> => {
  const port = t.client.port.bump
  return port === null ? tunnelUnknown(t) : new Bumping(t, port).run()
}

class Bumping implements BumpedTunnel {
  readonly #t: Transaction
  readonly #port: PortBump
  readonly #tls: ClientTls
  /** No client has asked for it: the CONNECT stands for an intercepted connection. */
  readonly #stands: boolean
  #reader: HelloReader | null = null
  /** What the client calls the server, as far as we know. */
  #name: string
  /** It does not resolve to where the client went. */
  #foreign = false

  constructor(t: Transaction, port: PortBump) {
    this.#t = t
    this.#port = port
    this.#stands = t.client.port.mode !== 'forward'
    this.#name = t.target?.host ?? ''
    this.#tls = {
      bumpMode: '', sni: '', helloVersion: '', supportedVersion: '', version: '', cipher: '', certificateSubject: '', certificateIssuer: '',
    }
    t.outcome.clientTls = this.#tls
    t.bumping = this
  }

  async run(): Promise<Next> {
    const t = this.#t
    const { facts } = t.client
    if (t.failure !== null) return this.refuse()
    facts.step = 1
    facts.namePending = canonicalAddress(this.#name) !== null
    let admission: Admission = 'allowed'
    if (this.#stands) {
      admission = await admitConnect(t)
      if (t.over) return 'done'
      if (admission === 'refused') return this.refuse()
    }
    const first = await this.#judge('first')
    if (t.over) return 'done'
    const action = first.action ?? (first.unnamed ? 'peek' : 'splice')
    if (action === 'terminate') return this.#terminate(first)
    if (admission === 'allowed' && passes(action)) return this.#splice(action)
    return this.#withHello(action)
  }

  // --- step 2 ---

  async #withHello(decided: BumpAction): Promise<Next> {
    const t = this.#t
    if (!(await this.#readHello())) return this.#withoutHello()
    if (t.over) return 'done'
    await this.#confirmName()
    if (t.over) return 'done'
    t.client.facts.step = 2
    t.client.facts.namePending = false
    if (this.#stands) {
      const admission = await admitConnect(t)
      if (t.over) return 'done'
      if (admission !== 'allowed') return this.refuse()
    }
    if (passes(decided)) return this.#splice(decided)
    if (!looksFurther(decided)) return this.#bump(decided)
    const second = await this.#judge('second')
    if (t.over) return 'done'
    const action = second.action ?? 'splice'
    if (action === 'terminate') return this.#terminate(second)
    if (action === 'peek') return this.#peek()
    if (action === 'stare') return this.#bump('stare')
    return passes(action) ? this.#splice(action) : this.#bump(action)
  }

  /** The connection is out of the http client's hands from here on. */
  async #readHello(): Promise<boolean> {
    const t = this.#t
    if (this.#reader !== null) return true
    this.#answerConnect()
    const { connection } = t.client
    const reader = new HelloReader(connection, t.client.handOver(), why => t.clientClosed(why))
    this.#reader = reader
    // nothing was asked yet
    t.client.session.speaker = { windUp: () => connection.close('shutdown') }
    const hello = await reader.read(t.policy.timeouts.request)
    if (hello.kind === 'hello') {
      this.#tls.sni = hello.serverName ?? ''
      this.#tls.helloVersion = versionText(hello.version)
      this.#tls.supportedVersion = versionText(hello.offered)
      return true
    }
    if (t.over) return false
    if (hello.kind === 'timeout') t.refuse('request-timeout', 'no TLS hello in time')
    else if (hello.kind === 'ended') t.refuse('client-aborted', 'the connection ended before a TLS hello')
    else {
      CountBump.strangers++
      t.refuse('protocol-unknown', 'the client does not speak TLS')
    }
    return false
  }

  #withoutHello(): Next | Promise<Next> {
    const t = this.#t
    if (t.over) return 'done'
    const { facts } = t.client
    if (t.failure?.code === 'protocol-unknown' && t.policy.unsupported.find(line => line.when.holds(facts))?.value === 'tunnel') {
      t.failure = null
      return this.#tunnelUnknown()
    }
    return this.#close()
  }

  /** on_unsupported_protocol. It is no TLS, so it has no name to wait for. */
  async #tunnelUnknown(): Promise<Next> {
    const t = this.#t
    t.client.facts.namePending = false
    const admission = this.#stands ? await admitConnect(t) : 'allowed'
    if (t.over) return 'done'
    return admission === 'allowed' ? this.#splice('') : this.#close()
  }

  /** A name that cannot be confirmed is none, for every list. */
  async #confirmName(): Promise<void> {
    const t = this.#t
    const { sni } = this.#tls
    const { target, client } = t
    if (sni === '' || target === null) return
    if (this.#stands) {
      const { destination, client: { peer } } = client.session
      if (await isAt(t, sni, destination.address)) return this.#called(sni)
      this.#foreign = true
      CountBump.foreignNames++
      t.unverified = true
      client.deps.notices.hostForgery(peer, destination, sni, 'local IP does not match any domain IP')
    } else if (sni === target.host || (await areAlike(t, sni, target.host))) {
      client.facts.serverName = sni
      this.#name = sni
    }
  }

  /** The CONNECT is to that name from here on. */
  #called(name: string): void {
    const t = this.#t
    const port = t.target?.port ?? 0
    this.#name = name
    t.target = { scheme: 'tunnel', host: name, port, path: '' }
    t.outcome.uri = `${name}:${port}`
    t.client.facts.serverName = name
  }

  // --- what becomes of it ---

  #splice(mode: BumpAction | ''): Next {
    const t = this.#t
    this.#tls.bumpMode = mode === 'none' || mode === '' ? mode : 'splice'
    CountBump.spliced++
    if (this.#stands && t.policy.delay !== null) meterResponse(t)
    if (this.#stands && t.policy.packets !== null) markRequest(t, t.policy.packets)
    return 'tunnel'
  }

  begin(): void {
    if (this.#reader !== null) this.#reader.release()
    else this.#answerConnect()
  }

  /** The hello is with the server already; what it has said waits with its connection. */
  async #peek(): Promise<Next> {
    const t = this.#t
    this.#tls.bumpMode = 'peek'
    if (t.policy.access.miss !== null && missDenied(t, t.policy.access.miss)) return this.refuse()
    const sent = this.#reader?.bytes ?? Buffer.alloc(0)
    const peeked = await peekServer(t, sent)
    if (t.over) return this.#leave(peeked)
    if (peeked === null && t.failure !== null) return this.refuse()
    const certificate = peeked?.hello?.certificate ?? null
    t.client.facts.certificateNames = certificate === null ? null : namesOf(certificate)
    const third = await this.#judgeThird('peeked')
    if (t.over) return this.#leave(peeked)
    if (third.action === 'terminate') {
      this.#leave(peeked)
      return this.#terminate(third)
    }
    const next = this.#splice('splice')
    if (peeked === null) return next
    this.#reader?.forget(sent.length)
    return openTunnel(t, peeked.chained.connection, null)
  }

  #leave(peeked: ServerPeeked | null): Next {
    peeked?.chained.connection.close('aborted')
    return 'done'
  }

  #terminate({ text }: BumpVerdict): Next {
    this.#tls.bumpMode = 'terminate'
    CountBump.terminated++
    this.#t.refuse('terminated', `ssl_bump terminate (${text})`)
    return this.#close()
  }

  async #bump(action: BumpAction): Promise<Next> {
    const t = this.#t
    this.#tls.bumpMode = action === 'stare' ? 'stare' : action === 'client-first' || action === 'server-first' ? action : 'bump'
    if (this.#foreign) {
      t.refuse('host-conflict', `${this.#tls.sni} does not resolve to ${endpointText(t.client.session.destination)}`)
      return this.refuse()
    }
    const seen = action === 'client-first' ? null : await this.#seeServer()
    if (t.over) return this.#over(seen)
    if (action === 'stare') {
      t.client.facts.certificateNames = seen === null ? null : certificateNames(seen)
      const third = await this.#judgeThird('stared')
      if (t.over) return this.#over(seen)
      if (third.action === 'terminate') {
        this.#over(seen)
        return this.#terminate(third)
      }
      this.#tls.bumpMode = 'bump'
    }
    if (t.failure !== null) return this.refuse(seen)
    const shown = await certificateFor(t, this.#port, this.#name, seen)
    if (seen !== null) keepServer(t, seen)
    if (t.over) return 'done'
    return shown === null ? this.#close() : this.#accept(shown, null)
  }

  #over(seen: ServerSeen | null): Next {
    seen?.chained?.connection.close('done')
    return 'done'
  }

  /** Null: t.failure says why. */
  async #seeServer(): Promise<ServerSeen | null> {
    const t = this.#t
    if (t.policy.access.miss !== null && missDenied(t, t.policy.access.miss)) return null
    return seeServer(t, this.#name)
  }

  #judgeThird(point: 'peeked' | 'stared'): BumpVerdict | Promise<BumpVerdict> {
    this.#t.client.facts.step = 3
    return this.#judge(point)
  }

  #judge(point: BumpPoint): BumpVerdict | Promise<BumpVerdict> {
    const { bump } = this.#t.policy
    return bump === null ? splicesAll : bump.judge(point, this.#t.client.facts)
  }

  // --- refusals ---

  /** t.failure has the reason. Whoever can be told by a page of his is; Squid bumps for it whatever the rules are. */
  async refuse(seen: ServerSeen | null = null): Promise<Next> {
    const t = this.#t
    const failure = t.failure
    t.bumping = null
    if (failure === null || t.policy.bump === null) return this.#stands || this.#reader !== null ? this.#close() : 'refuse'
    t.failure = null
    if (!(await this.#readHello())) return t.over ? 'done' : this.#close()
    if (t.over) return 'done'
    const shown = await certificateFor(t, this.#port, this.#tls.sni || this.#name, seen)
    if (t.over) return 'done'
    t.outcome.error = failure.code
    t.outcome.errorDetail = failure.message
    if (this.#tls.bumpMode === '' || this.#tls.bumpMode === 'splice') this.#tls.bumpMode = 'bump'
    return shown === null ? this.#close() : this.#accept(shown, failure)
  }

  async #accept(shown: Shown, refusal: ProxyError | null): Promise<Next> {
    const t = this.#t
    const { target } = t
    this.#reader?.release()
    const failed = await acceptClient(t, this.#port, shown, {
      host: this.#name,
      port: target?.port ?? 0,
      tls: this.#tls,
      user: t.client.facts.user,
      refusal: refusal === null ? null : { failure: refusal, denial: t.denial, accessLine: t.outcome.accessLine },
    })
    if (t.over) return 'done'
    if (failed !== null) {
      t.outcome.error = failed.code
      t.outcome.errorDetail = failed.message
      return 'finish'
    }
    t.outcome.status = 200
    if (refusal === null) CountBump.bumped++
    else CountBump.toldWithin++
    return 'finish'
  }

  #close(): Next {
    const t = this.#t
    const { failure, outcome } = t
    outcome.error ??= failure?.code ?? 'internal'
    outcome.errorDetail ||= failure?.message ?? ''
    t.keepAlive = false
    if (t.headSent) breakOff(t)
    t.client.connection.close('refused')
    return 'finish'
  }

  /** The client may begin with TLS. */
  #answerConnect(): void {
    const t = this.#t
    if (this.#stands || t.headSent) return
    t.outcome.status = 200
    sendHead(t, 'HTTP/1.1 200 Connection established\r\n\r\n')
  }
}

const splicesAll: BumpVerdict = { action: 'splice', unnamed: false, text: '' }

const passes = (action: BumpAction): action is 'splice' | 'none' => action === 'splice' || action === 'none'
const looksFurther = (action: BumpAction): action is 'peek' | 'stare' => action === 'peek' || action === 'stare'
