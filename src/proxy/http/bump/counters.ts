import { type CounterTable, declareCounters } from '../../../base/index.ts'

const table = {
  spliced: { doc: 'TLS connections that were passed on unread' },
  bumped: { doc: 'TLS connections that were read' },
  terminated: { doc: 'TLS connections closed by ssl_bump terminate' },
  toldWithin: { doc: 'TLS connections that were bumped to show an error page' },
  foreignNames: {
    doc: 'TLS clients whose server name does not resolve to where they went',
    whenItGrows: 'clients and proxy ask different resolvers: point dns_nameservers to the one the clients use',
  },
  strangers: { doc: 'connections to be read as TLS that were none (on_unsupported_protocol)' },
} as const satisfies CounterTable

export const CountBump = declareCounters(table)
