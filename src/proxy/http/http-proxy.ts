import type { Session } from '../../service/session.ts'
import type { Proxy } from '../proxy.ts'
import { HttpClient } from './client.ts'
import type { HttpDeps } from './deps.ts'
import type { HttpPort } from './policy.ts'

/** The http proxy as one listening port has it: forward, intercepted or accelerating. */
export const createHttpProxy = (deps: HttpDeps, port: HttpPort): Proxy => ({
  name: 'http',
  run(session: Session): void {
    new HttpClient(deps, port, session)
  },
})
