import type { AccessFacts, Decision } from '../../acl/index.ts'
import { isLoopback, type WallMs } from '../../base/index.ts'
import { endToEndFields, type Fields, hostText, isHopByHop, type TargetUri, viaNames } from '../../http/index.ts'
import { adaptRequest } from './adapt/reqmod.ts'
import { endsHere } from './max-forwards.ts'
import { isTied } from './connection-auth.ts'
import { CountHttp } from './counters.ts'
import { meterContent, meterResponse } from './delay/slowed.ts'
import { followForwarded } from './follow-forwarded.ts'
import { verifyHost } from './host-verify.ts'
import { markRequest } from './packets.ts'
import type { Next } from './steps.ts'
import { rewrite } from './rewrite.ts'
import { askStoreId, giveStoreId } from './store-id.ts'
import { peersFor } from './server-ways.ts'
import type { Transaction } from './transaction.ts'
import { offerUpgrade } from './upgrades.ts'

/** May it. Order as Squid: loop, Host check, http_access. */
export const admit = (t: Transaction): Next | Promise<Next> => {
  const loop = loopFound(t)
  if (loop !== null) return loop
  const port = t.client.port
  if (port.mode === 'intercept' || port.mode === 'tproxy') {
    const verified = verifyHost(t)
    if (verified !== true) {
      if (verified instanceof Promise) return verified.then(ok => afterHost(t, ok))
      return afterHost(t, verified)
    }
  } else if (t.policy.hostVerifyStrict && hostContradictsTarget(t)) {
    return t.refuse('host-conflict', 'the Host field names another site than the request target')
  }
  return checkAccess(t)
}

const loopFound = (t: Transaction): Next | null => {
  const client = t.client
  const intercepted = client.port.mode === 'intercept' || client.port.mode === 'tproxy'
  if (intercepted && client.session.taken === 'direct') {
    CountHttp.directHits++
    client.deps.notices.directHit(client.session.client.peer, client.session.portName)
    t.keepAlive = false
    return t.refuse('direct-hit', 'a browser reaches it by the firewall rule of the gateway, not by its address')
  }
  if (intercepted && client.deps.isOwnConnection(client.connection.peer, client.session.destination)) {
    return loop(t, 'a rule brings the connections of this proxy back to it')
  }
  // an accelerator may stand before another of the same name (Squid: accel ports do not look)
  if (client.port.mode !== 'accel' && t.fields.has('via') && t.policy.ownNames.some(name => viaNames(t.fields, name))) {
    return loop(t, 'Via names this proxy')
  }
  return null
}

const loop = (t: Transaction, why: string): Next => {
  CountHttp.loops++
  t.client.deps.notices.loop(t.client.connection.peer, t.outcome.uri)
  return t.refuse('loop', why)
}

/** `false`: not confirmed. The request goes on to where the client was going, unless the policy is strict. */
const afterHost = (t: Transaction, verified: boolean): Next | Promise<Next> => {
  if (t.over) return 'done'
  if (!verified) {
    CountHttp.hostMismatches++
    t.unverified = true
    // Squid: a CONNECT through an intercepted port is never let through unconfirmed
    if (t.policy.hostVerifyStrict || t.head.method === 'CONNECT') {
      return t.refuse('host-conflict', 'Host does not resolve to the address this connection was made to')
    }
  }
  return checkAccess(t)
}

/** host_verify_strict on forward and accel ports: Host must name what the target names. */
const hostContradictsTarget = (t: Transaction): boolean => {
  const named = t.head.hostPort
  const target = t.target
  if (named === null || target === null || t.head.form === 'origin' || t.head.form === 'asterisk') return false
  if (named.host !== target.host && !(t.completedHost && target.host.startsWith(`${named.host}.`))) return true
  return named.port !== target.port && named.port !== t.targetPort && !(named.port === 0 && t.head.method === 'CONNECT')
}

const checkAccess = (t: Transaction): Next | Promise<Next> => {
  const facts = t.client.facts
  const target = t.target
  if (target === null) return t.refuse('bad-target', 'no target')
  const intercepted = t.client.port.mode === 'intercept' || t.client.port.mode === 'tproxy'
  tellFacts(facts, t.head.method, target, t.outcome.uri, t.targetPort, t.fields, t.outcome.startedAt)
  facts.outcome = t.outcome
  if (facts.clientNotes !== null) facts.noted()
  facts.pinned = intercepted && (t.unverified || t.policy.clientDstPassthru)
  const { followForwarded: believed } = t.policy.access
  const followed = believed === null ? undefined : followForwarded(t, believed)
  return followed === undefined ? askAccess(t) : followed.then(() => (t.over ? 'done' : askAccess(t)))
}

const askAccess = (t: Transaction): Next | Promise<Next> => {
  const decision = t.policy.access.http.check(t.client.facts)
  return decision instanceof Promise ? decision.then(d => afterAccess(t, d)) : afterAccess(t, decision)
}

/** What access lists are told of a request. */
export const tellFacts = (
  facts: AccessFacts,
  method: string,
  target: TargetUri,
  uri: string,
  port: number,
  fields: Fields,
  now: WallMs,
): void => {
  facts.method = method
  facts.scheme = target.scheme === 'tunnel' ? '' : target.scheme
  facts.uri = uri
  facts.host = hostText(target.host)
  facts.port = port
  facts.urlPath = target.path
  facts.fields = fields
  facts.now = now
  facts.believe(facts.connected)
  facts.forgetResponse()
  facts.notes = null
  facts.tag = ''
  facts.forgetUser()
}

const afterAccess = (t: Transaction, decision: Decision): Next | Promise<Next> => {
  if (t.over) return 'done'
  if (!decision.allowed) return denied(t, decision)
  t.outcome.accessLine = decision.text
  if (t.content !== null && t.policy.access.continueBody !== null && t.policy.access.continueBody.checkFast(t.facts).allowed) t.content.invite()
  if (t.content !== null && t.policy.delay !== null) meterContent(t)
  if (t.ownPage) return mayManage(t) ? 'manage' : t.refuse('denied', 'pages of this proxy are shown to its own machine only')
  return t.policy.adaptation === null ? adapted(t) : adaptRequest(t, adapted)
}

/** Squid: url_rewrite_program sees what REQMOD has made of it. */
const adapted = (t: Transaction): Next | Promise<Next> => {
  const { rewriter } = t.policy
  return rewriter === null ? adaptedAccess(t) : rewrite(t, rewriter).then(next => next ?? adaptedAccess(t))
}

/** adapted_http_access: may it, as what it has become. */
const adaptedAccess = (t: Transaction): Next | Promise<Next> => {
  const list = t.policy.access.adapted
  if (list === null) return identified(t)
  const decision = list.check(t.facts)
  return decision instanceof Promise ? decision.then(d => afterAdaptedAccess(t, d)) : afterAdaptedAccess(t, decision)
}

const afterAdaptedAccess = (t: Transaction, decision: Decision): Next | Promise<Next> => {
  if (t.over) return 'done'
  if (decision.allowed) return identified(t)
  return denied(t, decision)
}

const denied = (t: Transaction, decision: Decision): Next => {
  t.outcome.accessLine = decision.text
  CountHttp.denied++
  t.outcome.result = 'TCP_DENIED'
  return t.denyClient(decision)
}

/** Under which key. */
const identified = (t: Transaction): Next | Promise<Next> => {
  const { identifier } = t.policy
  if (identifier !== null) return askStoreId(t, identifier).then(() => (t.over ? 'done' : settled(t)))
  giveStoreId(t)
  return settled(t)
}

/** What the request is, is known: its bytes may be slowed down. */
const settled = (t: Transaction): Next => {
  if (t.policy.delay !== null) meterResponse(t)
  if (t.policy.packets !== null) markRequest(t, t.policy.packets)
  return wayOf(t)
}

/** Without a word of the conf about `manager`, which its default has, a line that lets clients browse is not meant for it. */
const mayManage = (t: Transaction): boolean => {
  if (t.policy.managerNamed || isLoopback(t.client.connection.peer.address)) return true
  CountHttp.denied++
  t.outcome.result = 'TCP_DENIED'
  return false
}

const wayOf = (t: Transaction): Next => {
  const head = t.head
  if (head.method === 'PURGE') {
    if (t.policy.purgeNamed) return 'purge'
    CountHttp.denied++
    t.outcome.result = 'TCP_DENIED'
    return t.refuse('denied', 'PURGE needs a line of http_access with an ACL that names the method')
  }
  // as Squid: neither a Host field nor CONNECT must make an accelerator an open proxy
  if (t.client.port.accel?.allowDirect === false && (peersFor(t) === null || head.method === 'CONNECT')) {
    return t.refuse('no-route', 'this accelerator port has no peer for the site, and no allow-direct')
  }
  if (head.method === 'CONNECT') return t.client.port.bump === null || t.policy.bump === null ? 'tunnel' : 'bump'
  if (t.target?.scheme !== 'http' && !mayBeSecured(t)) return t.refuse('unsupported-method', 'only http and https are carried')
  if ((head.method === 'TRACE' || head.method === 'OPTIONS') && endsHere(t)) return 'refuse'
  if (head.upgrade !== null && head.framing.kind === 'none' && offerUpgrade(t, head.upgrade)) return 'tunnel'
  if ((head.method === 'GET' || head.method === 'HEAD') && head.framing.kind === 'none') {
    t.mayCache = allowedNow(t)
    if (!t.mayCache) return 'fetch'
    if (head.listsFields) asOriginSees(t)
    return 'lookup'
  }
  // RFC 9110 9.3.3: what it brings may be what a later GET would
  if (head.method === 'POST') t.mayCache = allowedNow(t)
  if (head.listsFields && t.mayCache) asOriginSees(t)
  return 'fetch'
}

/**
 * What Vary names is compared as the origin sees it. A client that lists a field in Connection would otherwise have the
 * answer to a request without that field stored for those who send it.
 */
const asOriginSees = (t: Transaction): void => {
  const listed = t.fields
  const fields = endToEndFields(listed)
  // the rest of what is about this connection stays: others read it
  for (let i = 0; i < listed.size; i++) if (isHopByHop(listed.lowerAt(i))) fields.append(listed.nameAt(i), listed.valueAt(i))
  t.replaceRequest({ ...t.head, fields })
}

const mayBeSecured = (t: Transaction): boolean => t.target?.scheme === 'https' && t.policy.serverTls !== null

/** The `cache` access list. A list that would have to wait counts as no: caching is never worth holding a request. */
const allowedNow = (t: Transaction): boolean => {
  if (!t.identified || (t.client.tie !== null && isTied(t))) return false
  const decision = t.policy.access.cache.check(t.client.facts)
  return !(decision instanceof Promise) && decision.allowed
}
