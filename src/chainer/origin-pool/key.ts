import type { Route } from '../../router/router.ts'

/**
 * What two connections must share before one may carry the requests of the other. Exactly the target, the source and
 * whether it is forged, the mark and the TOS: a connection opened with one client's address never carries another
 * client's request, nor an unforged one, nor the reverse (Lusca and Squid fall back from one to the other; origins
 * then see the wrong client), nor one in clear text, nor what was verified to be another server's. A connection on which a
 * client has proved who it is (NTLM) is for that client alone. Devices join the key with the routes that have them.
 */
export const originKey = (route: Route): string => {
  const { target, source, mark, tos, peer, tunnel, tie, tls } = route
  let key = `${target.address} ${target.port}`
  if (source !== null) key += `${route.forged ? ' forged ' : ' from '}${source.address} ${source.port}`
  if (mark !== undefined) key += ` mark ${mark}`
  if (tos !== undefined) key += ` tos ${tos}`
  // a proxy is not told what an origin is; and each peer has a number of connections of its own
  if (peer !== undefined) key += ` peer ${peer.name}`
  // with all that was said for whom: the parent may have let only him
  if (tunnel !== undefined) key += ` through ${tunnel}`
  if (tie !== undefined) key += ` tied ${tie.id}`
  if (tls !== undefined) key += ` tls ${tls.client.keyFor(tls.name)}`
  return key
}
