import type { TargetUri } from '../../http/index.ts'
import type { Transaction } from './transaction.ts'

// append_domain and check_hostnames: what becomes of the host of a target URI before anything is asked about it.

export interface HostRules {
  /** Put behind names without a dot, with its own in front; '' = nothing is. */
  readonly domain: string
  /** Names with letters that no host name may have are refused. */
  readonly checked: boolean
  /** allow_underscore: then this one may. */
  readonly underscore: boolean
}

/** Null: t.failure says why. What needs no change is answered as it is. */
export const ruledTarget = (t: Transaction, rules: HostRules, target: TargetUri): TargetUri | null => {
  const named = rules.domain !== '' && isShort(t, target.host) ? { ...target, host: `${target.host}${rules.domain}` } : target
  if (rules.checked && !isProper(named.host, rules.underscore)) {
    t.refuse('bad-target', `'${named.host}' has letters that host names do not have (check_hostnames)`)
    return null
  }
  if (named !== target) t.completedHost = true
  return named
}

/** Squid would make localhost.example.com of localhost, and lose its own pages. */
const isShort = (t: Transaction, host: string): boolean =>
  host !== '' && !host.includes('.') && !host.includes(':') && !t.policy.pageHosts.includes(host)

/** RFC 1123 2.1; an IPv6 address has colons. The parser has let nothing worse pass than `~` and `_`. */
const isProper = (host: string, underscore: boolean): boolean => host.includes(':') || (underscore ? /^[\w.-]+$/ : /^[a-z0-9.-]+$/i).test(host)
