import { cacheKey, unverifiedKey } from '../../cache/index.ts'
import type { Transaction } from './transaction.ts'

/** Unverified: a key of its own, so that what a forged Host brings is only ever given to the same address. */
export const keyOf = (t: Transaction, method: 'GET' | 'HEAD') =>
  t.unverified
    ? unverifiedKey(method, t.outcome.uri, t.client.session.destination)
    : cacheKey(method, t.storeId === '' ? t.outcome.uri : t.storeId)
