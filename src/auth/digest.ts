import { timingSafeEqual } from 'node:crypto'
import type { MonoMs } from '../base/index.ts'
import { type DigestAlgorithm, digestHash, type DigestSecrets } from './digest-secrets.ts'
import { type NonceLimits, Nonces } from './nonces.ts'
import { failed, missing, type Proof, type ProofRequest, proven, quoted, type Scheme, wrong } from './scheme.ts'

// RFC 7616, with qop=auth: the client shows that it knows the password, for this method and URI, once.

export interface DigestOptions {
  readonly realm: string
  readonly secrets: DigestSecrets
  readonly nonces: NonceLimits
  /** How long a secret is kept; what is proved wrong by it is asked about again. */
  readonly ttlMs: number
  readonly garbageMs: number
  /** post_workaround: the hash may be that of a GET, whatever the method is. */
  readonly getForAll: boolean
  /** Two schemes of the same text share nonces. */
  readonly identity: string
}

const usersMax = 20_000
/** A secret younger than this is believed when it says no: whoever guesses must not make a question of each guess. */
const youngMs = 5000

interface Known {
  readonly ha1: string
  readonly at: MonoMs
}

export class DigestScheme implements Scheme {
  readonly name = 'digest'
  readonly #options: DigestOptions
  #nonces = new Nonces()
  /** By algorithm, user and extras. */
  readonly #known = new Map<string, Known>()
  #sweptAt = 0

  constructor(options: DigestOptions) {
    this.#options = options
  }

  /** One for each algorithm (RFC 7616 3.7). */
  challenges(stale: boolean, now: MonoMs): readonly string[] {
    const { realm, secrets } = this.#options
    const nonce = this.#nonces.make(now)
    return secrets.algorithms.map(
      algorithm => `realm=${quoted(realm)}, nonce="${nonce}", qop="auth", algorithm=${algorithm}, stale=${stale}`,
    )
  }

  adopt(former: Scheme): void {
    if (former instanceof DigestScheme && former.#options.identity === this.#options.identity) this.#nonces = former.#nonces
  }

  prove(words: string, request: ProofRequest): Proof | Promise<Proof> {
    const claim = claimOf(words)
    if (claim === null || claim.realm !== this.#options.realm) return missing
    const algorithm = this.#options.secrets.algorithms.find(name => name === claim.algorithm)
    if (algorithm === undefined) return missing
    if (!request.uris.includes(claim.uri)) return wrong(claim.user, 'the digest is for another URI')
    this.#sweep(request.now)
    const which = `${algorithm} ${claim.user} ${request.extras(this)}`
    const known = this.#known.get(which)
    if (known !== undefined && request.now - known.at < this.#options.ttlMs) {
      const answer = this.#judge(claim, algorithm, known.ha1, request)
      if (answer.state !== 'wrong' || request.now - known.at < youngMs) return answer
    }
    return this.#ask(claim, algorithm, which, request)
  }

  async #ask(claim: Claim, algorithm: DigestAlgorithm, which: string, request: ProofRequest): Promise<Proof> {
    const { realm, secrets } = this.#options
    const answer = await secrets.secretOf(claim.user, realm, algorithm, request.extras(this))
    if (answer.kind === 'failed') return failed(claim.user, answer.message)
    if (answer.kind === 'unknown') return wrong(claim.user, answer.message)
    this.#known.delete(which)
    this.#known.set(which, { ha1: answer.ha1, at: request.now })
    if (this.#known.size > usersMax) for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest)
      break
    }
    return this.#judge(claim, algorithm, answer.ha1, request)
  }

  #judge(claim: Claim, algorithm: DigestAlgorithm, ha1: string, request: ProofRequest): Proof {
    const { user, nonce, nc, cnonce, uri } = claim
    const { nonces, getForAll } = this.#options
    const answers = (method: string): boolean => {
      const ha2 = digestHash(algorithm, `${method}:${uri}`)
      const right = Buffer.from(digestHash(algorithm, `${ha1}:${nonce}:${nc}:${cnonce}:auth:${ha2}`), 'latin1')
      const said = Buffer.from(claim.response, 'latin1')
      return said.length === right.length && timingSafeEqual(said, right)
    }
    if (!answers(request.method) && !(getForAll && answers('GET'))) return wrong(user)
    const fresh =
      this.#nonces.isFresh(nonce, request.now, nonces) &&
      !this.#nonces.mayBeForgotten(nonce) &&
      this.#nonces.use(nonce, Number.parseInt(nc, 16), nonces)
    return fresh ? proven(user) : { state: 'stale', user, message: '' }
  }

  #sweep(now: MonoMs): void {
    if (now - this.#sweptAt < this.#options.garbageMs) return
    this.#sweptAt = now
    this.#nonces.sweep(now, this.#options.nonces)
    for (const [which, known] of this.#known) if (now - known.at >= this.#options.ttlMs) this.#known.delete(which)
  }
}

interface Claim {
  readonly user: string
  readonly realm: string
  readonly nonce: string
  readonly uri: string
  readonly algorithm: string
  readonly response: string
  readonly nc: string
  readonly cnonce: string
}

/** Null: something is missing, twice there, or of a form of its own. */
const claimOf = (words: string): Claim | null => {
  const values = parametersOf(words)
  const text = (name: string): string => values?.get(name) ?? ''
  const claim = {
    user: text('username'), realm: text('realm'), nonce: text('nonce'), uri: text('uri'),
    algorithm: (text('algorithm') || 'MD5').toUpperCase(), response: text('response').toLowerCase(),
    nc: text('nc').toLowerCase(), cnonce: text('cnonce'),
  }
  if (values === null || claim.user === '' || text('qop').toLowerCase() !== 'auth' || text('userhash') === 'true') return null
  if (!/^[0-9a-f]{8}$/.test(claim.nc) || claim.nc === '00000000' || claim.cnonce === '') return null
  return /^(?:[0-9a-f]{32}){1,2}$/.test(claim.response) && !/[\0-\x1f\x7f]/.test(claim.user) ? claim : null
}

/** RFC 9110 11.2: `name=token|"text"` with commas. */
const parametersOf = (words: string): ReadonlyMap<string, string> | null => {
  const values = new Map<string, string>()
  const pair = /[ \t,]*([A-Za-z0-9_-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^",; \t]*))[ \t]*(?:,|$)/y
  while (pair.lastIndex < words.length) {
    const found = pair.exec(words)
    const name = found?.[1]?.toLowerCase()
    if (name === undefined || values.has(name)) return null
    values.set(name, found?.[2]?.replace(/\\(.)/g, '$1') ?? found?.[3] ?? '')
  }
  return values
}
