import { type Endpoint, endpointText } from '../../../base/index.ts'
import { parseRequestHead, type RequestHead } from '../../../http/index.ts'
import type { HttpPolicy } from '../policy.ts'

/**
 * A CONNECT to where an intercepted connection was going, which no client has written. Access lists, log and helpers see the
 * connection so, as with Squid.
 */
export const standInFor = (destination: Endpoint, policy: HttpPolicy): RequestHead => {
  const place = endpointText(destination)
  const bytes = Buffer.from(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n`, 'latin1')
  const answer = parseRequestHead(bytes, 0, bytes.length, policy.limits.forwardHead)
  if (answer.kind !== 'head') throw new RangeError(`a CONNECT to ${place} cannot be written`)
  return answer.head
}
