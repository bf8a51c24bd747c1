// Every failure that can meet a transaction, with what the client sees and the log says. One line each; add the line
// here, with its meaning, before throwing it. Page names and suffixes are Squid's, so that log readers and custom
// error pages keep working.

interface Line {
  /** HTTP status shown to the client. 0 = no answer can be given, the connection is closed. */
  readonly status: number
  /** Squid's error page. */
  readonly page: string
  /** What is appended to the result code in access.log, as Squid spells it. */
  readonly suffix: '' | '_ABORTED' | '_TIMEDOUT'
  readonly doc: string
}

export const errorTable = {
  'bad-request': { status: 400, page: 'ERR_INVALID_REQ', suffix: '', doc: 'the request cannot be read without guessing' },
  'bad-target': { status: 400, page: 'ERR_INVALID_URL', suffix: '', doc: 'the request target or Host is not a usable URI' },
  'denied': { status: 403, page: 'ERR_ACCESS_DENIED', suffix: '', doc: 'an access list said no' },
  'forwarding-denied': { status: 403, page: 'ERR_FORWARDING_DENIED', suffix: '', doc: 'miss_access: what is not stored may not be fetched for this client' },
  'reply-too-large': { status: 403, page: 'ERR_TOO_BIG', suffix: '', doc: 'reply_body_max_size' },
  'unauthenticated': { status: 407, page: 'ERR_CACHE_ACCESS_DENIED', suffix: '', doc: 'an access list wants to know who the client is, or another user' },
  'unauthenticated-site': { status: 401, page: 'ERR_CACHE_ACCESS_DENIED', suffix: '', doc: 'the same on an accel port' },
  'helper-failed': { status: 500, page: 'ERR_GATEWAY_FAILURE', suffix: '', doc: 'a program that rewrites requests does not answer, and they must not go on without it' },
  'loop': { status: 403, page: 'ERR_ACCESS_DENIED', suffix: '', doc: 'the request came from this proxy (Via, or its own endpoint)' },
  'direct-hit': { status: 403, page: 'ERR_ACCESS_DENIED', suffix: '', doc: 'somebody connected to the interception port itself' },
  'host-conflict': { status: 409, page: 'ERR_CONFLICT_HOST', suffix: '', doc: 'Host names another address than the client connected to' },
  'request-timeout': { status: 408, page: 'ERR_REQUEST_START_TIMEOUT', suffix: '_TIMEDOUT', doc: 'the client did not finish its request in time' },
  'length-required': { status: 411, page: 'ERR_INVALID_REQ', suffix: '', doc: 'content without a length that can be told' },
  'content-too-large': { status: 413, page: 'ERR_TOO_BIG', suffix: '', doc: 'request_body_max_size' },
  'uri-too-long': { status: 414, page: 'ERR_TOO_BIG', suffix: '', doc: 'the request line exceeds the limit' },
  'expectation-failed': { status: 417, page: 'ERR_INVALID_REQ', suffix: '', doc: 'an Expect other than 100-continue' },
  'head-too-large': { status: 431, page: 'ERR_TOO_BIG', suffix: '', doc: 'request_header_max_size' },
  'unsupported-method': { status: 501, page: 'ERR_UNSUP_REQ', suffix: '', doc: 'a method, scheme or transfer coding we cannot carry' },
  'unsupported-version': { status: 505, page: 'ERR_UNSUP_HTTPVERSION', suffix: '', doc: 'neither HTTP/1.0 nor HTTP/1.1' },
  'bad-response': { status: 502, page: 'ERR_INVALID_RESP', suffix: '', doc: 'the origin answered something that is not HTTP' },
  'response-head-too-large': { status: 502, page: 'ERR_TOO_BIG', suffix: '', doc: 'reply_header_max_size' },
  'empty-response': { status: 502, page: 'ERR_ZERO_SIZE_OBJECT', suffix: '', doc: 'the origin closed without a byte' },
  'read-error': { status: 502, page: 'ERR_READ_ERROR', suffix: '', doc: 'the origin connection broke while reading' },
  'write-error': { status: 502, page: 'ERR_WRITE_ERROR', suffix: '', doc: 'the origin connection broke while writing' },
  'connect-failed': { status: 503, page: 'ERR_CONNECT_FAIL', suffix: '', doc: 'no connection to the origin' },
  'connect-timeout': { status: 504, page: 'ERR_CONNECT_FAIL', suffix: '_TIMEDOUT', doc: 'connect_timeout' },
  'secure-connect-failed': { status: 503, page: 'ERR_SECURE_CONNECT_FAIL', suffix: '', doc: 'no TLS with the origin: the handshake failed, or its certificate is wrong and that is not tolerated' },
  'read-timeout': { status: 504, page: 'ERR_READ_TIMEOUT', suffix: '_TIMEDOUT', doc: 'read_timeout' },
  'dns-failed': { status: 503, page: 'ERR_DNS_FAIL', suffix: '', doc: 'the name could not be resolved' },
  'no-route': { status: 503, page: 'ERR_CANNOT_FORWARD', suffix: '', doc: 'there is no server this request may be sent to' },
  'spoof-failed': { status: 503, page: 'ERR_SOCKET_FAILURE', suffix: '', doc: 'the client address could not be taken for the server side; never falls back to our own' },
  'socket-failed': { status: 500, page: 'ERR_SOCKET_FAILURE', suffix: '', doc: 'no socket (descriptors, ports or memory ran out)' },
  'only-if-cached': { status: 504, page: 'ERR_ONLY_IF_CACHED_MISS', suffix: '', doc: 'only-if-cached, and not stored' },
  'stale-forbidden': { status: 504, page: 'ERR_CANNOT_FORWARD', suffix: '', doc: 'the stored response may not be served without validation, and that failed' },
  'icap-failed': { status: 500, page: 'ERR_ICAP_FAILURE', suffix: '', doc: 'an ICAP service that may not be bypassed failed, or a stacked program' },
  'lifetime': { status: 408, page: 'ERR_LIFETIME_EXP', suffix: '_TIMEDOUT', doc: 'client_lifetime' },
  'shutting-down': { status: 503, page: 'ERR_SHUTTING_DOWN', suffix: '', doc: 'shutdown_lifetime ran out' },
  'overload': { status: 503, page: 'ERR_CANNOT_FORWARD', suffix: '', doc: 'a limit on connections or waiting requests was reached' },
  'protocol-unknown': { status: 400, page: 'ERR_PROTOCOL_UNKNOWN', suffix: '', doc: 'the client speaks something else than the port is for (on_unsupported_protocol)' },
  'terminated': { status: 0, page: 'ERR_ACCESS_DENIED', suffix: '', doc: 'ssl_bump terminate' },
  'client-tls': { status: 0, page: 'ERR_SECURE_ACCEPT_FAIL', suffix: '', doc: 'the TLS handshake with the client failed' },
  'client-aborted': { status: 0, page: 'ERR_CLIENT_ABORTED', suffix: '_ABORTED', doc: 'the client went away' },
  'client-stalled': { status: 0, page: 'ERR_CLIENT_GONE', suffix: '_TIMEDOUT', doc: 'the client stopped taking the response (write_timeout) or sending its content' },
  'internal': { status: 500, page: 'ERR_CANNOT_FORWARD', suffix: '', doc: 'a bug of ours; the log has the stack' },
} as const satisfies Record<string, Line>

export type ErrorCode = keyof typeof errorTable
