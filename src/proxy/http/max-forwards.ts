import { Fields, maxForwards, requestHeadText } from '../../http/index.ts'
import { sendWhole } from './response.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'

// RFC 9110 7.6.2: with Max-Forwards 0 the proxy answers OPTIONS and TRACE itself.

/** Never sent back by TRACE: whoever can make a browser send one must not learn them (RFC 9110 9.3.8). */
const secret = ['authorization', 'proxy-authorization', 'cookie'] as const

/** OPTIONS and TRACE that may not travel further. */
export const endsHere = (t: Transaction): boolean => maxForwards(t.fields) === 0

export const answerForwardLimit = (t: Transaction): Next => {
  const trace = t.head.method === 'TRACE'
  const content = trace ? Buffer.from(echo(t), 'latin1') : Buffer.alloc(0)
  const pairs = ['Content-Length', String(content.length)]
  if (trace) pairs.unshift('Content-Type', 'message/http')
  else pairs.unshift('Allow', 'GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, CONNECT')
  t.outcome.responseFields = Fields.from(pairs)
  t.outcome.contentType = trace ? 'message/http' : ''
  sendWhole(t, 200, 'OK', pairs, content)
  return 'finish'
}

const echo = (t: Transaction): string => {
  const fields = t.fields.copy()
  for (const name of secret) fields.delete(name)
  return requestHeadText('TRACE', t.head.target, fields.pairs, t.head.versionMinor)
}
