import type { Outcome } from '../../base/index.ts'

/**
 * Called before a record is written. Where a server has answered, or something stored was used, the record says why, also
 * on the ways where no rule of the cache was asked. A hit from memory has its reason already, and costs one comparison.
 */
export const sayWhy = (o: Outcome): void => {
  if (o.initiator === 'validation' && o.reuseReason === '') o.reuseReason = 'while-revalidate'
  if (o.serverStatus === 0) return
  if (o.storeReason === '') o.storeReason = o.serverStatus === 304 ? 'not-modified' : 'no-response'
  if (o.reuseReason === '') o.reuseReason = o.method === 'GET' || o.method === 'HEAD' ? 'bypass' : 'method'
}
