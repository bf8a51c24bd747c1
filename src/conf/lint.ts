import type { AclTable } from './acl-table.ts'
import type { AccessLine, Config, Location, PortConfig } from './config.ts'
import type { NamedAccessLine } from './directive/access.ts'
import type { Findings } from './findings.ts'
import { Narrower } from './narrower.ts'
import { portsOf } from './ports-of.ts'

// What can be told about a conf without running it: rules that can never match, doors left open, things defined for
// nobody.

export const lint = (config: Config, acls: AclTable, findings: Findings, start: Location): void => {
  ports(portsOf(config), config, findings, start)
  const narrower = new Narrower(config.acl)
  access(config, narrower, findings, start)
  bumping(config, findings)
  const dice = new Set(config.acl.filter(a => a.type === 'random').map(a => a.name.toLowerCase()))
  for (const name of ['http_access', 'http_reply_access', 'miss_access', 'cache', 'spoof_client_ip'] as const) unreachable(name, config[name], { dice, narrower }, findings)
  for (const name of ['request_header_access', 'reply_header_access'] as const) fieldRules(name, config[name], findings)
  patterns(config, findings)
  folders(config, findings)
  for (const name of ['access_log', 'icap_log'] as const) silenced(name, config[name], findings)
  eachWorker(config, findings, start)
  unused(acls, findings)
}

const ports = (list: readonly PortConfig[], config: Config, findings: Findings, start: Location): void => {
  if (list.length === 0) {
    // http_port lines that were refused have been told of
    const others = ['http_port', 'https_port', 'listener', 'receiver'] as const
    if (!others.some(name => config.given.has(name)))
      findings.fatal(start, 'No HTTP, HTTPS, or FTP ports configured', 'write: http_port 3128')
    return
  }
  for (const [i, port] of list.entries()) {
    const same = list
      .slice(0, i)
      .find(p => p.port === port.port && p.address === port.address && p.hostName === port.hostName)
    if (same !== undefined && port.port !== 0) {
      findings.error(
        port.at,
        `port ${port.port} is already listened to by line ${same.at.line}`,
        'one socket has one mode: remove one line',
      )
      continue
    }
    const wide = list.find(p => p !== port && p.port === port.port && p.dualStack)
    if (wide !== undefined && !port.dualStack && port.port !== 0) {
      findings.warning(
        port.at,
        `line ${wide.at.line} listens to port ${port.port} on every address already`,
        'most systems allow only one of them',
      )
    }
  }
  for (const { introduced, at } of list) {
    if (introduced && !config.proxy_protocol_access.some(line => line.action === 'allow')) {
      findings.warning(at, 'require-proxy-header: proxy_protocol_access allows nobody, so every connection is closed', 'write: acl balancer src ADDRESS, proxy_protocol_access allow balancer')
    }
  }
  const only = list[0]
  if (only !== undefined && list.every(p => p.mode === 'intercept' || p.mode === 'tproxy')) {
    findings.note(
      only.at,
      'No forward-proxy ports configured: clients can be intercepted only',
      'to have one, write: http_port 3128',
    )
  }
}

/** As in Squid, what is counted in memory is counted by each worker for itself. */
const eachWorker = (config: Config, findings: Findings, start: Location): void => {
  const { workers, acl, client_ip_max_connections: connectionsMax } = config
  if (workers < 2) return
  const rates = (['delay_pools', 'client_delay_pools'] as const).filter(name => config[name] > 0)
  const counted = [
    ...rates,
    ...(config.response_delay_pool.length > 0 ? ['response_delay_pool'] : []),
    ...(connectionsMax >= 0 ? ['client_ip_max_connections'] : []),
    ...['maxconn', 'max_user_ip'].filter(type => acl.some(one => one.type === type)).map(type => `acl ${type}`),
  ]
  if (counted.length === 0) return
  findings.note(config.given.get('workers') ?? start, `with workers ${workers} each counts for itself: ${counted.join(', ')}`, `all together may be up to ${workers} times as much; divide, or use one process`)
}

/** Rules without a port, and a port without rules. */
const bumping = (config: Config, findings: Findings): void => {
  const port = portsOf(config).find(({ tls }) => tls?.bump === true)
  const line = config.ssl_bump[0]
  if (port === undefined && line !== undefined) {
    findings.warning(line.at, 'ssl_bump means nothing: no port has ssl-bump', 'write: http_port 3128 ssl-bump tls-cert=CA.pem, or https_port 3129 intercept ssl-bump tls-cert=CA.pem')
  }
  if (port !== undefined && line === undefined) {
    findings.note(port.at, 'no ssl_bump line: every TLS connection is passed on unread', 'write: ssl_bump peek all, ssl_bump splice all')
  }
}

/** Squid's manual says that a field no line matches stays; its code, and this one, do the opposite of the last line. */
const fieldRules = (name: string, list: readonly NamedAccessLine[], findings: Findings): void => {
  const last = new Map(list.map(line => [line.subject.toLowerCase(), line]))
  for (const { subject, action, acls, at } of last.values()) {
    if (action === 'deny' || acls.every(use => use.name === 'all' && !use.negated)) continue
    findings.warning(
      at,
      `${name} ${subject} removes the field for everybody whom no line allows`,
      `end with '${name} ${subject} deny all' if that is meant, else with 'allow all'`,
    )
  }
}

const access = (config: Config, narrower: Narrower, findings: Findings, start: Location): void => {
  if (!speaksHttp(config)) return
  if (config.http_access.every(l => l.at.line === 0)) {
    findings.warning(
      start,
      'no http_access line: every request is denied',
      'write: acl localnet src NETWORK, http_access allow localnet, http_access deny all',
    )
    return
  }
  const last = config.http_access.at(-1)
  if (last === undefined) return
  const open = config.http_access.find(line => isForAll(line, narrower))
  if (open === undefined) {
    const implied = last.action === 'deny' ? 'allow' : 'deny'
    const message = `no http_access line is for everybody: what matches none is ${implied === 'allow' ? 'ALLOWED' : 'denied'}, the opposite of the last line's action`
    const hint = `end the list with: http_access ${implied === 'allow' ? 'deny' : implied} all`
    if (implied === 'allow') findings.warning(last.at, message, hint)
    else findings.note(last.at, message, hint)
  } else if (open.action === 'allow' && reachableFromOutside(config)) {
    findings.note(
      open.at,
      'everybody who can reach a port may use this proxy',
      'allow your own networks and end with: http_access deny all',
    )
  }
}

/** Somebody asks http_access. */
const speaksHttp = (config: Config): boolean =>
  portsOf(config).length > 0 || config.given.has('http_access') || !config.given.has('service') || config.service.some(s => s.proxy === 'http')

const isForAll = (line: AccessLine, narrower: Narrower): boolean => line.acls.every(a => !a.negated && narrower.isForAll(a.name.toLowerCase()))

const reachableFromOutside = (config: Config): boolean =>
  portsOf(config).some(p => !(p.address?.startsWith('127.') || p.address === '::1' || p.hostName === 'localhost'))

interface Known {
  /** ACLs that may answer otherwise when they are asked again. */
  readonly dice: ReadonlySet<string>
  readonly narrower: Narrower
}

/** Lines behind one for everybody, lines an earlier line leaves nothing for, and lines that contradict themselves. */
const unreachable = (name: string, lines: readonly AccessLine[], { dice, narrower }: Known, findings: Findings): void => {
  const wider = new WiderLines(narrower)
  let end: AccessLine | null = null
  for (const line of lines) {
    const terms = termsOf(line, narrower)
    const contradiction = contradictionIn(terms, narrower)
    const earlier = wider.find(terms)
    if (end !== null) {
      findings.warning(
        line.at,
        `this ${name} line can never match: line ${end.at.line} is for everybody`,
        'move it up or remove it',
      )
    } else if (contradiction !== null) {
      findings.warning(line.at, `this ${name} line can never match: ${contradiction}`, 'ACLs of one line must all match; write two lines for either')
    } else if (earlier !== null) {
      const what = earlier.line.action === line.action ? 'says the same' : 'says the opposite'
      const same = earlier.terms.length === terms.length && earlier.terms.every(term => terms.includes(term))
      findings.warning(
        line.at,
        `this ${name} line can never match: line ${earlier.line.at.line} ${what} for ${same ? 'the same ACLs' : `all of ${earlier.terms.join(' ')}`}${becauseOf(terms, earlier.terms, narrower)}`,
        same ? 'remove one of them' : 'move it up or remove it',
      )
    }
    // a die that is thrown again may fall otherwise
    if (contradiction === null && !line.acls.some(a => dice.has(a.name.toLowerCase()))) wider.add(line, terms)
    if (end === null && isForAll(line, narrower)) end = line
  }
}

/** `a`, `!a`, in lower case and once; whatever everybody matches says nothing. */
const termsOf = (line: AccessLine, narrower: Narrower): readonly string[] => {
  const saying = line.acls.filter(a => a.negated || !narrower.isForAll(a.name.toLowerCase()))
  return [...new Set(saying.map(a => `${a.negated ? '!' : ''}${a.name.toLowerCase()}`))]
}

/** Who matches the first matches the second. */
const implies = (term: string, other: string, narrower: Narrower): boolean => {
  if (term.startsWith('!') !== other.startsWith('!')) return false
  return term.startsWith('!') ? narrower.isWithin(other.slice(1), term.slice(1)) : narrower.isWithin(term, other)
}

const contradictionIn = (terms: readonly string[], narrower: Narrower): string | null => {
  for (const term of terms) {
    if (!term.startsWith('!')) continue
    const denied = term.slice(1)
    if (narrower.isForAll(denied)) return `nothing is ${term}`
    const within = terms.find(one => !one.startsWith('!') && narrower.isWithin(one, denied))
    if (within !== undefined) return `nothing is both ${within} and ${term}${within === denied ? '' : `: ${within} lies within ${denied}`}`
  }
  return null
}

const becauseOf = (terms: readonly string[], wider: readonly string[], narrower: Narrower): string => {
  const reasons = wider.flatMap(wide => {
    const term = terms.includes(wide) ? undefined : terms.find(one => implies(one, wide, narrower))
    return term === undefined ? [] : [`${term} lies within ${wide}`]
  })
  return reasons.length === 0 ? '' : `, and ${reasons.join(', ')}`
}

interface TermedLine {
  readonly line: AccessLine
  readonly terms: readonly string[]
}

/** Lines whose ACLs all match whenever those of a later one do: what the later one asks for they have taken already. */
class WiderLines {
  readonly #narrower: Narrower
  /** By one of their ACLs, so that a long list is not compared line by line. */
  readonly #byFirst = new Map<string, TermedLine[]>()

  constructor(narrower: Narrower) {
    this.#narrower = narrower
  }

  add(line: AccessLine, terms: readonly string[]): void {
    const [first] = terms
    if (first === undefined) return
    const there = this.#byFirst.get(first)
    if (there === undefined) this.#byFirst.set(first, [{ line, terms }])
    else there.push({ line, terms })
  }

  find(terms: readonly string[]): TermedLine | null {
    for (const [first, lines] of this.#byFirst) {
      if (!this.#impliedBy(terms, first)) continue
      const found = lines.find(earlier => earlier.terms.every(one => this.#impliedBy(terms, one)))
      if (found !== undefined) return found
    }
    return null
  }

  #impliedBy(terms: readonly string[], wanted: string): boolean {
    return terms.includes(wanted) || terms.some(term => implies(term, wanted, this.#narrower))
  }
}

const patterns = (config: Config, findings: Findings): void => {
  const seen = new Map<string, Location>()
  const behind: Location[] = []
  let everything: Location | null = null
  for (const { regex, caseInsensitive, at } of config.refresh_pattern) {
    const key = `${caseInsensitive ? '-i ' : ''}${regex}`
    const same = seen.get(key)
    if (everything !== null) behind.push(at)
    else if (same !== undefined)
      findings.warning(
        at,
        `this refresh_pattern can never match: line ${same.line} has the same regex`,
        'remove one of them',
      )
    else seen.set(key, at)
    if (matchesAll.test(regex)) everything ??= at
  }
  const first = behind[0]
  if (everything === null || first === undefined) return
  findings.warning(
    first,
    `${behind.length} refresh_pattern line(s) can never match: line ${everything.line} matches everything before them (lines ${behind.map(b => b.line).join(', ')})`,
    'order them from the particular to the general',
  )
}

const folders = (config: Config, findings: Findings): void => {
  const named = new Set<string>()
  for (const { folder, at } of config.cache_dir) {
    if (named.has(folder)) findings.warning(at, `cache_dir ${folder} is named twice; the first line counts`)
    named.add(folder)
  }
}

/** `none` without ACLs ends what is logged: lines below it are written for nobody. */
const silenced = (name: 'access_log' | 'icap_log', lines: Config['access_log'], findings: Findings): void => {
  const end = lines.findIndex(({ module, acls }) => module === 'none' && acls.length === 0)
  const below = end < 0 ? undefined : lines[end + 1]
  if (below !== undefined) findings.warning(below.at, `${name}: nothing is ever written here: the line above says none, for everything`, 'put it above, or give the none line an ACL')
}

const matchesAll = /^(\.|\.\*|\^|\^\.\*)$/

const unused = (acls: AclTable, findings: Findings): void => {
  const names = acls.unused
  const first = names[0]
  if (first !== undefined) findings.note(first.at, `ACLs that no line uses: ${names.map(d => d.name).join(', ')}`)
}
