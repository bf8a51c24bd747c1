import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { MonoMs } from '../base/index.ts'
import type { PasswordSource } from './passwords.ts'
import { failed, type Proof, type ProofRequest, proven, quoted, type Scheme, wrong } from './scheme.ts'

// RFC 7617. Passwords are asked about once and then known by a hash whose key ends with the process: neither a look into
// our memory nor the time an answer takes tells one.

export interface BasicOptions {
  readonly realm: string
  readonly source: PasswordSource
  readonly caseSensitive: boolean
  /** How long a password is believed. */
  readonly ttlMs: number
  /** What nobody has used for this long is forgotten, looked for every `garbageMs`. */
  readonly idleMs: number
  readonly garbageMs: number
  /** Two schemes of the same text know the same passwords. */
  readonly identity: string
}

const usersMax = 20_000

interface Known {
  readonly hash: Buffer
  readonly until: MonoMs
  usedAt: MonoMs
}

export class BasicScheme implements Scheme {
  readonly name = 'basic'
  readonly #options: BasicOptions
  #key = randomBytes(32)
  /** By user (and extras), the one used last stands last. */
  #known = new Map<string, Known>()
  /** Clients open many connections at a time: they share one question. */
  readonly #asking = new Map<string, Promise<Proof>>()
  #sweptAt = 0

  constructor(options: BasicOptions) {
    this.#options = options
  }

  challenges(): readonly string[] {
    return [`realm=${quoted(this.#options.realm)}`]
  }

  prove(words: string, request: ProofRequest): Proof | Promise<Proof> {
    const said = decoded(words)
    const colon = said.indexOf(':')
    if (colon <= 0) return wrong('')
    const user = this.#options.caseSensitive ? said.slice(0, colon) : said.slice(0, colon).toLowerCase()
    const password = said.slice(colon + 1)
    const extras = request.extras(this)
    const name = extras === '' ? user : `${user} ${extras}`
    const hash = createHmac('sha256', this.#key).update(password, 'latin1').digest()
    const known = this.#known.get(name)
    if (known !== undefined && known.until > request.now && timingSafeEqual(known.hash, hash)) {
      known.usedAt = request.now
      return proven(user)
    }
    return this.#ask(user, password, extras, name, hash, request.now)
  }

  adopt(former: Scheme): void {
    if (!(former instanceof BasicScheme) || former.#options.identity !== this.#options.identity) return
    this.#key = former.#key
    this.#known = former.#known
  }

  #ask(user: string, password: string, extras: string, name: string, hash: Buffer, now: MonoMs): Promise<Proof> {
    const which = `${hash.toString('latin1')}${name}`
    const asking = this.#asking.get(which)
    if (asking !== undefined) return asking
    const answer = this.#options.source.check(user, password, extras).then(verdict => {
      this.#asking.delete(which)
      if (verdict.kind === 'failed') return failed(user, verdict.message)
      if (verdict.kind === 'wrong') return wrong(user, verdict.message)
      this.#remember(name, hash, now)
      return proven(user)
    })
    this.#asking.set(which, answer)
    return answer
  }

  #remember(name: string, hash: Buffer, now: MonoMs): void {
    const { ttlMs, idleMs, garbageMs } = this.#options
    this.#known.delete(name)
    this.#known.set(name, { hash, until: (now + ttlMs) as MonoMs, usedAt: now }) // a later moment is a moment
    if (now - this.#sweptAt >= garbageMs) {
      this.#sweptAt = now
      for (const [other, known] of this.#known) if (known.until <= now || now - known.usedAt > idleMs) this.#known.delete(other)
    }
    if (this.#known.size <= usersMax) return
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest)
      return
    }
  }
}

/** '' = no base64 of a name and a password. */
const decoded = (words: string): string => {
  const text = words.replace(/ .*$/, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return ''
  const said = Buffer.from(text, 'base64').toString('latin1')
  // RFC 7617 2: no control characters; and none may get into a helper's line
  return /[\0-\x1f\x7f]/.test(said) ? '' : said
}
