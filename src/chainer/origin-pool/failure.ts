import { errors } from 'undici'
import { type CloseReason, closeReasons } from '../../../comm/index.ts'
import { type ErrorCode, errnoOf, ProxyError, type Retry } from '../../base/index.ts'
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
  if (connection.timedOutWhile !== null) return timedOut(connection.timedOutWhile)
  const code = errnoOf(error)
  switch (code) {
    case 'UND_ERR_HEADERS_OVERFLOW':
      return headOverflow()
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
      return new ProxyError('client-aborted', 'the content has not the announced length', { side: 'client', cause: error })
    case 'UND_ERR_SOCKET':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return broken(connection, exchange, error)
  }
  if (error instanceof OriginGone) return broken(connection, exchange, error)
  if (error instanceof errors.HTTPParserError) {
    // chunks or a head that stop in the middle; everything else its parser complains of was there to be read
    if (connection.socket.endTold) return ended(connection, exchange, error)
    return failure('bad-response', error.message, '', error)
  }
  return new ProxyError('internal', error.message, { cause: error })
}

export const headOverflow = (): ProxyError =>
  failure('response-head-too-large', 'the head of the response is longer than reply_header_max_size', '')

const timedOut = (at: 'reading' | 'writing'): ProxyError =>
  at === 'writing'
    ? failure('write-error', 'the origin takes nothing of the request', 'ETIMEDOUT')
    : failure('read-timeout', 'the origin was silent for read_timeout', 'ETIMEDOUT')

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
  const closed = peerLeft === 'peer-closed'
  const how = closed ? 'the connection closed' : 'the connection broke'
  const errno = closed ? '' : 'ECONNRESET'
  if (exchange.headSeen) return failure('read-error', `${how} in the middle of the response`, errno, error)
  if (answerBytes > 0) return failure('read-error', `${how} in the middle of the head`, errno, error)
  if (peerLeft === 'write-error') return failure('write-error', `${how} while the request was sent`, 'EPIPE', error)
  // nothing was heard: had the connection been used before, another one may do better
  const retry = connection.used > 1 ? 'if-reused' : 'no'
  return closed
    ? failure('empty-response', 'the origin closed without a byte', errno, error, retry)
    : failure('read-error', `${how} before a byte of an answer`, errno, error, retry)
}

const failure = (code: ErrorCode, detail: string, errno: string, cause?: Error, retry: Retry = 'no'): ProxyError =>
  new ProxyError(code, detail, { side: 'server', retry, errno, ...(cause === undefined ? undefined : { cause }) })
