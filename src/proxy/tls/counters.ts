import { type CounterTable, declareCounters } from '../../base/index.ts'

const table = {
  handshakes: { doc: 'TLS handshakes with clients that were done' },
  failed: {
    doc: 'TLS handshakes with clients that came to nothing',
    whenItGrows: 'cache_log at level 2 says why: clients that do not know the CA, or something that is no TLS',
  },
} as const satisfies CounterTable

export const CountTls = declareCounters(table)
