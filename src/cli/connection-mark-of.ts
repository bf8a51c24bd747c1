import type { ConnectionMarkOf } from '../acl/index.ts'
import { type Endpoint, endpointText } from '../base/index.ts'
import type { DebugLog } from '../log/index.ts'

/** Reasons there are a few of; each is said once, however many connections it is true of. */
const reasonsMax = 16

/** What client_connection_mark ACLs ask. Why the kernel does not say is in cache.log. */
export const connectionMarkOf = (read: (from: Endpoint, to: Endpoint) => number | string, log: DebugLog): ConnectionMarkOf => {
  const said = new Set<string>()
  return (from, to) => {
    const found = read(from, to)
    if (typeof found === 'number') return found
    if (!said.has(found) && said.size < reasonsMax) {
      said.add(found)
      log.write('acl', 1, `WARNING: client_connection_mark matches nothing where the kernel does not tell the mark of a connection, as of ${endpointText(from)} to ${endpointText(to)}: ${meanings[found] ?? found}`)
    }
    return null
  }
}

const meanings: Readonly<Record<string, string>> = {
  ENOENT: 'it does not track it (ENOENT); a rule that looks at connections ("ct state", conntrack) makes it do so',
  EPERM: 'that needs CAP_NET_ADMIN (EPERM)',
  EINVAL: 'it has no conntrack netlink (EINVAL): modprobe nf_conntrack_netlink',
  EOPNOTSUPP: 'it has no conntrack netlink (EOPNOTSUPP): modprobe nf_conntrack_netlink',
}
