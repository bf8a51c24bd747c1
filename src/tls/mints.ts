import { Mint, type MintOptions } from './mint.ts'

// What has been made for clients outlives a reload of the conf, as long as the CA and the way TLS is spoken are the same:
// clients that remember a certificate see it again, and nothing is made twice. A conf's mints are those asked for between
// `begin` and `end`; the others go.

export class Mints {
  #current = new Map<string, Mint>()
  #former = new Map<string, Mint>()

  /** A conf is about to ask for its mints. */
  begin(): void {
    for (const [key, mint] of this.#current) this.#former.set(key, mint)
    this.#current = new Map()
  }

  of(options: MintOptions): Mint {
    const { authority, hash, context } = options
    const key = JSON.stringify([authority.fingerprint, hash, context])
    const mint = this.#current.get(key) ?? this.#former.get(key) ?? fresh(options)
    mint.bytesMax = options.bytesMax
    this.#current.set(key, mint)
    return mint
  }

  /** It has asked for all of them. */
  end(): void {
    this.#former.clear()
  }
}

const fresh = (options: MintOptions): Mint => {
  void options.authority.leafKey() // the first client shall not wait for it
  return new Mint(options)
}
