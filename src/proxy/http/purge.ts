import { httpDate, reasonPhrase } from '../../http/index.ts'
import { purgeKey } from '../../cache/index.ts'
import { CountHttp } from './counters.ts'
import { keyOf } from './key-of.ts'
import { sendWhole } from './response.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'

/**
 * PURGE, as in Squid: all variants of the URI go, 200; 404 where there was none. http_access has let it in by a line that
 * names the method. What is on its way at this moment is not stored.
 */
export const purge = (t: Transaction): Next => {
  const { deps } = t.client
  let count = 0
  for (const method of ['GET', 'HEAD'] as const) count += purgeKey(deps, keyOf(t, method))
  CountHttp.purged += count
  const text = Buffer.from(count > 0 ? `purged ${count}\n` : 'nothing was stored\n')
  const status = count > 0 ? 200 : 404
  const pairs = [
    'Server', t.policy.version === '' ? 'glassquid' : `glassquid/${t.policy.version}`,
    'Date', httpDate(t.outcome.startedAt), 'Content-Type', 'text/plain', 'Content-Length', String(text.length),
  ]
  t.outcome.contentType = 'text/plain'
  sendWhole(t, status, reasonPhrase(status), pairs, text)
  return 'finish'
}
