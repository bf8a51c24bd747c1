import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The client has more than so many connections open, the present one included. */
export const maxconn = {
  fact: facts => `${facts.clients?.connectionsOf(facts.client.address) ?? 0} connections of ${facts.client.address}`,
  compile: source => {
    const { values, name, at } = source.definition
    const value = values[values.length - 1]
    const most = value !== undefined && /^\d{1,9}$/.test(value.text) ? Number(value.text) : -1
    if (most < 1) source.report('fatal', value?.at ?? at, `'${value?.text ?? ''}' is no number of connections`, 'write a whole number, 1 at least')
    else if (values.length > 1 && value !== undefined) source.report('warning', value.at, `only the last value of ACL '${name}' counts`)
    return facts => (facts.clients !== null && facts.clients.connectionsOf(facts.client.address) > most ? matched : mismatched)
  },
} satisfies AclType
