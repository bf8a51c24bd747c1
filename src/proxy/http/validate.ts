import { CountHttp } from './counters.ts'
import { fetchFrom } from './fetch.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'

/** Ask the origin whether the stored response is still right; what it says decides between deliver and fetch. */
export const validate = (t: Transaction): Promise<Next> => {
  CountHttp.validations++
  return fetchFrom(t, t.stored)
}
