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

const noAddresses: readonly string[] = []

/** The addresses of a host in numbers; an array seen before is not read again. */
export class Addresses {
  readonly keys: IpKey[] = []
  count = 0
  #source: readonly string[] = noAddresses

  set(addresses: readonly string[]): void {
    if (addresses === this.#source) return
    this.#source = addresses
    this.count = addresses.length
    while (this.keys.length < this.count) this.keys.push(new IpKey(''))
    for (let i = 0; i < this.count; i++) this.keys[i]?.set(addresses[i] ?? '')
  }
}

/** Which host was asked about, and when: the same host within the same millisecond is the same question. */
class Question {
  answered = false
  #host = ''
  #now = wallMs(-1)
  #serial = 0

  is(facts: AccessFacts): boolean {
    return this.#host === facts.host && this.#now === facts.now
  }

  ask(facts: AccessFacts): number {
    this.#host = facts.host
    this.#now = facts.now
    this.answered = false
    return ++this.#serial
  }

  /** False: something else has been asked since, the answer comes too late. */
  answer(serial: number): boolean {
    if (serial !== this.#serial) return false
    this.answered = true
    return true
  }
}

/**
 * What access lists may ask about one request. One object per client connection; the proxy writes the fields of each
 * request into it. While a check is a promise the facts belong to that check.
 *
 * What is derived (numbers, decoded texts, looked-up names) is kept beside what it was derived from, so that a field
 * can be written at any time and nothing derived from the former request is ever seen.
 */
export class AccessFacts {
  readonly client: Endpoint
  /** Our end as the client sees it: for intercepted connections the original destination. */
  readonly local: Endpoint
  readonly portName: string
  /** Null = names are never looked up; `dst` then knows numeric hosts only. */
  names: AccessNames | null = null

  method = ''
  /** Lower case; '' for CONNECT. */
  scheme = ''
  /** The effective request URI; `host:port` for CONNECT. */
  uri = ''
  /** Of the URI: lower case, IPv6 canonical without brackets; '' = none. */
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

  #clientKey: IpKey | null = null
  #localKey: IpKey | null = null
  #uriRead = ''
  #uriDecoded = ''
  #pathRead = ''
  #pathDecoded = ''
  readonly #addresses = new Addresses()
  /** For which request `#addresses` and `#hostName` were looked up, or are being. */
  readonly #addressesFor = new Question()
  readonly #nameFor = new Question()
  #hostName = ''
  #addressesWanted: Promise<void> | null = null
  #nameWanted: Promise<void> | null = null

  constructor(client: Endpoint, local: Endpoint, portName: string) {
    this.client = client
    this.local = local
    this.portName = portName
  }

  get clientKey(): IpKey {
    this.#clientKey ??= new IpKey(this.client.address)
    return this.#clientKey
  }

  get localKey(): IpKey {
    this.#localKey ??= new IpKey(this.local.address)
    return this.#localKey
  }

  /** What url_regex sees: escapes decoded when all of them are well formed. */
  get decodedUri(): string {
    if (this.#uriRead !== this.uri) {
      this.#uriRead = this.uri
      this.#uriDecoded = decodedOrRaw(this.uri)
    }
    return this.#uriDecoded
  }

  get decodedPath(): string {
    if (this.#pathRead !== this.urlPath) {
      this.#pathRead = this.urlPath
      this.#pathDecoded = decodedOrRaw(this.urlPath)
    }
    return this.#pathDecoded
  }

  /** Addresses of the host; null = not before `learn`. */
  destinations(): Addresses | null {
    const question = this.#addressesFor
    if (question.is(this)) return question.answered ? this.#addresses : null
    const serial = question.ask(this)
    const answer = this.#askAddresses()
    if (answer instanceof Promise) {
      const keep = (addresses: readonly string[]) => {
        if (question.answer(serial)) this.#addresses.set(addresses)
      }
      this.#addressesWanted = answer.then(keep, () => keep(noAddresses))
      return null
    }
    this.#addresses.set(answer)
    question.answer(serial)
    return this.#addresses
  }

  /** For domain ACLs on a numeric host: its name; '' = not numeric, or nameless; null = not before `learn`. */
  nameOfNumericHost(): string | null {
    const question = this.#nameFor
    if (question.is(this)) return question.answered ? this.#hostName : null
    const serial = question.ask(this)
    const answer = this.#askName()
    if (answer instanceof Promise) {
      const keep = (name: string) => {
        if (question.answer(serial)) this.#hostName = name
      }
      this.#nameWanted = answer.then(keep, () => keep(''))
      return null
    }
    this.#hostName = answer
    question.answer(serial)
    return answer
  }

  /** Waits for what made an ACL answer `unlearned`. Never rejects; asked again, the ACL then knows. */
  async learn(): Promise<void> {
    await this.#addressesWanted
    await this.#nameWanted
  }

  #askAddresses(): readonly string[] | Promise<readonly string[]> {
    if (this.host === '') return noAddresses
    const numeric = canonicalAddress(this.host)
    if (numeric !== null) return [numeric]
    return this.names === null ? noAddresses : this.names.addressesOf(this.host)
  }

  #askName(): string | Promise<string> {
    const numeric = canonicalAddress(this.host)
    return numeric === null || this.names === null ? '' : this.names.nameOf(numeric)
  }
}
