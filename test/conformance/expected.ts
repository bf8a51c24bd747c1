import type { Result } from './suite.ts'

// What of the suite we answer otherwise than it wants, and why. The package is of 2021 and follows drafts of what became
// RFC 9111; where the two differ, the RFC is right. Everything that is not listed here passes. A listed test that starts
// to pass fails the run like one that stops: then the line goes, or its reason was wrong.

const firstAge = 'RFC 9111 5.1: the first member of Age counts, and one that is no number is ignored (the draft said: stale)'
const ownAnswer =
  'our own 504 (RFC 9111 5.2.2.2) has no Server-Request-Count, which the client takes for a stored response; ' +
  'test/scenario/cache.test.ts looks at the 504'
const cookies = 'policy: a cookie is for the client it was sent to (as Squid and ATS); RFC 9111 7.3 leaves it to us'

/** Required or optimal, and not done. */
const declined: Readonly<Record<string, string>> = {
  'age-parse-nonnumeric': firstAge,
  'age-parse-negative': firstAge,
  'age-parse-float': firstAge,
  'age-parse-prefix-twoline': firstAge,
  'age-parse-dup-0': firstAge,
  'age-parse-dup-0-twoline': firstAge,
  'age-parse-dup-old': firstAge,
  'age-parse-parameter': firstAge,
  'age-parse-numeric-parameter': firstAge,
  'stale-close-must-revalidate': ownAnswer,
  'stale-close-proxy-revalidate': ownAnswer,
  'stale-close-no-cache': ownAnswer,
  'stale-close-s-maxage=2': ownAnswer,
  'headers-store-Set-Cookie': cookies,
  '304-etag-update-response-Set-Cookie': cookies,
  'headers-store-Transfer-Encoding':
    'RFC 9112 7: what is under a transfer coding we cannot undo is not the content; 502 (as Squid, HAProxy, nginx)',
  '304-etag-update-response-Content-MD5': 'RFC 9111 3.2: a 304 updates every field but a few, and this is none of those',
  '304-etag-update-response-ETag':
    'RFC 9111 4.3.4: a 304 with another strong tag is about nothing we have; we ask again, which the suite calls a retry',
  'conditional-lm-fresh-no-lm': 'RFC 9111 4.3.2: without Last-Modified its Date stands in, which is later than asked',
  'vary-normalise-lang-order': 'RFC 9110 12.5.4: some origins take the order of languages as preference',
  'vary-normalise-lang-select': 'RFC 9111 4.1: which language goes with a request is for the origin to choose',
  'partial-store-partial-reuse-partial': 'its 206 claims six bytes and has five: not kept',
  'partial-store-partial-reuse-partial-byterange': 'its 206 claims six bytes and has five: not kept',
  'partial-store-partial-reuse-partial-absent': 'its 206 claims six bytes and has five: not kept',
  'partial-store-partial-reuse-partial-suffix': 'its 206 claims six bytes and has five: not kept',
  'partial-store-partial-complete': 'RFC 9111 3.4: only parts that share a strong validator are combined, and it has none',
}

const noDate = 'RFC 9111 5.3: an Expires that is no HTTP-date (RFC 9110 5.6.7) is in the past'
const noNumber = 'RFC 9111 4.2.1: freshness that cannot be read is none'
const noTag = 'RFC 9110 8.8.3: an entity tag has quotes, and W/ before it if it is weak'
const warning = 'RFC 9111 5.5: Warning is obsolete'

/** The suite only asks, and our answer is no. */
const no: Readonly<Record<string, string>> = {
  'freshness-expires-32bit': noDate,
  'freshness-expires-far-future': noDate,
  'freshness-expires-invalid-utc': noDate,
  'freshness-expires-invalid-aest': noDate,
  'freshness-expires-invalid-2-digit-year': noDate,
  'freshness-expires-invalid-no-comma': noDate,
  'freshness-expires-invalid-multiple-spaces': noDate,
  'freshness-expires-invalid-date-dashes': noDate,
  'freshness-expires-invalid-time-periods': noDate,
  'freshness-expires-invalid-1-digit-hour': noDate,
  'freshness-expires-invalid-multiple-lines': 'RFC 9111 4.2.1: of several Expires the first counts, which is in the past',
  'freshness-max-age-decimal-zero': noNumber,
  'freshness-max-age-decimal-five': noNumber,
  'freshness-max-age-a100': noNumber,
  'freshness-max-age-100a': noNumber,
  'freshness-max-age-two-stale-fresh-sameline': 'RFC 9111 4.2.1: of several max-age the first counts',
  'freshness-max-age-two-stale-fresh-sepline': 'RFC 9111 4.2.1: of several max-age the first counts',
  'heuristic-delta-5': 'a fifth of five seconds is over after three',
  'heuristic-delta-10': 'a fifth of ten seconds is over after three',
  'stale-warning-stored': warning,
  'stale-warning-become': warning,
  'ccreq-max-stale-age': 'what comes stale and cannot be validated is not stored (store-stale of refresh_pattern does)',
  'ccreq-no-cache-lm': 'a reload brings a whole new response (reload_into_ims validates instead)',
  'ccreq-no-cache-etag': 'a reload brings a whole new response (reload_into_ims validates instead)',
  'ccreq-no-store': 'RFC 9111 5.2.1.5: no-store of a request does not concern what is stored already',
  'pragma-request-no-cache': 'RFC 9111 5.4: Pragma: no-cache of a request without Cache-Control is a reload',
  'conditional-etag-quoted-respond-unquoted': noTag,
  'conditional-etag-unquoted-respond-unquoted': noTag,
  'conditional-etag-unquoted-respond-quoted': noTag,
  'conditional-etag-weak-respond-lowercase': noTag,
  'conditional-etag-weak-respond-backslash': noTag,
  'conditional-etag-weak-respond-omit-slash': noTag,
  'conditional-etag-strong-generate-unquoted': noTag,
  'conditional-etag-forward-unquoted': 'what is forwarded is not mended',
  'conditional-etag-strong-respond-obs-text': 'its origin says the tag in UTF-8 and its client in Latin-1: two tags',
  'head-200-retain': 'a HEAD is answered with what its origin says to it; what that changes of the stored is another question',
  'head-410-update': 'RFC 9111 4.3.5: only a 200 to HEAD is about the stored 200',
}

/** How many tests the package has for a shared cache; fewer would be a run that skipped some. */
export const counts = { required: 157, optimal: 86, check: 86 } as const

export interface Differences {
  /** Failed and not listed: `id: what the suite said`. */
  readonly failed: readonly string[]
  /** Listed and passed, or listed and not in the suite. */
  readonly needless: readonly string[]
}

export const differences = (results: readonly Result[], kind: Result['kind']): Differences => {
  const known = kind === 'check' ? no : declined
  const some = results.filter(result => result.kind === kind)
  const passed = some.filter(({ id, failure }) => failure === '' && known[id] !== undefined)
  const unheardOf = Object.keys({ ...no, ...declined }).filter(id => !results.some(result => result.id === id))
  return {
    failed: some.filter(({ id, failure }) => failure !== '' && known[id] === undefined).map(({ id, failure }) => `${id}: ${failure}`),
    needless: [...passed.map(({ id }) => id), ...unheardOf],
  }
}
