import { declareCounters } from '../../base/index.ts'

export const CountPlug = declareCounters({
  sessions: { doc: 'connections taken by the plug proxy' },
  relayed: { doc: 'of these, those a server was reached for' },
  secondary: { doc: 'connections taken by a session that was running already' },
  failed: { doc: 'of these, those no server could be reached for', whenItGrows: 'servers are down: see cache_log' },
  denied: { doc: 'of these, those the policy gave no server', whenItGrows: 'a router, zone or hint said no' },
  loops: { doc: 'connections that came back to us', whenItGrows: 'our own connections are intercepted: exempt our mark' },
})
