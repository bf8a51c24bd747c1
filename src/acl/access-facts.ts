import { type Endpoint, type FieldView, Notes, type Outcome, type WallMs, wallMs } from '../base/index.ts'
import { type AclClients, ClientLookups } from './client-lookups.ts'
import { type AccessNames, type Addresses, HostLookups } from './host-lookups.ts'
import type { HelperWord } from './external.ts'
import { IpKey } from './ip-key.ts'
import { decodedOrRaw } from './percent.ts'
import type { AuthLink, Proof } from './users.ts'

/**
 * What access lists may ask about one request. One object per client connection; the proxy writes the fields of each
 * request into it. While a check is a promise the facts belong to that check.
 *
 * What is derived (numbers, decoded texts, looked-up names) is kept beside what it was derived from, so that a field
 * can be written at any time and nothing derived from the former request is ever seen.
 */
export class AccessFacts {
  /** Who connected. */
  readonly connected: Endpoint
  /** Who it is taken for: himself, or after `believe` the client behind him. */
  client: Endpoint
  /** Our end as the client sees it: for intercepted connections the original destination. */
  readonly local: Endpoint
  readonly portName: string
  /** Null = names are never looked up; `dst` then knows numeric hosts only. */
  names: AccessNames | null = null
  /** What is known of clients beyond their address. Null = nothing. */
  clients: AclClients | null = null

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
  /** What has become of the request so far; null where no record is kept. */
  outcome: Outcome | null = null
  /** Of the response, once there is one; 0 = there is none. */
  responseStatus = 0
  responseFields: FieldView | null = null
  /** Errors of the server's certificate that a decision is about; null = those of the record, if there are any. */
  certificateErrors: readonly string[] | null = null
  /** Annotations: of the request, and of the connection for all its requests. Null = none. */
  notes: Notes | null = null
  clientNotes: Notes | null = null
  /** What a helper said of the request; '' = nothing. */
  tag = ''
  /** The field this connection's clients say in who they are; null = they cannot be asked. */
  credentials: 'proxy-authorization' | 'authorization' | null = null
  /** What the client's connection has proved; null = nothing was asked yet. */
  link: AuthLink | null = null
  /** What has come of it; null = nobody has wanted to know. */
  proof: Proof | null = null
  /** A user who has proved it, and the one a helper named; '' = none. */
  user = ''
  helperUser = ''
  /** What helpers have answered about this request, by ACL. */
  helperAnswers: Map<object, HelperWord> | null = null

  /** How far the reading of a TLS connection has come: what is not read is at its first step, as in Squid. */
  step: 1 | 2 | 3 = 1
  /** The server as the TLS client calls it, where that could be confirmed; '' = not known. */
  serverName = ''
  /** Names of the server's certificate; null = it has not been seen. */
  certificateNames: readonly string[] | null = null
  /** The TLS client will name its server yet: an ACL about names that does not match now may do so then. */
  namePending = false
  /** The connection is TLS that is read here. */
  encrypted = false
  /** A balancer has said who the client is: the kernel knows the balancer's connection only. */
  introduced = false

  #clientKey: IpKey | null = null
  #localKey: IpKey | null = null
  #uriRead = ''
  #uriDecoded = ''
  #pathRead = ''
  #pathDecoded = ''
  #lookups: HostLookups | null = null
  #clientLookups: ClientLookups | null = null
  #asked: Promise<void> | null = null
  /** undefined = nobody has asked. */
  #connectionMark: number | null | undefined = undefined
  #inherited = ''

  constructor(client: Endpoint, local: Endpoint, portName: string) {
    this.connected = client
    this.client = client
    this.local = local
    this.portName = portName
  }

  get clientKey(): IpKey {
    this.#clientKey ??= new IpKey(this.client.address)
    return this.#clientKey
  }

  /** From here on `client` is this one: follow_x_forwarded_for, or a new request after that. */
  believe(client: Endpoint): void {
    if (client === this.client) return
    this.client = client
    this.#clientKey = null
    this.#clientLookups = null
  }

  /** Of this request, for who asks about it when the connection has gone on to the next. */
  copy(outcome: Outcome): AccessFacts {
    const copy = new AccessFacts(this.connected, this.local, this.portName)
    copy.believe(this.client)
    const { names, clients, method, scheme, uri, host, port, urlPath, fields, now, pinned, notes, clientNotes, tag } = this
    const { credentials, proof, user, helperUser, helperAnswers, link, step, serverName, certificateNames, encrypted, introduced } = this
    return Object.assign(copy, {
      names, clients, method, scheme, uri, host, port, urlPath, fields, now, pinned, notes, clientNotes, tag, outcome,
      credentials, proof, user, helperUser, helperAnswers, link, step, serverName, certificateNames, encrypted, introduced,
    })
  }

  /** The request's annotations, to add to: those of the connection are among them. */
  noted(): Notes {
    if (this.notes === null) {
      this.notes = this.clientNotes?.copy() ?? new Notes()
      if (this.outcome !== null) this.outcome.notes = this.notes
    }
    return this.notes
  }

  /** The connection's, which its later requests have too. */
  notedOfClient(): Notes {
    this.noted()
    this.clientNotes ??= new Notes()
    return this.clientNotes
  }

  /** Without the response of the request before. */
  forgetResponse(): void {
    this.responseStatus = 0
    this.responseFields = null
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
    this.#lookups ??= new HostLookups()
    return this.#lookups.destinations(this)
  }

  /** For domain ACLs on a numeric host: its name; '' = not numeric, or nameless; null = not before `learn`. */
  nameOfNumericHost(): string | null {
    this.#lookups ??= new HostLookups()
    return this.#lookups.hostName(this)
  }

  /** The client's name; '' = it has none; null = not before `learn`. */
  clientName(): string | null {
    if (this.clients === null) return ''
    this.#clientLookups ??= new ClientLookups()
    return this.#clientLookups.name(this)
  }

  /** The client's Ethernet address, `aa:bb:cc:dd:ee:ff`; '' = it is no neighbour; null = not before `learn`. */
  clientHardware(): string | null {
    if (this.clients === null) return ''
    this.#clientLookups ??= new ClientLookups()
    return this.#clientLookups.hardware(this)
  }

  /** As the kernel tracks the connection, found once; null = it does not say. */
  connectionMark(): number | null {
    if (this.#connectionMark === undefined) this.#connectionMark = this.introduced ? null : (this.clients?.connectionMarkOf(this.connected, this.local) ?? null)
    return this.#connectionMark
  }

  /** It has been changed since. */
  forgetConnectionMark(): void {
    this.#connectionMark = undefined
  }

  /** Of the request before: who asked, and what helpers said. */
  forgetUser(): void {
    this.proof = null
    this.user = this.#inherited
    this.helperUser = ''
    this.helperAnswers = null
    this.#asked = null
  }

  /** Whoever asked for the connection asks for all that is within it, too. */
  inherit(user: string): void {
    this.#inherited = user
    this.user = user
  }

  /** An answer that is on its way: `learn` waits for it. `keep` is called unless another request has come meanwhile. */
  expect<T>(answer: Promise<T>, keep: (known: T) => void): void {
    const { fields, now } = this
    this.#asked = answer.then(known => {
      if (this.fields === fields && this.now === now) keep(known)
    })
  }

  /** Waits for what made an ACL answer `unlearned`. Never rejects; asked again, the ACL then knows. */
  async learn(): Promise<void> {
    await this.#lookups?.learn()
    await this.#clientLookups?.learn()
    await this.#asked
  }
}
