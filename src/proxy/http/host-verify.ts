import { canonicalAddress } from '../../base/index.ts'
import { detached } from '../../http/index.ts'
import type { Resolved } from './deps.ts'
import type { Transaction } from './transaction.ts'

// Is the name in Host really at the address the client connected to? If not, somebody may be storing a page of his own
// under another site's name (CVE-2009-0801). Squid: hostHeaderVerify, here with a memory per connection, and with
// every address seen for the name lately counting as its own, since names of large sites rotate.

/** How long one confirmation holds on a connection. Resolvers see the name again at least this often. */
const memoryMs = 60_000

export const verifyHost = (t: Transaction): boolean | Promise<boolean> => {
  const client = t.client
  const target = t.target
  // without Host the target was made from the destination itself: nothing claims anything. Squid leaves hostVerified
  // false then, so such a response is not stored under a name; here its name *is* the address, so it may be.
  if (target === null || (t.head.host === null && t.head.form === 'origin')) return true
  // an absolute-form target names the site, whatever Host says (RFC 9112 3.2.2)
  const named = t.head.form === 'origin' && t.head.host !== null ? t.head.host : t.outcome.uri
  const now = client.deps.clock.mono()
  if (named === client.verifiedHost && now < client.verifiedUntil) return true
  const destination = client.session.destination
  // a Host without a port means the scheme's default. Squid lets that pass on any port; then whatever runs on port 8080
  // of a machine could be stored under the name of what runs on its port 80
  if (t.targetPort !== destination.port) return disagree(t, 'its port is not the one connected to')
  const literal = canonicalAddress(target.host)
  if (literal !== null) return literal === destination.address ? confirm(t, named) : disagree(t, 'it is another address')
  const resolved = client.deps.names.lookup(target.host)
  if (!(resolved instanceof Promise)) return judge(t, named, resolved)
  return client.deps.namePatience.wait(resolved).then(answer => {
    t.waitedForNames(now)
    return judge(t, named, answer)
  })
}

const judge = (t: Transaction, named: string, resolved: Resolved | null): boolean => {
  const destination = t.client.session.destination
  if (resolved?.ok && resolved.addresses.includes(destination.address)) return confirm(t, named)
  if (t.client.deps.names.everSeen(t.target?.host ?? '', destination.address)) return confirm(t, named)
  if (resolved === null) return disagree(t, 'the resolver did not answer in time')
  return disagree(t, resolved.ok ? 'local IP does not match any domain IP' : `it does not resolve (${resolved.code})`)
}

const confirm = (t: Transaction, named: string): true => {
  // cut loose: a piece of a head would keep the whole head in memory
  if (t.client.verifiedHost !== named) t.client.verifiedHost = detached(named)
  t.client.verifiedUntil = t.client.deps.clock.mono() + memoryMs
  return true
}

const disagree = (t: Transaction, why: string): false => {
  const session = t.client.session
  t.client.deps.notices.hostForgery(session.client.peer, session.destination, t.head.host ?? '', why)
  return false
}
