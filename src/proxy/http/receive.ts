import { defaultPort, hostText, type TargetUri, uriText } from '../../http/index.ts'
import { CountHttp } from './counters.ts'
import { ruledTarget } from './host-rules.ts'
import { asksOwnPage, oldStylePage, ownPage } from './manage.ts'
import type { Inside } from './bump/port-bump.ts'
import type { HttpPort } from './policy.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'

/** What is asked. Ends with t.target set, or in a refusal. Squid: URI reconstruction in client_side_request. */
export const receive = (t: Transaction): Next => {
  CountHttp.requests++
  const head = t.head
  const { hostRules } = t.policy
  if (!t.policy.clientPersistent) t.keepAlive = false
  if (head.framing.length > t.policy.limits.requestContentMax) {
    return t.refuse('content-too-large', `more than ${t.policy.limits.requestContentMax} bytes`)
  }
  // RFC 1945 7.2.2; in HTTP/1.1 no length means no content (RFC 9112 6.3)
  if (head.versionMinor === 0 && head.framing.kind === 'none' && (head.method === 'POST' || head.method === 'PUT')) {
    return t.refuse('length-required', 'the content of an HTTP/1.0 request needs a Content-Length')
  }
  const { inside } = t.client.port
  if (inside !== null && isWithin(t, inside)) return 'refuse'
  if (head.connect !== null) {
    const asked: TargetUri = { scheme: 'tunnel', host: head.connect.host, port: head.connect.port, path: '' }
    const tunnel = hostRules === null ? asked : ruledTarget(t, hostRules, asked)
    if (tunnel === null) return 'refuse'
    t.target = tunnel
    t.outcome.uri = `${hostText(tunnel.host)}:${tunnel.port}`
    return 'admit'
  }
  const named =
    t.client.port.accel?.vhost === false ? originForm(t) : (oldStylePage(t) ?? head.absolute ?? originForm(t) ?? ownPage(t))
  if (named === null) {
    t.outcome.uri = head.target // for who reads the log: nobody knows of which site
    return t.refuse('bad-target', t.client.port.mode === 'forward' ? wholeAddressWanted : siteWanted)
  }
  const target = hostRules === null ? named : ruledTarget(t, hostRules, named)
  if (target === null) return 'refuse'
  t.target = target
  t.ownPage ||= asksOwnPage(t, target)
  t.outcome.uri = uriText(target.scheme, target.host, target.port, target.path)
  // what came with the head and cannot be read is nothing an origin should see the beginning of
  const broken = t.content === null ? null : t.content.failure
  if (broken === null) return 'admit'
  t.failure = broken
  return 'refuse'
}

/** Within a bumped connection, which may be there only to tell why there is no proper one. */
const isWithin = (t: Transaction, { user, refusal }: Inside): boolean => {
  t.outcome.user = user
  if (refusal === null) return escapes(t)
  const { failure, denial, accessLine } = refusal
  t.target = originForm(t)
  if (t.target !== null) t.outcome.uri = uriText(t.target.scheme, t.target.host, t.target.port, t.target.path)
  t.failure = failure
  t.denial = denial
  t.outcome.accessLine = accessLine
  if (failure.code === 'denied') t.outcome.result = 'TCP_DENIED'
  t.keepAlive = false
  return true
}

/** What goes past the reading of this connection is not for it. t.failure says so. */
const escapes = (t: Transaction): boolean => {
  const { connect, absolute } = t.head
  if (connect !== null) t.refuse('unsupported-method', 'no CONNECT within TLS that is read here')
  else if (absolute !== null && absolute.scheme !== 'https') t.refuse('bad-target', 'within TLS only https is asked for')
  return t.failure !== null
}

const wholeAddressWanted = 'a forward proxy needs the whole address of what is asked for'
const siteWanted = 'the request names no site, and this port has no defaultsite'

/** The scheme is the port's; the authority is Host as sent, or the address the client connected to. */
const originForm = (t: Transaction): TargetUri | null => {
  const port = t.client.port
  const { inside, scheme } = port
  if (port.mode === 'forward' && inside === null) return null
  const head = t.head
  const path = head.form === 'asterisk' ? '' : (head.absolute?.path ?? head.target)
  if (port.accel !== null) return accelerated(t, port.accel, path)
  if (head.hostPort !== null) return { scheme, host: head.hostPort.host, port: head.hostPort.port, path }
  if (inside !== null) return { scheme, host: inside.host, port: portToName(scheme, inside.port), path }
  const destination = t.client.session.destination
  return { scheme, host: destination.address, port: portToName(scheme, destination.port), path }
}

/** With no-vhost whatever site the client names, in Host or in the target, is not looked at (Squid). */
const accelerated = (t: Transaction, accel: NonNullable<HttpPort['accel']>, path: string): TargetUri | null => {
  const named = accel.vhost ? t.head.hostPort : null
  const site = named ?? accel.defaultSite
  if (site === null) return null
  const port = accel.vport === 'local' ? t.client.connection.local.port : (accel.vport ?? site.port)
  return { scheme: accel.scheme, host: site.host, port: portToName(accel.scheme, port), path }
}

const portToName = (scheme: string, port: number): number => (port === defaultPort(scheme) ? 0 : port)
