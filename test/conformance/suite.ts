import { setBaseUrl, setFetch, type SuiteFetch } from 'http-cache-tests/client/config.mjs'
import { makeCacheTest, testResults } from 'http-cache-tests/client/test.mjs'
import groups, { type SuiteTest } from 'http-cache-tests/tests/index.mjs'

// The public suite (npm http-cache-tests): its tests, judged by its own client. All run at once, as a burst. The
// package keeps its results in module variables, so a process can run it once.
//
// Left out are tests for browsers, and the group of the Surrogate-Control field, which no standard has taken up.

export interface Result {
  readonly id: string
  readonly kind: 'required' | 'optimal' | 'check'
  /** '' = passed. */
  readonly failure: string
}

const tests: readonly SuiteTest[] = groups.flatMap(group => group.tests).filter(test => test.browser_only !== true)

/** Tests that pause once, three seconds, somewhere in their course; the others never do. */
export const pausing = tests.filter(pauses)
export const steady = tests.filter(test => !pauses(test))

function pauses(test: SuiteTest): boolean {
  return test.requests.some(request => request.pause_after !== undefined)
}

export const point = (fetch: SuiteFetch, baseUrl: string): void => {
  setFetch(fetch)
  setBaseUrl(baseUrl)
}

/** `over` is told of each that ends. */
export const run = async (some: readonly SuiteTest[], over: () => void = () => {}): Promise<readonly Result[]> => {
  // Tests share pieces of their plans and the client writes into them; a copy for each keeps them apart.
  await Promise.all(some.map(test => makeCacheTest(structuredClone(test)).then(over)))
  return some.map(({ id, kind = 'required' }) => ({ id, kind, failure: failureOf(id) }))
}

const failureOf = (id: string): string => {
  const result = testResults[id]
  return result === true ? '' : result === undefined ? 'it never ended' : result.join(': ')
}
