import type { Fields } from '../../http/index.ts'
import type { Route, Tie } from '../../router/router.ts'
import type { HttpClient } from './client.ts'
import type { Transaction } from './transaction.ts'

// NTLM and Negotiate prove who a client is to an origin once, for a connection (RFC 4559 6; against RFC 9110, and in use all
// the same). So the server's connection belongs to the client's from the first message of the proof on: nobody else's
// request ever goes there, all further ones of this client to the site do, and the two end together.
//
//   client connection ──tie──► pool key of its own ──► server connection
//        gone ──release()──────────────────────────────► closed
//        let go, where idle ◄────────lost()───────────── gone

const schemes = /^(?:NTLM|Negotiate|Kerberos)(?: |$)/i

export class ClientTie implements Tie {
  readonly id: string
  /** Whose the proof is for, `host:port`: another site at the same address is none of it. */
  readonly site: string
  ended = false
  release: (() => void) | null = null
  readonly #client: HttpClient

  constructor(client: HttpClient, site: string) {
    this.#client = client
    this.site = site
    this.id = `${client.connection.id} ${site}`
  }

  lost(): void {
    if (!this.ended) this.#client.tieLost(this)
  }

  /** Its client has gone, or proves itself to another site. */
  end(): void {
    if (this.ended) return
    this.ended = true
    this.release?.()
  }
}

/** What the way to the server is tied to; null = nothing. A first message of a proof ties. */
const tieOf = (t: Transaction): Tie | null => {
  const { client } = t
  const proves = schemes.test(t.fields.get('authorization') ?? '')
  // what the cache asks for itself is nobody's
  if ((!proves && client.tie === null) || t.outcome.initiator !== 'client') return null
  const site = siteOf(t)
  if (client.tie?.site === site) return client.tie
  if (!proves) return null
  client.tie?.end()
  client.tie = new ClientTie(client, site)
  return client.tie
}

/** Its answer is for this client alone, though it carries no proof itself. */
export const isTied = (t: Transaction): boolean => t.client.tie !== null && t.client.tie.site === siteOf(t)

const siteOf = ({ target, targetPort }: Transaction): string => `${target?.host ?? ''}:${targetPort}`

/** The routes, as ways of this client's alone if it has proved, or proves now, who it is. */
export const tiedRoutes = (t: Transaction, routes: readonly [Route, ...Route[]]): readonly [Route, ...Route[]] => {
  const tie = tieOf(t)
  if (tie === null) return routes
  const [first, ...others] = routes
  return [{ ...first, tie }, ...others.map(route => ({ ...route, tie }))]
}

/**
 * A response that asks for such a proof. connection-auth=off: the client does not hear of it. A client that knows it speaks
 * to a proxy proves nothing so unless the proxy says that it can (RFC 4559 6); the lines for that.
 */
export const challengeLines = (t: Transaction, sent: Fields): string => {
  const challenges = sent.all('www-authenticate')
  if (!challenges.some(text => schemes.test(text))) return ''
  const { port } = t.client
  if (port.connectionAuth) return port.mode === 'forward' ? 'Proxy-Support: Session-Based-Authentication\r\nConnection: Proxy-Support\r\n' : ''
  sent.delete('www-authenticate')
  for (const text of challenges) if (!schemes.test(text)) sent.append('WWW-Authenticate', text)
  return ''
}
