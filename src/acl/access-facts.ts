import { canonicalAddress, type Endpoint, type FieldView, type WallMs, wallMs } from '../base/index.ts'
import { IpKey } from './ip-key.ts'
import { decodedOrRaw } from './percent.ts'

/**
 * Looks names up for the slow ACLs (dst by name, domains of numeric hosts). What is in the cache is answered at once;
 * a promise means a question on the wire. What cannot be resolved is empty; a rejection counts as empty.
 */
export interface AccessNames {
  /** Canonical addresses. The same array again means "unchanged" and saves reading it. */
  addressesOf(host: string): readonly string[] | Promise<readonly string[]>
  /** The name of a canonical address, lower case; '' = it has none. */
  nameOf(address: string): string | Promise<string>
}

const nowhere: Endpoint = { family: 4, address: '0.0.0.0', port: 0 }
const noAddresses: readonly string[] = []

/** The addresses of the last host in numbers; an array seen before is not read again. */
export class AddressMemory {
  readonly keys: IpKey[] = []
  count = 0
  #source: readonly string[] = noAddresses

  set(addresses: readonly string[]): void {
    if (addresses === this.#source) return
    this.#source = addresses
    this.count = addresses.length
    while (this.keys.length < this.count) this.keys.push(new IpKey())
    addresses.forEach((address, i) => this.keys[i]?.set(address))
  }
}

/**
 * What access lists may ask about one request. One object per client connection: `setConnection` once, `setRequest` for
 * each request. While a check is a promise the facts belong to it: no setRequest before it is settled.
 */
export class AccessFacts {
  client: Endpoint = nowhere
  /** Our end as the client sees it: for intercepted connections the original destination. */
  local: Endpoint = nowhere
  portName = ''

  method = ''
  /** Lower case; '' for CONNECT. */
  scheme = ''
  /** The effective request URI; `host:port` for CONNECT. */
  uri = ''
  /** Of the URI, lower case, IPv6 in brackets; '' = none. */
  host = ''
  port = 0
  /** Path and query; '' for CONNECT. */
  urlPath = ''
  fields: FieldView | null = null
  now: WallMs = wallMs(0)
  /**
   * The server will be the original destination whatever the name says (client_dst_passthru, or a Host that was not
   * verified). Then `dst` is that address, as in Squid: a rule about addresses must see the one connected to.
   */
  pinned = false
  /** Null = names are never looked up; `dst` then knows numeric hosts only. */
  names: AccessNames | null = null

  readonly #clientKey = new IpKey()
  readonly #localKey = new IpKey()
  #clientKeyed = false
  #localKeyed = false
  #decodedUri: string | null = null
  #decodedPath: string | null = null

  readonly #addresses = new AddressMemory()
  #addressesKnown = false
  #hostName: string | null = null
  #wanted: Promise<void> | null = null
  /** An answer that arrives for a former request is thrown away. */
  #request = 0

  setConnection(client: Endpoint, local: Endpoint, portName: string, names: AccessNames | null): void {
    this.client = client
    this.local = local
    this.portName = portName
    this.names = names
    this.#clientKeyed = false
    this.#localKeyed = false
    this.#forget()
  }

  setRequest(
    method: string,
    scheme: string,
    uri: string,
    host: string,
    port: number,
    urlPath: string,
    fields: FieldView | null,
    now: WallMs,
    pinned: boolean,
  ): void {
    this.method = method
    this.scheme = scheme
    this.uri = uri
    this.host = host
    this.port = port
    this.urlPath = urlPath
    this.fields = fields
    this.now = now
    this.pinned = pinned
    this.#forget()
  }

  get clientKey(): IpKey {
    if (!this.#clientKeyed) {
      this.#clientKey.set(this.client.address)
      this.#clientKeyed = true
    }
    return this.#clientKey
  }

  get localKey(): IpKey {
    if (!this.#localKeyed) {
      this.#localKey.set(this.local.address)
      this.#localKeyed = true
    }
    return this.#localKey
  }

  /** What url_regex sees: escapes decoded when all of them are well formed. */
  get decodedUri(): string {
    this.#decodedUri ??= decodedOrRaw(this.uri)
    return this.#decodedUri
  }

  get decodedPath(): string {
    this.#decodedPath ??= decodedOrRaw(this.urlPath)
    return this.#decodedPath
  }

  /** Addresses of the host; null = not before `learn`. */
  destinations(): AddressMemory | null {
    if (this.#addressesKnown) return this.#addresses
    if (this.#wanted !== null) return null
    const answer = this.#askAddresses()
    if (answer instanceof Promise) {
      const request = this.#request
      this.#wanted = answer.then(
        addresses => this.#keepAddresses(request, addresses),
        () => this.#keepAddresses(request, noAddresses),
      )
      return null
    }
    this.#keepAddresses(this.#request, answer)
    return this.#addresses
  }

  /** For domain ACLs on a numeric host: its name by reverse look-up; '' = not numeric or nameless, null = not before `learn`. */
  nameOfNumericHost(): string | null {
    if (this.#hostName !== null) return this.#hostName
    if (this.#wanted !== null) return null
    const answer = this.#askName()
    if (answer instanceof Promise) {
      const request = this.#request
      this.#wanted = answer.then(
        name => this.#keepName(request, name),
        () => this.#keepName(request, ''),
      )
      return null
    }
    this.#keepName(this.#request, answer)
    return answer
  }

  /** Waits for what made an ACL answer `unlearned`. Never rejects; asked again, the ACL then knows. */
  async learn(): Promise<void> {
    await this.#wanted
  }

  #askAddresses(): readonly string[] | Promise<readonly string[]> {
    const numeric = canonicalAddress(this.host)
    if (numeric !== null) return [numeric]
    return this.host === '' || this.names === null ? noAddresses : this.names.addressesOf(this.host)
  }

  #askName(): string | Promise<string> {
    const numeric = canonicalAddress(this.host)
    return numeric === null || this.names === null ? '' : this.names.nameOf(numeric)
  }

  #keepAddresses(request: number, addresses: readonly string[]): void {
    if (request !== this.#request) return
    this.#addresses.set(addresses)
    this.#addressesKnown = true
    this.#wanted = null
  }

  #keepName(request: number, name: string): void {
    if (request !== this.#request) return
    this.#hostName = name
    this.#wanted = null
  }

  #forget(): void {
    this.#request++
    this.#decodedUri = null
    this.#decodedPath = null
    this.#addressesKnown = false
    this.#hostName = null
    this.#wanted = null
  }
}
