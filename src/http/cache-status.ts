import { isToken } from './characters.ts'

// Cache-Status (RFC 9211): one list member for each cache, ours last; parameters as structured fields (RFC 9651).

/** RFC 9211 2.2: why the request went forward. */
export const forwardReasons = {
  bypass: 'the cache was not to handle this request',
  method: 'the method needs the origin',
  'uri-miss': 'nothing stored for the URI',
  'vary-miss': 'something stored for the URI, but for other selecting fields',
  miss: 'nothing stored, cannot say more',
  request: 'something was stored, the request wanted it fresher',
  stale: 'something was stored, and stale',
  partial: 'a part of it was stored',
} as const

export type ForwardReason = keyof typeof forwardReasons

export interface CacheStatus {
  /** Served from the cache without going forward; excludes `fwd`. */
  readonly hit?: boolean
  readonly fwd?: ForwardReason
  readonly fwdStatus?: number
  /** Remaining freshness lifetime in seconds; negative = stale. */
  readonly ttl?: number
  readonly stored?: boolean
  readonly collapsed?: boolean
  readonly key?: string
  readonly detail?: string
}

export const cacheStatusText = (cache: string, status: CacheStatus): string => {
  let text = itemText(cache)
  if (status.hit === true) text += '; hit'
  else if (status.fwd !== undefined) text += `; fwd=${status.fwd}`
  if (status.fwdStatus !== undefined) text += `; fwd-status=${status.fwdStatus}`
  if (status.ttl !== undefined) text += `; ttl=${Math.trunc(status.ttl)}`
  if (status.stored === true) text += '; stored'
  if (status.collapsed === true) text += '; collapsed'
  if (status.key !== undefined) text += `; key=${sfString(status.key)}`
  if (status.detail !== undefined) text += `; detail=${itemText(status.detail)}`
  return text
}

/** An sf-token where the text is one (RFC 9651 3.3.4), else an sf-string. */
const itemText = (text: string): string => (isSfToken(text) ? text : sfString(text))

const isSfToken = (text: string): boolean => {
  const c = text.charCodeAt(0)
  const letter = (c | 32) >= 97 && (c | 32) <= 122
  return (letter || c === 42) && isToken(text.replace(/[:/]/g, '-'))
}

/** RFC 9651 3.3.3: printable ASCII; anything else becomes '?', since it cannot be said. */
const sfString = (text: string): string => `"${text.replace(/[^ -~]/g, '?').replace(/["\\]/g, '\\$&')}"`
