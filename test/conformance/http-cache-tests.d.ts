// What we use of the package, which has no types of its own.

declare module 'http-cache-tests/tests/index.mjs' {
  export interface PlannedRequest {
    readonly pause_after?: boolean
  }

  export interface SuiteTest {
    readonly id: string
    readonly name: string
    /** Absent means required. */
    readonly kind?: 'required' | 'optimal' | 'check'
    readonly browser_only?: boolean
    readonly requests: readonly PlannedRequest[]
  }

  const groups: readonly { readonly id: string; readonly tests: readonly SuiteTest[] }[]
  export default groups
}

declare module 'http-cache-tests/client/config.mjs' {
  export interface SuiteRequest {
    readonly method?: string
    readonly headers?: readonly (readonly [string, string])[]
    readonly body?: string
  }

  export interface SuiteResponse {
    readonly status: number
    readonly statusText: string
    readonly headers: Headers
    text(): Promise<string>
  }

  export type SuiteFetch = (url: string, request?: SuiteRequest) => Promise<SuiteResponse>
  export const setFetch: (fetch: SuiteFetch) => void
  export const setBaseUrl: (url: string) => void
}

declare module 'http-cache-tests/client/test.mjs' {
  import type { SuiteTest } from 'http-cache-tests/tests/index.mjs'
  /** Never rejects; what came of it is in testResults. */
  export const makeCacheTest: (test: SuiteTest) => Promise<void>
  /** By test id: true, or the kind of failure and its message. Setup: what the test is about was not reached. */
  export const testResults: Readonly<Record<string, true | readonly [kind: string, message: string] | undefined>>
}

declare module 'http-cache-tests/server/handle-config.mjs' {
  import type { IncomingMessage, ServerResponse } from 'node:http'
  const handle: (segments: string[], request: IncomingMessage, response: ServerResponse) => void
  export default handle
}

declare module 'http-cache-tests/server/handle-state.mjs' {
  export { default } from 'http-cache-tests/server/handle-config.mjs'
}

declare module 'http-cache-tests/server/handle-test.mjs' {
  export { default } from 'http-cache-tests/server/handle-config.mjs'
}
