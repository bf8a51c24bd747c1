import { errors } from 'undici'
import { type CloseReason, closeReasons } from '../../../comm/index.ts'
import { type ErrorCode, errnoOf, ProxyError } from '../../base/index.ts'
import { ContentFailed } from './content.ts'
import type { OriginConnection } from './connection.ts'
import { OriginGone } from './socket.ts'

// Why an exchange failed, told from what undici says and from what the connection saw: undici's word for "the other
// side closed" and for "that was no answer, so I closed" is the same.

export interface Failed {
  readonly headSeen: boolean
}

export const exchangeFailure = (error: Error, connection: OriginConnection, exchange: Failed): ProxyError => {
  if (error instanceof ContentFailed) return contentFailure(error)
  if (connection.timedOutWhile === 'writing') return failure('write-error', 'the origin takes nothing of the request', 'ETIMEDOUT')
  if (connection.timedOutWhile === 'reading') return failure('read-timeout', 'the origin was silent for read_timeout', 'ETIMEDOUT')
  const code = errnoOf(error)
  switch (code) {
    case 'UND_ERR_HEADERS_OVERFLOW':
      return failure('response-head-too-large', 'the head of the response is longer than reply_header_max_size', '', error)
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
      return new ProxyError('client-aborted', 'the content has not the length that was announced', { side: 'client', cause: error })
    case 'UND_ERR_SOCKET':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return broken(connection, exchange, error)
  }
  if (error instanceof OriginGone) return broken(connection, exchange, error)
  if (error instanceof errors.HTTPParserError) {
    // chunks or a head that stop in the middle; everything else its parser complains of was there to be read
    return connection.socket.endTold ? ended(connection, exchange, error) : failure('bad-response', error.message, '', error)
  }
  return new ProxyError('internal', error.message, { cause: error })
}

const broken = (connection: OriginConnection, exchange: Failed, error: Error): ProxyError => {
  const { peerLeft, closedFor } = connection.socket
  if (peerLeft !== null) return ended(connection, exchange, error)
  if (closedFor !== null) return ourFailure(closedFor, error)
  return failure('bad-response', 'the origin sent what is no answer to the request', '', error)
}

const ourFailure = (why: CloseReason, error: Error): ProxyError =>
  why === 'shutdown'
    ? new ProxyError('shutting-down', 'the process is stopping', { cause: error })
    : new ProxyError('internal', `the origin connection was closed: ${closeReasons[why]}`, { cause: error })

const contentFailure = (error: ContentFailed): ProxyError =>
  error.cause instanceof ProxyError
    ? error.cause
    : new ProxyError('client-aborted', error.message, { side: 'client', cause: error.cause })

const ended = (connection: OriginConnection, exchange: Failed, error: Error): ProxyError => {
  const { peerLeft, answerBytes } = connection.socket
  const how = peerLeft === 'peer-closed' ? 'closed' : 'broke'
  if (exchange.headSeen) return failure('read-error', `the connection ${how} in the middle of the response`, errnoFor(peerLeft), error)
  if (answerBytes > 0) return failure('read-error', `the connection ${how} in the middle of the head`, errnoFor(peerLeft), error)
  if (peerLeft === 'write-error') return failure('write-error', 'the connection broke while the request was sent', 'EPIPE', error)
  return peerLeft === 'peer-closed'
    ? failure('empty-response', 'the origin closed without a byte', '', error, connection)
    : failure('read-error', 'the connection broke before a byte of an answer', 'ECONNRESET', error, connection)
}

const errnoFor = (peerLeft: string | null): string => (peerLeft === 'peer-closed' ? '' : 'ECONNRESET')

/** `connection`: nothing was heard on it, so the request may be tried again if it had been used before. */
const failure = (code: ErrorCode, detail: string, errno: string, cause?: Error, connection?: OriginConnection): ProxyError =>
  new ProxyError(code, detail, {
    side: 'server',
    retry: connection !== undefined && connection.used > 1 ? 'if-reused' : 'no',
    errno,
    ...(cause === undefined ? undefined : { cause }),
  })
