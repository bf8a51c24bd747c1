import { Authenticator, BasicScheme, ConnectionScheme, DigestFile, DigestScheme, FilePasswords, HelperPasswords, HelperSecrets, type PasswordSource, type Proof, type Scheme } from '../auth/index.ts'
import { type AccessFacts, type AccessList, type AclTable, type AclUsers, compileCondition } from '../acl/index.ts'
import type { AuthScheme, Config, Diagnostic } from '../conf/index.ts'
import { compileText } from '../log/index.ts'
import type { HttpPolicy } from '../proxy/index.ts'
import type { Programs } from './programs.ts'

// From auth_param lines to who clients are: the schemes, whom they ask, and what access lists see of it.

export interface Users extends AclUsers {
  readonly authenticator: Authenticator
  /** authenticate_ip_shortcircuit_access, once access lists are there; null = everybody. */
  acls: AccessList | null
  readonly proveByScheme: (facts: AccessFacts) => Proof | Promise<Proof>
}

const saysWho = ({ credentials, fields }: AccessFacts): boolean => credentials !== null && fields?.get(credentials) !== undefined

const mayShortcut = (list: AccessList | null, facts: AccessFacts): boolean => list === null || list.checkFast(facts).allowed

/** Null: no scheme has a program. */
export const usersOf = (config: Config, programs: Programs, problems: Diagnostic[]): Users | null => {
  const offered = config.auth_param.filter(scheme => scheme.command.length > 0)
  if (offered.length === 0) return null
  const extras = new Map<Scheme, (facts: AccessFacts) => string>()
  const schemes = offered.map(line => {
    const scheme = schemeOf(line, config, programs, problems)
    if (line.keyExtras !== '') extras.set(scheme, extrasOf(line, problems))
    return scheme
  })
  const shortcutMs = config.authenticate_ip_shortcircuit_ttl * 1000
  const authenticator = new Authenticator({ schemes, addressTtlMs: config.authenticate_ip_ttl * 1000 })
  return {
    authenticator,
    acls: null,
    prove(facts) {
      const address = facts.client.address
      const now = programs.clock.mono()
      const known = shortcutMs > 0 && !saysWho(facts) && mayShortcut(this.acls, facts) ? authenticator.known.userOf(address, now) : ''
      if (known !== '') return { state: 'proven', user: known, message: '' }
      const proof = this.proveByScheme(facts)
      if (shortcutMs === 0) return proof
      const remember = (said: Proof): Proof => {
        if (said.state === 'proven') authenticator.known.remember(address, said.user, shortcutMs, now)
        return said
      }
      return proof instanceof Promise ? proof.then(remember) : remember(proof)
    },
    proveByScheme(facts) {
      facts.link ??= { handshake: null }
      return authenticator.prove({
        link: facts.link,
        field: facts.credentials === null ? undefined : facts.fields?.get(facts.credentials),
        method: facts.method,
        uris: [facts.uri, facts.urlPath],
        extras: scheme => extras.get(scheme)?.(facts) ?? '',
        now: programs.clock.mono(),
      })
    },
    tooManyAddresses(facts, max, strict) {
      return authenticator.addresses.tooMany(facts.user, facts.client.address, max, strict, programs.clock.mono())
    },
    cannotAsk(facts) {
      if (facts.outcome !== null) programs.complain(`authentication is not possible on intercepting port ${facts.portName}: no ACL about users matches there`)
    },
  }
}

/** The types of ACLs at which a denial asks who the client is. */
const aclTypes = new Set(['proxy_auth', 'proxy_auth_regex', 'max_user_ip'])

/** What the proxy needs to ask. */
export const challengesOf = (users: Users | null, config: Config, acls: AclTable, needUser: ReadonlySet<string>): HttpPolicy['users'] => {
  if (users === null) return null
  const offers = config.auth_schemes.map(({ value, acls: uses, at }) => ({ names: value, when: compileCondition(uses, acls, at) }))
  const asking = config.acl.filter(
    acl => aclTypes.has(acl.type) || (acl.type === 'external' && acl.argument !== null && needUser.has(acl.argument.text.toLowerCase())),
  )
  const namesFor = (facts: AccessFacts): readonly string[] => offers.find(({ when }) => when.holds(facts))?.names ?? ['all']
  const closing = new Set(config.auth_param.filter(({ scheme, keepAlive }) => !keepAlive && (scheme === 'ntlm' || scheme === 'negotiate')).map(({ scheme }) => scheme))
  return {
    challenges(facts, stale, now) {
      if (facts.proof?.challenge !== undefined) return [facts.proof.challenge]
      return users.authenticator.challenges(namesFor(facts), stale, now)
    },
    closes: facts => facts.proof?.challenge === undefined && closing.size > 0 && users.authenticator.offered(namesFor(facts)).some(name => closing.has(name)),
    acls: new Set(asking.map(acl => acl.name.toLowerCase())),
  }
}

const extrasOf = (line: AuthScheme, problems: Diagnostic[]): ((facts: AccessFacts) => string) => {
  const format = compileText(line.keyExtras, 'url', true)
  for (const problem of format.problems) problems.push({ severity: problem.severity, at: line.at, message: `key_extras: ${problem.message}`, hint: '' })
  return facts => (facts.outcome === null ? '' : format.text(facts.outcome))
}

const schemeOf = (line: AuthScheme, config: Config, programs: Programs, problems: Diagnostic[]): Scheme => {
  const { scheme: name, command, children } = line
  switch (name) {
    case 'basic':
      return basicOf(line, config, programs)
    case 'digest':
      return digestOf(line, config, programs, problems)
    case 'ntlm':
    case 'negotiate': {
      const talk = programs.addTalking({ name: `auth_param ${name}`, command, children: { ...children, concurrency: 0 }, at: line.at })
      return new ConnectionScheme({ name, talk, clock: () => programs.clock })
    }
  }
}

const basicOf = (line: AuthScheme, config: Config, programs: Programs): Scheme => {
  const { command } = line
  return new BasicScheme({
    realm: line.realm,
    source: passwordsOf(line, programs),
    caseSensitive: line.caseSensitive,
    ttlMs: line.credentialsTtl * 1000,
    idleMs: Math.max(line.credentialsTtl, config.authenticate_ttl) * 1000,
    garbageMs: config.authenticate_cache_garbage_interval * 1000,
    identity: JSON.stringify([command, line.realm, line.caseSensitive, line.keyExtras]),
  })
}

const passwordsOf = (line: AuthScheme, programs: Programs): PasswordSource => {
  const file = fileOf(line.command, 'ncsa_auth')
  if (file !== null && FilePasswords.understands(file.path)) {
    return new FilePasswords(file.path, programs.hasher, text => programs.complain(`auth_param basic: ${text}`))
  }
  return new HelperPasswords(programs.add({ name: 'auth_param basic', command: line.command, children: line.children, at: line.at }), line.utf8)
}

const digestOf = (line: AuthScheme, config: Config, programs: Programs, problems: Diagnostic[]): Scheme => {
  const file = fileOf(line.command, 'digest_file_auth')
  const secrets =
    file !== null && DigestFile.readable(file.path)
      ? new DigestFile(file.path, file.secrets, text => programs.complain(`auth_param digest: ${text}`))
      : new HelperSecrets(programs.add({ name: 'auth_param digest', command: line.command, children: line.children, at: line.at }), line.utf8)
  if (line.realm === '') problems.push({ severity: 'fatal', at: line.at, message: 'auth_param digest needs a realm', hint: 'auth_param digest realm TEXT' })
  return new DigestScheme({
    realm: line.realm,
    secrets,
    nonces: { ageMsMax: line.nonceMaxDuration * 1000, countMax: line.nonceMaxCount, strict: line.nonceStrictness, counted: line.checkNonceCount },
    ttlMs: config.authenticate_ttl * 1000,
    garbageMs: line.nonceGarbageInterval * 1000,
    getForAll: line.postWorkaround,
    identity: JSON.stringify([line.command, line.realm]),
  })
}

/** `.../basic_ncsa_auth FILE`, `.../digest_file_auth [-c] FILE`: what these programs do is done here. */
const fileOf = (command: readonly string[], name: string): { readonly path: string; readonly secrets: boolean } | null => {
  const [program = '', ...words] = command
  if (!program.endsWith(name)) return null
  const secrets = words[0] === '-c'
  const rest = secrets ? words.slice(1) : words
  const path = rest[0]
  return rest.length === 1 && path !== undefined && !path.startsWith('-') ? { path, secrets } : null
}
