// proxy/deny: turns every client away.
//
// holds          the deny proxy (Zorp's DenyService)
// does not hold  why: a rule or a listener gave the connection to it
// called by      service, with a session; handed in by cli/assemble
// calls          nothing

import type { Session } from '../../service/session.ts'
import type { Proxy } from '../proxy.ts'

/** reset: RST, as from a port nobody listens on; close: FIN. Datagrams are dropped, whatever the kind. */
export const createDenyProxy = (kind: 'reset' | 'close'): Proxy => ({
  name: 'deny',
  run(session: Session): void {
    session.verdict = 'DENIED_BY_POLICY'
    if (kind === 'reset') session.client.resetClose('refused')
    else session.client.close('refused')
  },
})
