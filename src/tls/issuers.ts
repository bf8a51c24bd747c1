import { X509Certificate } from 'node:crypto'
import type { Attempt } from '../../comm/index.ts'
import type { Endpoint, WallMs } from '../base/index.ts'
import { chainOf, hasSigned, type Trust } from './server-proof.ts'

// Certificates of CAs that servers forget to send. A certificate says where that of its issuer is to be had (authority
// information access, RFC 5280 4.2.2.1); it is fetched once, looked at whether it is that issuer's, and kept. It is no more
// trusted than if the server had sent it.
//
//   leaf ──► chain ends without a root ──► its last one names a URI ──► fetched ──► is it its issuer? ──► chain again

/** Fetches by HTTP; whoever hands it in decides where to. `from`: the server whose certificate names the URI. */
export interface IssuerSource {
  /** Null: it could not be had. Not called after cancel, nor before this has returned. */
  fetch(uri: string, from: Endpoint, done: (content: Buffer | null) => void): Attempt
}

/** All that is needed for a chain and was not sent; null = it cannot be completed. */
export type Completed = (issuers: readonly X509Certificate[] | null) => void

const knownMax = 128
const askedMax = 256
/** A URI that gave nothing is left alone for so long. */
const restMs = 600_000
/** CAs between a server and its root that are fetched. */
const fetchesMax = 3
/** Fetches at a time, for all servers. */
const fetchingMax = 8

export class Issuers {
  /** Null: nothing is fetched. */
  source: IssuerSource | null = null
  readonly counters = { fetched: 0, useless: 0 }
  readonly #now: () => WallMs
  /** By fingerprint; used last at the end. */
  readonly #known = new Map<string, X509Certificate>()
  /** URIs that gave nothing of use, until when. */
  readonly #resting = new Map<string, number>()
  readonly #waiting = new Map<string, Set<() => void>>()

  constructor(now: () => WallMs) {
    this.#now = now
  }

  /** What another one knows, after a reload. */
  takeOver(former: Issuers): void {
    for (const [fingerprint, issuer] of former.#known) this.#known.set(fingerprint, issuer)
  }

  /** `done` comes after this has returned. */
  complete(leaf: X509Certificate, trust: Trust, from: Endpoint, done: Completed): Attempt {
    const completing = new Completing(this, leaf, trust, from, done)
    queueMicrotask(completing.go)
    return completing
  }

  get known(): readonly X509Certificate[] {
    return [...this.#known.values()]
  }

  /** True: it is fetched, now or by somebody else already, and `then` is called when that is over. */
  ask(certificate: X509Certificate, from: Endpoint, then: () => void): boolean {
    const uri = issuerUri(certificate)
    const { source } = this
    if (uri === null || source === null || (this.#resting.get(uri) ?? 0) > this.#now()) return false
    const others = this.#waiting.get(uri)
    if (others !== undefined) {
      others.add(then)
      return true
    }
    if (this.#waiting.size >= fetchingMax) return false
    const waiting = new Set([then])
    this.#waiting.set(uri, waiting)
    source.fetch(uri, from, content => {
      this.#waiting.delete(uri)
      this.#keep(uri, certificate, content)
      for (const go of waiting) go()
    })
    return true
  }

  /** It is not waited for any more; what is under way goes on, for the next who needs it. */
  forget(then: () => void): void {
    for (const waiting of this.#waiting.values()) waiting.delete(then)
  }

  #keep(uri: string, certificate: X509Certificate, content: Buffer | null): void {
    const issuer = content === null ? null : readIssuer(content)
    if (issuer === null || !hasSigned(issuer, certificate)) {
      this.counters.useless++
      this.#resting.set(uri, this.#now() + restMs)
      for (const oldest of this.#resting.keys()) if (this.#resting.size > askedMax) this.#resting.delete(oldest)
      return
    }
    this.counters.fetched++
    this.#known.set(issuer.fingerprint256, issuer)
    for (const oldest of this.#known.keys()) if (this.#known.size > knownMax) this.#known.delete(oldest)
  }
}

class Completing implements Attempt {
  readonly #issuers: Issuers
  readonly #leaf: X509Certificate
  readonly #trust: Trust
  readonly #from: Endpoint
  readonly #done: Completed
  #left = fetchesMax
  #over = false

  constructor(issuers: Issuers, leaf: X509Certificate, trust: Trust, from: Endpoint, done: Completed) {
    this.#issuers = issuers
    this.#leaf = leaf
    this.#trust = trust
    this.#from = from
    this.#done = done
  }

  readonly go = (): void => {
    if (this.#over) return
    const { known } = this.#issuers
    const { isWhole, path } = chainOf(this.#leaf, { ...this.#trust, intermediates: [...this.#trust.intermediates, ...known] })
    if (isWhole) return this.#end(path.filter(certificate => known.includes(certificate)))
    const last = path.at(-1)
    if (this.#left-- > 0 && last !== undefined && this.#issuers.ask(last, this.#from, this.go)) return
    this.#end(null)
  }

  cancel(): void {
    this.#over = true
    this.#issuers.forget(this.go)
  }

  #end(found: readonly X509Certificate[] | null): void {
    this.#over = true
    this.#done(found)
  }
}

/** DER as it should be, or PEM as some do it. */
const readIssuer = (content: Buffer): X509Certificate | null => {
  try {
    return new X509Certificate(content)
  } catch {
    return null // a page that says "not found", or a bundle of another kind
  }
}

/** The first that is http: others would need TLS to verify TLS. */
export const issuerUri = ({ infoAccess }: X509Certificate): string | null => {
  const lines = (infoAccess as string | undefined)?.split('\n') ?? [] // its types say that every certificate has it
  for (const line of lines) {
    const uri = /^CA Issuers - URI:(http:\/\/[!-~]{1,1000})$/i.exec(line)?.[1]
    if (uri !== undefined) return uri
  }
  return null
}
