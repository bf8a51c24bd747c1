import { type Bytes, bytes, seconds, wallMs, type WallMs } from '../../src/base/index.ts'
import {
  admit, type CachePolicy, cacheKey, defaultPolicy, type Exchange, noRefreshOptions, type RefreshOptions,
  RefreshPatterns, type RequestFacts, requestFacts, type StoredResponse,
} from '../../src/cache/index.ts'
import { Fields, httpDate, parseAbsolute } from '../../src/http/index.ts'

// What the cache tests build their cases from. Time is in seconds around `t0`, a whole second far from any edge.

export const t0 = wallMs(Date.UTC(2030, 5, 15, 12, 0, 0))

/** `t0` and so many seconds. */
export const at = (s: number): WallMs => wallMs(t0 + Math.round(s * 1000))

export const dateAt = (s: number): string => httpDate(at(s))

/** `'Name: value'` lines. */
export const fieldsOf = (...lines: readonly string[]): Fields =>
  Fields.from(
    lines.flatMap(line => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    }),
  )

export const factsOf = (...lines: readonly string[]): RequestFacts | null => requestFacts(fieldsOf(...lines))

export interface Case {
  readonly method?: string
  readonly uri?: string
  readonly request?: readonly string[]
  readonly status?: number
  /** Date is added unless one is here, or `noDate`. */
  readonly response?: readonly string[]
  readonly noDate?: boolean
  readonly contentLength?: number
  /** Seconds after t0; the response came at t0 unless told. */
  readonly sent?: number
  readonly came?: number
  readonly denied?: boolean
  readonly unverified?: boolean
}

export const exchangeOf = (c: Case): Exchange => {
  const uri = c.uri ?? 'http://a.example/x'
  const target = parseAbsolute(uri)
  if (target === null) throw new Error(`the test's uri is none: ${uri}`)
  const came = c.came ?? 0
  const lines = c.response ?? []
  const dated = c.noDate === true || lines.some(line => /^date:/i.test(line))
  return {
    method: c.method ?? 'GET',
    uri,
    target,
    requestFields: fieldsOf(...(c.request ?? [])),
    status: c.status ?? 200,
    reasonPhrase: 'OK',
    fields: fieldsOf(...(dated ? [] : [`Date: ${dateAt(came)}`]), ...lines),
    contentLength: c.contentLength ?? -1,
    requestTime: at(c.sent ?? came),
    responseTime: at(came),
    denied: c.denied ?? false,
    unverified: c.unverified ?? false,
  }
}

export const policyOf = (change: Partial<CachePolicy> = {}): CachePolicy => ({ ...defaultPolicy, ...change })

/** One refresh_pattern line that matches everything. `min` and `max` in seconds. */
export const ruled = (
  min: number,
  percent: number,
  max: number,
  options: Partial<RefreshOptions> = {},
  change: Partial<CachePolicy> = {},
): CachePolicy =>
  policyOf({
    refresh: new RefreshPatterns([
      {
        regex: /./,
        min: seconds(min),
        percent,
        max: seconds(max),
        options: { ...noRefreshOptions, ...options },
        text: 'the test',
      },
    ]),
    ...change,
  })

export const admission = (c: Case, policy: CachePolicy = defaultPolicy) => {
  const exchange = exchangeOf(c)
  return admit(exchange, cacheKey(exchange.method, exchange.uri), policy)
}

/** What is stored of the case, without content; it must be storable. */
export const storedOf = (c: Case, policy: CachePolicy = defaultPolicy): StoredResponse => {
  const answer = admission(c, policy)
  if (answer.kind === 'no') throw new Error(`the test's response is not storable: ${answer.reason}`)
  return answer.response
}

export const bytesLimit = (n: number): Bytes => bytes(n)
