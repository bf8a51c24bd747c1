import { assert } from '../base/index.ts'
import type { AclDefinition, AclUse, Diagnostic, Location, Severity } from '../conf/config.ts'
import type { Acl, AclSource } from './acl.ts'
import type { ExternalAcl } from './external.ts'
import { mismatched } from './match.ts'
import { armRegexGuard } from './regex/guard.ts'
import type { Term } from './term.ts'
import { aclTypes, retiredTypes, waitingTypes } from './type/index.ts'
import type { AclUsers } from './users.ts'
import { noZones, type ZoneTable } from './zone/zone-table.ts'

/** A host name written among addresses. Squid resolves it once and dies when that fails; here it may come later. */
export interface PendingHost {
  readonly name: string
  readonly at: Location
  /** The ACL holds these addresses from now on; may be called again. */
  set(addresses: readonly string[]): void
}

export interface AclOptions {
  /** For src_zone and dst_zone; none unless given. */
  readonly zones?: ZoneTable
  /** For proxy_auth and max_user_ip. */
  readonly users?: AclUsers | null
  /** For `external`, by name in lower case. */
  readonly externals?: ReadonlyMap<string, ExternalAcl>
  /** For adaptation_service; none unless given. */
  readonly adaptations?: ReadonlyMap<string, readonly string[]>
  /** Numbers in [0, 1), for `random`. */
  readonly random?: () => number
}

/** All ACLs of a conf. `problems` also grows while access lists are compiled over it. */
export class AclTable {
  readonly problems: Diagnostic[] = []
  /** To be resolved before listening: until then an ACL lacks these addresses. */
  readonly pendingHosts: PendingHost[] = []
  readonly #acls = new Map<string, Acl>()

  /** Names know no case. */
  get(name: string): Acl | undefined {
    return this.#acls.get(name.toLowerCase())
  }

  add(acl: Acl): void {
    const key = acl.name.toLowerCase()
    assert(!this.#acls.has(key), 'an ACL is defined once')
    this.#acls.set(key, acl)
  }

  /** The ACL for use in a rule that works; null when it cannot be used, and that has been reported. */
  use(use: AclUse, at: Location): Acl | null {
    const acl = this.get(use.name)
    if (acl === undefined) this.report('fatal', at, `ACL not found: ${use.name}`)
    else if (acl.unbuilt) {
      // to go on as if it never matched would open what a `deny` closes
      const message = `ACL '${acl.name}' cannot be used: type '${acl.type}' does not work (${waitingTypes.get(acl.type) ?? 'not yet'})`
      this.report('error', at, message, 'take it out of this line')
    } else return acl
    return null
  }

  terms(uses: readonly AclUse[], at: Location): Term[] {
    return uses.map(use => ({ acl: this.use(use, at) ?? never(use.name), negated: use.negated }))
  }

  report(severity: Severity, at: Location, message: string, hint = ''): void {
    this.problems.push({ severity, at, message, hint })
  }
}

/**
 * Compiles the definitions in their order. Whether a definition is complete and its type known to Squid has been checked
 * by conf; here the values are read. A fatal or error among the problems means: do not use the result.
 */
export const compileAcls = (
  definitions: readonly AclDefinition[],
  options: AclOptions = {},
): { readonly acls: AclTable; readonly problems: readonly Diagnostic[] } => {
  armRegexGuard()
  const table = new AclTable()
  for (const definition of withBuiltIns(definitions)) table.add(compileAcl(definition, table, options))
  return { acls: table, problems: table.problems }
}

const compileAcl = (definition: AclDefinition, table: AclTable, options: AclOptions): Acl => {
  assert(definition.forgotten === undefined, 'an ACL is compiled while its values are there')
  const { name, type } = definition
  const known = aclTypes[type]
  if (known === undefined) return { ...never(name), type, unbuilt: !retiredTypes.has(type) }
  const source: AclSource = {
    definition,
    acl: (use, at) => table.use(use, at),
    zones: options.zones ?? noZones(),
    users: options.users ?? null,
    external: name => options.externals?.get(name.toLowerCase()),
    adaptations: options.adaptations ?? new Map<string, readonly string[]>(),
    random: options.random ?? Math.random,
    hostName: (host, at, set) => {
      table.pendingHosts.push({ name: host, at, set })
    },
    report: (severity, at, message, hint) => table.report(severity, at, message, hint),
  }
  return { name, type, match: known.compile(source), fact: known.fact, stopsAt: known.stopsAt?.(source), unbuilt: false }
}

const never = (name: string): Acl => ({ name, type: '', match: () => mismatched, fact: () => 'nothing', unbuilt: false })

/** What every conf may use without defining it. conf gives them; a table made by hand need not. */
const withBuiltIns = (definitions: readonly AclDefinition[]): readonly AclDefinition[] => {
  const named = new Set(definitions.map(definition => definition.name.toLowerCase()))
  return [...builtIns.filter(builtIn => !named.has(builtIn.name.toLowerCase())), ...definitions]
}

const nowhere: Location = { file: '(built in)', line: 0, column: 0, from: null }

const builtIn = (name: string, type: string, ...values: readonly string[]): AclDefinition => ({
  name,
  type,
  flags: [],
  argument: null,
  values: values.map(text => ({ text, at: nowhere, caseInsensitive: false })),
  builtIn: true,
  at: nowhere,
})

const builtIns: readonly AclDefinition[] = [
  builtIn('all', 'src', 'all'),
  builtIn('manager', 'url_regex', '^[^:]+://[^/]+/squid-internal-mgr/'),
  builtIn('localhost', 'src', '127.0.0.1/32', '::1/128'),
  builtIn('to_localhost', 'dst', '127.0.0.0/8', '0.0.0.0/32', '::1/128', '::/128'),
  builtIn('to_linklocal', 'dst', '169.254.0.0/16', 'fe80::/10'),
  builtIn('CONNECT', 'method', 'CONNECT'),
]
