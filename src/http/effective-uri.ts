import type { RequestHead } from './request-head.ts'
import type { HostPort, TargetUri } from './target-uri.ts'

/**
 * The target URI of a request (RFC 9110 7.1): its own where it is absolute (Host is ignored then, RFC 9112 3.2.2), else
 * made from Host, or from `fallback` where there is none: for intercepted requests the original destination. The path
 * is empty for `*` and CONNECT, which have none.
 */
export const effectiveUri = (
  head: Pick<RequestHead, 'form' | 'target' | 'absolute' | 'connect' | 'hostPort'>,
  scheme: string,
  fallback: HostPort,
): TargetUri => {
  if (head.absolute !== null) return head.absolute
  const authority = head.connect ?? head.hostPort ?? fallback
  return { scheme, host: authority.host, port: authority.port, path: head.form === 'origin' ? head.target : '' }
}

/**
 * What goes on the request line towards an origin. An absolute OPTIONS without path and query asks about the server
 * itself (RFC 9112 3.2.4).
 */
export const originTarget = (head: Pick<RequestHead, 'method' | 'target' | 'absolute'>): string => {
  if (head.absolute === null) return head.target
  return head.method === 'OPTIONS' && /^[^:]*:\/\/[^/?]*$/.test(head.target) ? '*' : head.absolute.path
}
