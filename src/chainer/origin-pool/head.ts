import { assert } from '../../base/index.ts'
import { fieldLines, isTarget, isToken, lowerName } from '../../http/index.ts'
import type { OriginRequest } from '../chainer.ts'
import type { Framing } from './socket.ts'

// The head of a request as the origin reads it: the fields in the client's order and spelling, then what is about this
// one connection. Framing is ours to say (RFC 9112 6): exactly one way, and it must be the way the content is sent.

export interface OutgoingHead {
  /** With its empty line. */
  readonly text: string
  readonly framing: Framing
  /** The content waits for a 100 (RFC 9110 10.1.1). */
  readonly expectsContinue: boolean
}

export const outgoingHead = (request: OriginRequest, closing: boolean): OutgoingHead => {
  const { pairs } = request
  const length = contentLength(request)
  let given: string | null = null
  let expectsContinue = false
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const name = pairs[i] as string // within by the loop
    // of the names that matter here none has another length: most names are not looked at
    if (!lengthsThatMatter[name.length]) continue
    const lower = lowerName(name)
    if (lower === 'content-length') {
      assert(given === null, 'one Content-Length at most goes out')
      given = pairs[i + 1] as string
    } else if (lower === 'expect') expectsContinue = true
    else assert(lower !== 'connection' && lower !== 'transfer-encoding', 'hop-by-hop fields were removed')
  }
  const framing: Framing = request.content === null ? 'none' : length === undefined ? 'chunked' : 'length'
  assert(
    given === null || (/^[0-9]+$/.test(given) && Number(given) === length),
    'Content-Length says what is sent: another length would begin another request in the content',
  )
  // said aloud, since HTTP/1.0 origins keep a connection only when asked to (RFC 9112 C.2.2)
  let tail = closing ? 'Connection: close\r\n\r\n' : 'Connection: keep-alive\r\n\r\n'
  if (framing === 'length' && given === null) tail = `Content-Length: ${length}\r\n${tail}`
  else if (framing === 'chunked') tail = `Transfer-Encoding: chunked\r\n${tail}`
  assert(isToken(request.method), 'a method that is sent is a token')
  assert(isTarget(request.target), 'a target that is sent has no space, control or wide character')
  const text = `${request.method} ${request.target} HTTP/1.1\r\n${fieldLines(pairs)}${tail}`
  return { text, framing, expectsContinue }
}

/** undefined = not known beforehand. */
const contentLength = ({ content, contentLength }: OriginRequest): number | undefined => {
  if (content === null) return 0
  return Buffer.isBuffer(content) ? content.length : contentLength
}

const lengthsThatMatter: readonly boolean[] = Array.from({ length: 64 }, (_, length) =>
  ['expect', 'connection', 'content-length', 'transfer-encoding'].some(name => name.length === length),
)
