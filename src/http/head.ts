import type { ErrorCode } from '../base/index.ts'
import type { BlanksInTarget } from './blanks-in-target.ts'

// What reading a head can answer, and why one is refused. RFC numbers are those of the rule that was broken; where the
// RFC lets a recipient repair, we refuse all the same: two recipients that repair differently are how requests are
// smuggled.

interface Line {
  readonly error: ErrorCode
  readonly doc: string
}

export const badReasons = {
  'bare-cr': { error: 'bad-request', doc: 'CR that is not followed by LF (RFC 9112 2.2)' },
  'bare-lf': { error: 'bad-request', doc: 'LF without CR' },
  'control': { error: 'bad-request', doc: 'NUL or another control character' },
  'request-line': { error: 'bad-request', doc: 'not method, one space, target, one space, version' },
  'method': { error: 'bad-request', doc: 'the method is not a token' },
  'target': { error: 'bad-target', doc: 'the target has a character no URI has, or its authority is malformed' },
  'target-form': { error: 'bad-target', doc: 'a form of target this method does not have (RFC 9112 3.2)' },
  'version': { error: 'unsupported-version', doc: 'neither HTTP/1.0 nor HTTP/1.1' },
  'http-0.9': { error: 'unsupported-version', doc: 'a request line without a version' },
  'http-2': { error: 'unsupported-version', doc: 'the preface of HTTP/2' },
  'line-too-long': { error: 'uri-too-long', doc: 'the request line exceeds its limit' },
  'head-too-long': { error: 'head-too-large', doc: 'the head exceeds its limit' },
  'fields-too-many': { error: 'head-too-large', doc: 'more field lines than the limit' },
  'field-name': { error: 'bad-request', doc: 'a field name that is empty or not a token, or no colon' },
  'field-name-space': { error: 'bad-request', doc: 'white space before the colon (RFC 9112 5.1)' },
  'obs-fold': { error: 'bad-request', doc: 'a line that continues the one before (RFC 9112 5.2)' },
  'host-missing': { error: 'bad-request', doc: 'HTTP/1.1 without Host (RFC 9112 3.2)' },
  'host-repeated': { error: 'bad-request', doc: 'more than one Host' },
  'host': { error: 'bad-target', doc: 'Host is not a host with an optional port' },
  'length': { error: 'bad-request', doc: 'Content-Length is not a number of bytes' },
  'length-repeated': { error: 'bad-request', doc: 'more than one Content-Length, be they equal' },
  'length-with-coding': { error: 'bad-request', doc: 'Content-Length beside Transfer-Encoding (RFC 9112 6.1)' },
  'coding': { error: 'bad-request', doc: 'Transfer-Encoding that does not end in exactly one chunked (RFC 9112 6.3)' },
  'coding-unsupported': { error: 'unsupported-method', doc: 'a transfer coding other than chunked' },
  'coding-1.0': { error: 'bad-request', doc: 'Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1)' },
  'connect-content': { error: 'bad-request', doc: 'CONNECT with content (RFC 9110 9.3.6)' },
  'expectation': { error: 'expectation-failed', doc: 'an Expect other than 100-continue (RFC 9110 10.1.1)' },
  'status-line': { error: 'bad-response', doc: 'not version, space, three digits' },
  'chunk-size': { error: 'bad-request', doc: 'a chunk size that is not hexadecimal digits only' },
  'chunk-size-overflow': { error: 'bad-request', doc: 'a chunk size no body can have' },
  'chunk-extension': { error: 'bad-request', doc: 'a malformed chunk extension' },
  'chunk-extensions-too-long': { error: 'bad-request', doc: 'the chunk extensions exceed their limit' },
  'chunk-end': { error: 'bad-request', doc: 'a chunk that is not followed by CRLF' },
  'trailer-framing': { error: 'bad-request', doc: 'a field about framing or the connection among the trailers' },
  'trailers-too-long': { error: 'head-too-large', doc: 'the trailer section exceeds its limit' },
} as const satisfies Record<string, Line>

export type BadReason = keyof typeof badReasons

export interface Bad {
  readonly kind: 'bad'
  readonly error: ErrorCode
  readonly why: BadReason
}

export type HeadAnswer<H> =
  /** The head is not complete; nothing wrong so far. Ask again with more bytes, and `scanFrom` = this `end`. */
  | { readonly kind: 'more' }
  | Bad
  /** `end`: where the next byte after the head is. */
  | { readonly kind: 'head'; readonly head: H; readonly end: number }

export interface HeadLimits {
  /** Bytes of the request line or status line, CRLF included. */
  readonly lineBytesMax: number
  /** Bytes of the whole head: start line, fields, empty line. */
  readonly headBytesMax: number
  readonly fieldsMax: number
  /** HTTP/1.1 without Host is refused. Intercepted requests may do without: they have an original destination. */
  readonly hostRequired: boolean
  /** What blanks in a target mean; absent = the request is refused. */
  readonly blanksInTarget?: BlanksInTarget | undefined
  /** User information in an absolute target becomes Authorization; false or absent = the request is refused. */
  readonly takesUser?: boolean
}

/** Squid's request_header_max_size; the other two as most servers have them. */
export const usualHeadLimits: HeadLimits = {
  lineBytesMax: 16 * 1024,
  headBytesMax: 64 * 1024,
  fieldsMax: 200,
  hostRequired: true,
}

export const more: { readonly kind: 'more' } = { kind: 'more' }

// Readers in the hot path answer with one number: a position, or a fault, which is negative.

const reasonList = Object.keys(badReasons) as BadReason[] // the keys of the table above

/** A reason as a negative number. */
export const fault = (why: BadReason): number => -1 - reasonList.indexOf(why)

const answers: readonly Bad[] = reasonList.map(why => ({ kind: 'bad', error: badReasons[why].error, why }))
const responseAnswers: readonly Bad[] = answers.map(bad => ({
  ...bad,
  error: bad.error === 'head-too-large' || bad.error === 'uri-too-long' ? 'response-head-too-large' : 'bad-response',
}))

/** The refusal for a negative number; shared objects. */
export const badRequest = (faultNumber: number): Bad => answers[-1 - faultNumber] as Bad // faults are made by `fault`
export const badResponse = (faultNumber: number): Bad => responseAnswers[-1 - faultNumber] as Bad
