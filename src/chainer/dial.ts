import {
  type Attempt,
  COMM_TPROXY_REM,
  type CommError,
  type ConnectDone,
  type ConnectOptions,
} from '../../comm/index.ts'
import { type DurationMs, type ErrorCode, endpointText, ProxyError } from '../base/index.ts'
import type { Route } from '../router/router.ts'

// One try to reach one target. What the system refuses becomes a word of the error table here, and nowhere else.

/** The part of comm that opens connections. `done` never comes before `dial` has returned. */
export interface Dialer {
  dial(options: ConnectOptions, timeoutMs: number, done: ConnectDone): Attempt
}

/** How long and how often to try. */
export interface Tries {
  /** One try: connect_timeout. */
  readonly connectTimeout: DurationMs
  /** All of them: forward_timeout. */
  readonly forwardTimeout: DurationMs
  /** forward_max_tries. */
  readonly triesMax: number
}

export const connectOptions = (route: Route, note: string): ConnectOptions => ({
  target: route.target,
  flags: route.forged ? COMM_TPROXY_REM : 0,
  note,
  ...(route.source === null ? undefined : { source: route.source }),
  ...(route.mark === undefined ? undefined : { mark: route.mark }),
  ...(route.tos === undefined ? undefined : { tos: route.tos }),
})

/** The other targets may do better, so it may always be tried elsewhere. */
export const connectFailure = (error: CommError, route: Route): ProxyError =>
  new ProxyError(codeOf(error.code, route.forged), error.message, {
    side: 'server',
    retry: 'yes',
    errno: error.code,
    cause: error,
  })

const codeOf = (errno: string, forged: boolean): ErrorCode => {
  if (errno === 'ETIMEDOUT') return 'connect-timeout'
  if (forged && forgingFailures.has(errno)) return 'spoof-failed'
  return socketFailures.has(errno) ? 'socket-failed' : 'connect-failed'
}

/** EADDRNOTAVAIL: not a foreign address without IP_TRANSPARENT, or every port of it is taken towards that target. */
const forgingFailures: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EPERM', 'EACCES', 'ENOTSUP', 'ENOPROTOOPT'])

const socketFailures: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EADDRINUSE',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'ENOTSUP',
  'ENODEV',
  'EINVAL',
])

/** What is said when no route worked: the last failure decides what the client sees, the text names them all. */
export const walkFailure = (failures: readonly ProxyError[], routes: readonly Route[], tried: string): ProxyError => {
  const last = failures.at(-1)
  if (last === undefined) {
    const first = routes[0]
    return first === undefined
      ? new ProxyError('no-route', 'there is no server to connect to', { side: 'proxy' })
      : new ProxyError('connect-timeout', `${endpointText(first.target)}: ${tried}`, { side: 'server' })
  }
  if (failures.length === 1) return last
  const detail = failures.map(failure => failure.message).join('; ')
  return new ProxyError(last.code, detail, {
    side: 'server',
    retry: 'yes',
    errno: last.errno,
    cause: new AggregateError(failures, detail),
  })
}

export const shuttingDown = (): ProxyError =>
  new ProxyError('shutting-down', 'no new connections to servers are opened any more')
