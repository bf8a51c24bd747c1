import { errorTable, hierarchyCodes, type Outcome, resultCodes } from '../../src/base/index.ts'
import { reuseReasons, staleReasons, storeReasons, storeRefusals } from '../../src/cache/index.ts'
import { releaseReasons } from '../../src/cache/growing.ts'
import { managerPath } from '../../src/admin/index.ts'

// What holds of every record, whatever a scenario was about: each word is of its closed list, each refusal says why, and
// so does each answer of a server that was not stored, or was asked for at all.

const stored = new Set([...Object.keys(storeReasons), ...Object.keys(storeRefusals)])
const reused = new Set([...Object.keys(reuseReasons), ...Object.keys(staleReasons), ...Object.keys(releaseReasons).map(reason => `collapse: ${reason}`)])
/** The line of the list is the word why. */
const byAccessList: ReadonlySet<string> = new Set(['denied', 'forwarding-denied', 'unauthenticated', 'unauthenticated-site'])
const fromStore = /_HIT$|^TCP_REFRESH_(?:UNMODIFIED|FAIL_OLD)$/

/** What is wrong with it; '' = nothing. */
export const faultOf = (o: Outcome): string => {
  if (!Object.hasOwn(resultCodes, o.result)) return `'${o.result}' is no result code`
  if (!Object.hasOwn(hierarchyCodes, o.hierarchy)) return `'${o.hierarchy}' is no hierarchy code`
  if (o.error !== null && !Object.hasOwn(errorTable, o.error)) return `'${o.error}' is no error`
  if (o.storeReason !== '' && !stored.has(o.storeReason)) return `'${o.storeReason}' is no reason to store or not`
  if (o.reuseReason !== '' && !reused.has(o.reuseReason)) return `'${o.reuseReason}' is no reason to reuse or not`
  if (o.error !== null && o.errorDetail === '' && !(byAccessList.has(o.error) && o.accessLine !== '')) return `${o.error}, and no word why`
  if (o.result === 'TCP_DENIED' && o.error === null) return 'denied, and no error says so'
  const ownAnswer = o.uri.includes(managerPath) || o.method === 'PURGE'
  if (o.serverStatus === 0 && o.status >= 400 && o.error === null && !fromStore.test(o.result) && !ownAnswer) return `${o.status} of our own, and no error`
  // its line was written when it left; what a fetch that went on for others has found since is not in it
  const left = o.error === 'client-aborted'
  if (o.serverStatus !== 0 && o.storeReason === '' && !left) return 'a server has answered, and nothing says whether that is stored'
  if (o.serverStatus !== 0 && o.reuseReason === '' && !left) return 'a server was asked, and nothing says why'
  if (o.result === 'TCP_TUNNEL' && o.storeReason !== 'tunnel') return `a tunnel whose reason is '${o.storeReason}'`
  if (fromStore.test(o.result) && o.reuseReason === '') return 'something stored was used, and nothing says why it could be'
  return ''
}

/** Of all of them, one line each. */
export const faultsOf = (records: readonly Outcome[]): string[] =>
  records.flatMap(o => {
    const fault = faultOf(o)
    return fault === '' ? [] : [`${o.result}/${o.status} ${o.method} ${o.uri.slice(0, 80)} server ${o.serverStatus} error ${o.error}: ${fault}`]
  })
