// RFC 9110 9.2. Methods are case-sensitive; one that is not listed is neither safe nor idempotent as far as we know.

const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])

const otherIdempotent = new Set([
  'PUT', 'DELETE', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'UNLOCK', 'ACL', 'VERSION-CONTROL', 'CHECKIN', 'CHECKOUT',
  'UNCHECKOUT', 'MKWORKSPACE', 'UPDATE', 'LABEL', 'MERGE', 'BASELINE-CONTROL', 'MKACTIVITY', 'ORDERPATCH', 'BIND',
  'REBIND', 'UNBIND', 'LINK', 'UNLINK', 'MKCALENDAR', 'MKREDIRECTREF', 'UPDATEREDIRECTREF', 'PRI',
])

/** The client asks for no change of the server's state: it may be prefetched, and it invalidates nothing. */
export const isSafe = (method: string): boolean => method === 'GET' || safeMethods.has(method)

/** Sending it twice means the same as once: it may be sent again after a connection broke (RFC 9110 9.2.2). */
export const isIdempotent = (method: string): boolean => isSafe(method) || otherIdempotent.has(method)
