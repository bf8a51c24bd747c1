import type { MonoMs } from '../base/index.ts'
import { AddressUsers } from './address-users.ts'
import { type AuthLink, missing, type Proof, type ProofRequest, proven, type Scheme } from './scheme.ts'
import { UserAddresses } from './user-addresses.ts'

export interface AuthenticatorOptions {
  /** In the order they are offered. */
  readonly schemes: readonly Scheme[]
  readonly addressTtlMs: number
}

const schemeWords = { basic: 'Basic', digest: 'Digest', ntlm: 'NTLM', negotiate: 'Negotiate' } as const

/** Of a field with credentials: more is no password. */
const fieldBytesMax = 8192

/** All schemes of a conf. */
export class Authenticator {
  readonly schemes: readonly Scheme[]
  readonly addresses: UserAddresses
  /** Users by address, where the conf wants that. */
  known = new AddressUsers()

  constructor(options: AuthenticatorOptions) {
    this.schemes = options.schemes
    this.addresses = new UserAddresses(options.addressTtlMs)
  }

  /** At once when it is known; never rejects. */
  prove(request: ProofRequest): Proof | Promise<Proof> {
    const { field } = request
    if (field === undefined) return this.#heldBy(request.link)
    if (field.length > fieldBytesMax) return missing
    const blank = field.indexOf(' ')
    const name = (blank < 0 ? field : field.slice(0, blank)).toLowerCase()
    const scheme = this.schemes.find(one => one.name === name)
    return scheme === undefined ? missing : scheme.prove(blank < 0 ? '' : field.slice(blank + 1).trim(), request)
  }

  /** RFC 9110 11.6: one value per challenge; each in a field line of its own, since some programs read no lists. */
  challenges(names: readonly string[], stale: boolean, now: MonoMs): readonly string[] {
    return this.#named(names).flatMap(scheme => {
      return scheme.challenges(stale, now).map(text => (text === '' ? schemeWords[scheme.name] : `${schemeWords[scheme.name]} ${text}`))
    })
  }

  /** The names of the schemes that are offered then. */
  offered(names: readonly string[]): readonly Scheme['name'][] {
    return this.#named(names).map(({ name }) => name)
  }

  /** A connection on which somebody has proved who he is needs no further word. */
  #heldBy({ handshake }: AuthLink): Proof {
    if (handshake === null || handshake.user === '' || !this.schemes.some(scheme => scheme.name === handshake.name)) return missing
    return proven(handshake.user)
  }

  /** `all`: those that are not named before. */
  #named(names: readonly string[]): readonly Scheme[] {
    const found = new Set<Scheme>()
    for (const name of names) for (const scheme of this.schemes) if (name === 'all' || name === scheme.name) found.add(scheme)
    return [...found]
  }

  /** At a reload: nobody is asked for his password again because of it, and no nonce can be used twice. */
  adopt(former: Authenticator): void {
    this.known = former.known
    for (const scheme of this.schemes) {
      const before = former.schemes.find(one => one.name === scheme.name)
      if (before !== undefined) scheme.adopt(before)
    }
  }
}
