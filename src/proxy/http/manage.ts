import { Fields, httpDate, reasonPhrase, type TargetUri } from '../../http/index.ts'
import { sendWhole } from './response.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'

// Our own pages (the cache manager), asked for by a path on our own name and port. What they show is not the proxy's
// business: it is handed in, and answers with a whole response.

/** Of a POST to a page. */
const formBytesMax = 64 * 1024

/** Is it one of our pages that is asked for? By a name of ours, and on a port of ours: a site may have the same path. */
export const asksOwnPage = (t: Transaction, target: TargetUri): boolean => {
  const { deps, port, connection, session } = t.client
  if (deps.ownPages === null || !target.path.startsWith(deps.ownPages.path)) return false
  // a client that never meant to speak to a proxy does not ask for its pages, unless it went to our very endpoint
  if ((port.mode === 'intercept' || port.mode === 'tproxy') && !deps.isOwnEndpoint(session.destination)) return false
  const { local } = connection
  if (t.targetPort !== local.port) return false
  const { host } = target
  return host === local.address || t.policy.pageHosts.includes(host)
}

/** `GET /squid-internal-mgr/menu` on a forward port names no site: the page can only be ours (Squid). */
export const ownPage = (t: Transaction): TargetUri | null => {
  const { deps, port, connection } = t.client
  const { target } = t.head
  if (port.mode !== 'forward' || deps.ownPages === null || !target.startsWith(deps.ownPages.path)) return null
  return { scheme: 'http', host: t.policy.hostname.toLowerCase(), port: connection.local.port, path: target }
}

/**
 * `cache_object://HOST/PAGE[@PASSWORD]`, as Squid's own client asks up to version 6. Nothing but a page of ours can be
 * meant, whatever HOST is. It goes on as the path it stands for: access lists and logs know one form, and no password.
 */
export const oldStylePage = (t: Transaction): TargetUri | null => {
  const { deps, port, connection } = t.client
  const { absolute } = t.head
  if (absolute?.scheme !== 'cache_object' || port.mode !== 'forward' || deps.ownPages === null) return null
  const at = absolute.path.indexOf('@')
  if (at >= 0) t.pagePassword = decoded(absolute.path.slice(at + 1))
  t.ownPage = true
  const page = (at < 0 ? absolute.path : absolute.path.slice(0, at)).slice(1)
  return { scheme: 'http', host: absolute.host, port: connection.local.port, path: deps.ownPages.path + page }
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // a percent sign may be part of the password
  }
}

export const manage = async (t: Transaction): Promise<Next> => {
  const pages = t.client.deps.ownPages
  const path = t.target?.path ?? ''
  if (pages === null) return t.refuse('internal', 'there are no pages')
  const form = await contentOf(t)
  if (form === null) return t.refuse('content-too-large', `more than ${formBytesMax} bytes`)
  const answer = await pages.answer({ method: t.head.method, path, fields: t.fields, form, password: t.pagePassword })
  if (t.over) return 'done'
  const pairs = ['Server', product(t), 'Date', httpDate(t.outcome.startedAt), ...answer.pairs]
  const o = t.outcome
  o.result = 'TCP_MISS' // as Squid
  o.responseFields = Fields.from(pairs)
  o.contentType = o.responseFields.get('content-type') ?? ''
  sendWhole(t, answer.status, reasonPhrase(answer.status), pairs, answer.content)
  return 'finish'
}

const product = (t: Transaction): string => (t.policy.version === '' ? 'glassquid' : `glassquid/${t.policy.version}`)

/** Null: too long. A client that breaks off ends the transaction, and with it this. */
const contentOf = async (t: Transaction): Promise<string | null> => {
  if (t.content === null) return ''
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of t.content) {
    bytes += piece.length
    if (bytes > formBytesMax) return null
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}
