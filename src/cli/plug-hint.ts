import { AccessFacts, type AccessNames } from '../acl/index.ts'
import type { HttpPolicy } from '../proxy/index.ts'
import type { RouteHint } from '../router/index.ts'
import type { Session } from '../service/index.ts'

/**
 * A plug knows nothing of servers: the router decides where to, and whether in the client's name. What tcp_outgoing_*
 * lines say of addresses, marks and TOS holds for it as for requests.
 */
export const plugHint =
  (policy: () => HttpPolicy, names: AccessNames) =>
  (session: Session): RouteHint => {
    const { addresses, marks, tos } = policy().outgoing
    if (addresses.length + marks.length + tos.length === 0) return plain
    const facts = new AccessFacts(session.client.peer, session.destination, session.portName)
    facts.names = names
    const address = (family: 4 | 6): string | null =>
      addresses.find(line => line.value.family === family && line.when.holds(facts))?.value.address ?? null
    return {
      ...plain,
      sourceIPv4: address(4),
      sourceIPv6: address(6),
      mark: marks.find(line => line.when.holds(facts))?.value,
      tos: tos.find(line => line.when.holds(facts))?.value,
    }
  }

const plain: RouteHint = {
  host: null,
  port: 0,
  pinned: true,
  forge: true,
  sourceIPv4: null,
  sourceIPv6: null,
  mark: undefined,
  tos: undefined,
}
