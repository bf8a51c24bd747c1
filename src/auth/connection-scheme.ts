import type { Clock, DurationMs, Timer } from '../base/index.ts'
import { ms } from '../base/index.ts'
import { type HelperAnswer, parseReply, type Talk } from '../helper/index.ts'
import { type AuthLink, failed, type Handshake, type Proof, type ProofRequest, proven, type Scheme, wrong } from './scheme.ts'

// NTLM and Negotiate (RFC 4559) towards this proxy, by helpers of Squid's protocol. Client and helper talk to each other,
// message for message; we pass them on, and a child is the client's for that long. What is proved counts for the client's
// connection, and nowhere else.
//
//   client ──YR message──► helper ──TT──► 407 with its message ──► client ──KK message──► helper ──OK user──► the connection's

export interface ConnectionSchemeOptions {
  readonly name: 'ntlm' | 'negotiate'
  /** A child of the helper for one client. */
  readonly talk: () => Talk
  readonly clock: () => Clock
}

/** A child does not wait longer for its client: there are few of them. */
const patience: DurationMs = ms(60_000)

const words = { ntlm: 'NTLM', negotiate: 'Negotiate' } as const

export class ConnectionScheme implements Scheme {
  readonly name: 'ntlm' | 'negotiate'
  readonly #options: ConnectionSchemeOptions

  constructor(options: ConnectionSchemeOptions) {
    this.name = options.name
    this.#options = options
  }

  challenges(): readonly string[] {
    return ['']
  }

  adopt(): void {}

  prove(message: string, { link }: ProofRequest): Proof | Promise<Proof> {
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(message)) return wrong('')
    const before = link.handshake instanceof ClientHandshake && link.handshake.name === this.name ? link.handshake : null
    // some programs send their last message with every request
    if (before !== null && before.user !== '' && before.message === message) return proven(before.user)
    const goesOn = before?.waits === true ? before : null
    const handshake = goesOn ?? new ClientHandshake(this.name, this.#options.talk(), this.#options.clock())
    if (goesOn === null) {
      link.handshake?.end()
      link.handshake = handshake
    }
    return handshake.say(goesOn === null ? 'YR' : 'KK', message).then(answer => this.#heard(link, handshake, answer))
  }

  #heard(link: AuthLink, handshake: ClientHandshake, answer: HelperAnswer): Proof {
    const reply = answer.ok ? replyOf(this.name, answer.text) : null
    if (reply?.kind === 'more') {
      handshake.awaitClient()
      return { state: 'more', user: '', message: '', challenge: `${words[this.name]} ${reply.token}` }
    }
    if (reply?.kind === 'proven' && !handshake.over) {
      handshake.prove(reply.user)
      return { ...proven(reply.user), notes: reply.notes }
    }
    handshake.end()
    if (link.handshake === handshake) link.handshake = null
    if (reply?.kind === 'wrong') return wrong('', reply.message)
    return failed('', reply?.kind === 'failed' ? reply.message : `the authentication program is ${answer.ok ? 'not understood' : answer.reason}`)
  }
}

/** Of one client connection. */
class ClientHandshake implements Handshake {
  readonly name: string
  user = ''
  /** The client's last one. */
  message = ''
  /** The client's next message belongs to it. */
  waits = false
  over = false
  readonly #talk: Talk
  readonly #clock: Clock
  #timer: Timer | null = null

  constructor(name: string, talk: Talk, clock: Clock) {
    this.name = name
    this.#talk = talk
    this.#clock = clock
  }

  say(verb: 'YR' | 'KK', message: string): Promise<HelperAnswer> {
    this.#timer?.cancel()
    this.waits = false
    this.message = message
    return this.#talk.ask(`${verb} ${message}`)
  }

  awaitClient(): void {
    if (this.over) return
    this.waits = true
    this.#timer = this.#clock.after(patience, () => this.end(), { unref: true })
  }

  prove(user: string): void {
    this.user = user
    this.#timer?.cancel()
    this.#talk.end()
  }

  end(): void {
    this.over = true
    this.waits = false
    this.user = ''
    this.#timer?.cancel()
    this.#talk.end()
  }
}

type Reply =
  | { readonly kind: 'more'; readonly token: string }
  | { readonly kind: 'proven'; readonly user: string; readonly notes: readonly string[] }
  | { readonly kind: 'wrong' | 'failed'; readonly message: string }

/** Squid's words, and those of helpers from before 3.4, whose messages may look like pairs. Null: none of them. */
const replyOf = (name: 'ntlm' | 'negotiate', line: string): Reply | null => {
  const [, word = '', rest = ''] = /^(\S+) *(.*?) *$/s.exec(line) ?? []
  switch (word) {
    case 'OK':
    case 'ERR':
    case 'BH': {
      const { values, pairs, text } = parseReply(`OK ${rest}`)
      const message = values.get('message') ?? text
      if (word !== 'OK') return { kind: word === 'ERR' ? 'wrong' : 'failed', message }
      return provenBy(values.get('user') ?? '', pairs.filter((_, i) => !own.has(pairs[i - (i % 2)] ?? '')))
    }
    case 'TT': {
      const token = rest.replace(/^token="?([^" ]*)"?.*$/s, '$1').replace(/ .*$/s, '')
      return /^[A-Za-z0-9+/]+={0,2}$/.test(token) ? { kind: 'more', token } : { kind: 'failed', message: 'the authentication program says TT without a message' }
    }
    // with negotiate a message for the client stands first
    case 'AF':
      return provenBy(name === 'negotiate' ? rest.replace(/^\S+ */, '') : rest, [])
    case 'NA':
      return { kind: 'wrong', message: name === 'negotiate' ? rest.replace(/^\S+ */, '') : rest }
  }
  return null
}

const provenBy = (user: string, notes: readonly string[]): Reply =>
  user === '' || /[\0-\x1f\x7f]/.test(user) ? { kind: 'failed', message: 'the authentication program names nobody' } : { kind: 'proven', user, notes }

const own: ReadonlySet<string> = new Set(['user', 'token', 'message'])
