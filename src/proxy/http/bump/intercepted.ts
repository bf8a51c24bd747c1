import type { Session } from '../../../service/session.ts'
import type { Proxy } from '../../proxy.ts'
import { HttpClient } from '../client.ts'
import type { HttpDeps } from '../deps.ts'
import type { HttpPort } from '../policy.ts'
import { standInFor } from './stand-in.ts'

/** An https_port with ssl-bump: each connection is a CONNECT to where it was going. */
export const createInterceptedTlsProxy = (deps: HttpDeps, port: HttpPort): Proxy => ({
  name: 'tls',
  run(session: Session): void {
    new HttpClient(deps, port, session).connect(standInFor(session.destination, deps.policy.current))
  },
})
