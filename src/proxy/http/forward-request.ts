import {
  authorityText, defaultPort, endToEndFields, type Fields, type HostPort, maxForwards, type TargetUri, viaText,
} from '../../http/index.ts'
import type { OriginRequest } from '../../chainer/chainer.ts'
import type { RouteHint } from '../../router/router.ts'
import { ruledPairs } from './field-rules.ts'
import { tlsTarget } from './server-tls.ts'
import type { Transaction } from './transaction.ts'

// What is the same for every request that leaves towards an origin.

/** What the client sent, less the fields of its connection: a copy that may be changed. */
export const passedFields = (t: Transaction): Fields => endToEndFields(t.fields)

/** The fields to send in order: Host first, then those passed on, our marks at the end; what the conf says of them is done. */
export const originPairs = (t: Transaction, fields: Fields): string[] => ruled(t, unruledPairs(t, fields))

const ruled = (t: Transaction, pairs: readonly string[]): string[] => {
  const rules = t.policy.requestFields
  return rules === null ? [...pairs] : ruledPairs(rules, pairs, t.facts, t.outcome)
}

/** What a request is where it goes now: access lists may go by the peer and the hierarchy code, which the record has by then. */
export const requestThere = (t: Transaction, request: OriginRequest): OriginRequest => {
  const { brokenPosts, keptForUnrepeatable } = t.policy.access
  const { requestFields } = t.policy
  if (requestFields === null && brokenPosts === null && keptForUnrepeatable === null) return request
  return {
    ...request,
    pairs: requestFields === null ? request.pairs : ruled(t, request.pairs),
    ...(request.content !== null && brokenPosts?.checkFast(t.facts).allowed === true ? { extraLine: true } : {}),
    ...(keptForUnrepeatable?.checkFast(t.facts).allowed === true ? { keptWillDo: true } : {}),
  }
}

/** As `originPairs`, but the conf's rules for fields, which `requestThere` applies. */
export const unruledPairs = (t: Transaction, fields: Fields): string[] => {
  const pairs = ['Host', hostOf(t)]
  for (let i = 0; i < fields.size; i++) {
    if (!ours.has(fields.lowerAt(i))) pairs.push(fields.nameAt(i), fields.valueAt(i))
  }
  limitForwards(t, pairs)
  forwardedFor(t, pairs)
  if (t.policy.via) appendVia(t, pairs)
  surrogates(t, pairs)
  return pairs
}

/**
 * RFC 9112 3.2.2: with an absolute target Host is made from it. Otherwise what the client said, letter by letter, unless
 * an accelerator port has put another site or port in its place: the origin must see what the response is stored under.
 */
const hostOf = (t: Transaction): string => {
  const { target, head } = t
  if (t.rewritten === 'all but Host' && head.host !== null) return head.host
  const said = head.form === 'origin' && head.host !== null && t.rewritten === 'no' && !t.completedHost ? head.host : null
  if (target === null) return said ?? ''
  if (said !== null && (t.client.port.accel === null || namesTarget(head.hostPort, target))) return said
  return authorityText(target.scheme, target.host, target.port)
}

const namesTarget = (named: HostPort | null, target: TargetUri): boolean =>
  named !== null && named.host === target.host && portOf(named.port, target) === portOf(target.port, target)

const portOf = (port: number, target: TargetUri): number => (port === 0 ? defaultPort(target.scheme) : port)

/** Written anew below, or by whoever frames the message. */
const ours = new Set(['host', 'expect', 'content-length', 'x-forwarded-for', 'max-forwards', 'surrogate-capability'])

/** RFC 9110 7.6.2 */
const limitForwards = (t: Transaction, pairs: string[]): void => {
  const text = t.fields.get('max-forwards')
  if (text === undefined) return
  const counts = t.head.method === 'TRACE' || t.head.method === 'OPTIONS'
  const number = maxForwards(t.fields)
  pairs.push('Max-Forwards', counts && number !== null ? String(number - 1) : text)
}

/** Those before us, and to a site we stand in front of ourselves: it may tell us apart from caches further on. */
const surrogates = (t: Transaction, pairs: string[]): void => {
  const before = t.fields.joined('surrogate-capability')
  const { surrogate } = t.policy.acceleratedCache
  const own = t.client.port.accel === null || surrogate === null ? undefined : `${surrogate.id}="Surrogate/1.0"`
  if (before === undefined && own === undefined) return
  pairs.push('Surrogate-Capability', [before, own].filter(one => one !== undefined).join(', '))
}

/** Squid: forwarded_for. */
const forwardedFor = (t: Transaction, pairs: string[]): void => {
  const before = t.fields.joined('x-forwarded-for')
  const client = t.client.session.client.peer.address
  switch (t.policy.forwardedFor) {
    case 'on':
      pairs.push('X-Forwarded-For', before === undefined ? client : `${before}, ${client}`)
      return
    case 'off':
      pairs.push('X-Forwarded-For', before === undefined ? 'unknown' : `${before}, unknown`)
      return
    case 'transparent':
      if (before !== undefined) pairs.push('X-Forwarded-For', before)
      return
    case 'truncate':
      pairs.push('X-Forwarded-For', client)
      return
    case 'delete':
      return
  }
}

/** RFC 9110 7.6.3: received-protocol of the message, then who passed it on. A list may be several lines. */
const appendVia = (t: Transaction, pairs: string[]): void => {
  pairs.push('Via', viaText(t.outcome.versionMinor, t.policy.hostname, t.policy.viaComment))
}

/** What the router may know: where to, and in whose name. */
export const routeHint = (t: Transaction): RouteHint => {
  const { mode, pinned } = t.client.port
  const intercepted = mode === 'intercept' || mode === 'tproxy'
  const policy = t.policy
  const facts = t.client.facts
  return {
    host: t.target?.host ?? null,
    port: t.targetPort,
    pinned: pinned || (intercepted && t.rewritten === 'no' && (t.unverified || policy.clientDstPassthru)),
    forge: policy.access.spoofClientIp.checkFast(facts).allowed,
    forgedAs: (policy.indirectClient.tproxy ? t.indirect : null) ?? undefined,
    sourceIPv4: outgoing(t, 4),
    sourceIPv6: outgoing(t, 6),
    mark: policy.outgoing.marks.find(line => line.when.holds(facts))?.value,
    tos: policy.outgoing.tos.find(line => line.when.holds(facts))?.value,
    tls: t.target?.scheme === 'https' ? tlsTarget(t) : undefined,
  }
}

const outgoing = (t: Transaction, family: 4 | 6): string | null => {
  const lines = t.policy.outgoing.addresses
  if (lines.length === 0) return null
  const found = lines.find(line => line.value.family === family && line.when.holds(t.client.facts))
  return found?.value.address ?? null
}
