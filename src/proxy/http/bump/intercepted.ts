import { endpointText } from '../../../base/index.ts'
import { parseRequestHead } from '../../../http/index.ts'
import type { Session } from '../../../service/session.ts'
import type { Proxy } from '../../proxy.ts'
import { HttpClient } from '../client.ts'
import type { HttpDeps } from '../deps.ts'
import type { HttpPort } from '../policy.ts'

/**
 * An https_port with ssl-bump: each connection is a CONNECT to where it was going, which no client has written. Access
 * lists, log and helpers see it so, as with Squid.
 */
export const createInterceptedTlsProxy = (deps: HttpDeps, port: HttpPort): Proxy => ({
  name: 'tls',
  run(session: Session): void {
    const place = endpointText(session.destination)
    const bytes = Buffer.from(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n`, 'latin1')
    const answer = parseRequestHead(bytes, 0, bytes.length, deps.policy.current.limits.forwardHead)
    if (answer.kind !== 'head') throw new RangeError(`a CONNECT to ${place} cannot be written`)
    new HttpClient(deps, port, session).connect(answer.head)
  },
})
