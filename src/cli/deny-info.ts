import type { AclTable } from '../acl/index.ts'
import type { Config, Diagnostic } from '../conf/index.ts'
import { type DenialPage, DenyInfo, type ErrorPages, PageTemplate } from '../proxy/index.ts'

/** By ACL; the first line that names one counts, as in Squid. */
export const denyInfoOf = (config: Config, acls: AclTable, pages: ErrorPages, problems: Diagnostic[]): DenyInfo | null => {
  if (config.deny_info.length === 0) return null
  const byAcl = new Map<string, DenialPage>()
  for (const line of config.deny_info) {
    const { kind, status, target, at } = line
    if (kind === 'page' && !pages.has(target)) {
      const hint = 'put a file of that name into error_directory'
      problems.push({ severity: 'warning', at, message: `deny_info: there is no page ${target}; only its name will be shown`, hint })
    }
    const page: DenialPage =
      kind === 'reset' ? { kind } : kind === 'redirect' ? { kind, status, location: new PageTemplate(target) } : { kind, status, page: target }
    for (const name of line.acls) {
      const acl = acls.get(name)
      if (acl === undefined) problems.push({ severity: 'warning', at, message: `deny_info: ACL not found: ${name}`, hint: '' })
      else if (!byAcl.has(acl.name.toLowerCase())) byAcl.set(acl.name.toLowerCase(), page)
    }
  }
  return new DenyInfo(byAcl)
}
