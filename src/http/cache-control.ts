import { type Seconds, seconds } from '../base/index.ts'
import type { Fields } from './fields.ts'
import { memberEnd, quoteEnd, splitList, trimmed, unquoted } from './lists.ts'

// Cache-Control (RFC 9111 5.2). Where a directive is there twice, the first counts (RFC 9111 4.2.1); a quoted string
// is skipped whole, so that what it holds is never taken for a directive. An argument that cannot be read means
// whatever leads to less reuse.

/** RFC 9111 1.2.2: a recipient that meets more takes this. */
export const deltaSecondsMax = seconds(2147483648)

/** A directive we have no rule for, as received; `argument` unquoted, null without '='. */
export interface Directive {
  readonly name: string
  readonly argument: string | null
}

/** delta-seconds; saturates. Null = not a run of digits. */
export const parseDeltaSeconds = (text: string): Seconds | null => {
  if (text === '') return null
  let value = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i) - 48
    if (!(c >= 0 && c <= 9)) return null
    value = Math.min(value * 10 + c, deltaSecondsMax)
  }
  return seconds(value)
}

/** What a request says. Null = not there. */
export class RequestCacheControl {
  noCache = false
  noStore = false
  noTransform = false
  onlyIfCached = false
  maxAge: Seconds | null = null
  /** Without an argument any staleness will do: deltaSecondsMax. */
  maxStale: Seconds | null = null
  minFresh: Seconds | null = null
  staleIfError: Seconds | null = null
  unknown: Directive[] | null = null
}

/** What a response says. Null = not there. */
export class ResponseCacheControl {
  /** Unqualified. */
  noCache = false
  /** The lower-case names of no-cache="..."; null if there is none. */
  noCacheFields: readonly string[] | null = null
  noStore = false
  noTransform = false
  /** Unqualified. */
  private = false
  privateFields: readonly string[] | null = null
  public = false
  mustRevalidate = false
  proxyRevalidate = false
  mustUnderstand = false
  immutable = false
  maxAge: Seconds | null = null
  sMaxage: Seconds | null = null
  staleWhileRevalidate: Seconds | null = null
  staleIfError: Seconds | null = null
  unknown: Directive[] | null = null
  /** Expires does not count beside it: it is from a field for caches of our kind (RFC 9213), or the conf says so. */
  expiresIgnored = false
}

const noRequestControl: Readonly<RequestCacheControl> = Object.freeze(new RequestCacheControl())
const noResponseControl: Readonly<ResponseCacheControl> = Object.freeze(new ResponseCacheControl())

export const requestCacheControl = (fields: Fields): Readonly<RequestCacheControl> => {
  const value = fields.joined('cache-control')
  return value === undefined ? noRequestControl : parseRequestCacheControl(value)
}

export const responseCacheControl = (fields: Fields): Readonly<ResponseCacheControl> => {
  const value = fields.joined('cache-control')
  return value === undefined ? noResponseControl : parseResponseCacheControl(value)
}

export const parseRequestCacheControl = (value: string): RequestCacheControl => {
  const control = new RequestCacheControl()
  eachDirective(value, (name, argument, broken) => {
    switch (name) {
      case 'no-cache':
        control.noCache = true
        break
      case 'no-store':
        control.noStore = true
        break
      case 'no-transform':
        control.noTransform = true
        break
      case 'only-if-cached':
        control.onlyIfCached = true
        break
      case 'max-age':
        control.maxAge ??= delta(argument, broken, 0)
        break
      case 'max-stale':
        control.maxStale ??= argument === null && !broken ? deltaSecondsMax : delta(argument, broken, 0)
        break
      case 'min-fresh':
        control.minFresh ??= delta(argument, broken, deltaSecondsMax)
        break
      case 'stale-if-error':
        control.staleIfError ??= delta(argument, broken, 0)
        break
      default:
        control.unknown = kept(control.unknown, name, argument)
    }
  })
  return control
}

export const parseResponseCacheControl = (value: string): ResponseCacheControl => {
  const control = new ResponseCacheControl()
  eachDirective(value, (name, argument, broken) => {
    switch (name) {
      case 'no-cache':
        if (argument === null) control.noCache = true
        else control.noCacheFields = named(control.noCacheFields, argument)
        break
      case 'no-store':
        control.noStore = true
        break
      case 'no-transform':
        control.noTransform = true
        break
      case 'private':
        if (argument === null) control.private = true
        else control.privateFields = named(control.privateFields, argument)
        break
      case 'public':
        control.public = true
        break
      case 'must-revalidate':
        control.mustRevalidate = true
        break
      case 'proxy-revalidate':
        control.proxyRevalidate = true
        break
      case 'must-understand':
        control.mustUnderstand = true
        break
      case 'immutable':
        control.immutable = true
        break
      case 'max-age':
        control.maxAge ??= delta(argument, broken, 0)
        break
      case 's-maxage':
        control.sMaxage ??= delta(argument, broken, 0)
        break
      case 'stale-while-revalidate':
        control.staleWhileRevalidate ??= delta(argument, broken, 0)
        break
      case 'stale-if-error':
        control.staleIfError ??= delta(argument, broken, 0)
        break
      default:
        control.unknown = kept(control.unknown, name, argument)
    }
  })
  return control
}

const delta = (argument: string | null, broken: boolean, otherwise: number): Seconds => {
  const value = argument === null || broken ? null : parseDeltaSeconds(argument)
  return value ?? seconds(otherwise)
}

const kept = (list: Directive[] | null, name: string, argument: string | null): Directive[] => {
  const directives = list ?? []
  directives.push({ name, argument })
  return directives
}

const named = (list: readonly string[] | null, argument: string): readonly string[] => [
  ...(list ?? []),
  ...splitList(argument).map(name => name.toLowerCase()),
]

const eachPlain = (part: string, on: OnDirective): void => {
  const equals = part.indexOf('=')
  const name = trimmed(part, 0, equals < 0 ? part.length : equals).toLowerCase()
  if (name !== '') on(name, equals < 0 ? null : part.slice(equals + 1), equals >= 0)
}

/** `broken`: white space around '=', or a quoted string that is not one; the argument cannot be trusted then. */
type OnDirective = (name: string, argument: string | null, broken: boolean) => void

const eachDirective = (value: string, on: OnDirective): void => {
  for (let i = 0; i <= value.length; ) {
    const end = memberEnd(value, i)
    const member = trimmed(value, i, end)
    i = end + 1
    if (member === '') continue
    const equals = member.indexOf('=')
    if (equals < 0) {
      on(member.toLowerCase(), null, false)
      continue
    }
    const name = trimmed(member, 0, equals)
    const raw = trimmed(member, equals + 1, member.length)
    if (raw.charCodeAt(0) === 34 && quoteEnd(raw, 0) < 0) {
      // A string that is never closed would hide all that follows, no-store too: its quote is taken for a character.
      on(name.toLowerCase(), raw, true)
      for (const part of raw.split(',').slice(1)) eachPlain(part, on)
      return
    }
    const argument = unquoted(raw)
    const spaced = name.length + raw.length + 1 !== member.length
    on(name.toLowerCase(), argument ?? raw, spaced || argument === null)
  }
}

/** Pragma: no-cache, which counts where a request has no Cache-Control (RFC 9111 5.4). */
export const pragmaNoCache = (fields: Fields): boolean => {
  const value = fields.joined('pragma')
  if (value === undefined) return false
  return splitList(value).some(member => member.toLowerCase() === 'no-cache')
}

/** Age (RFC 9111 5.1): the first member counts; null if it is not there or not a number. */
export const parseAge = (fields: Fields): Seconds | null => {
  const value = fields.get('age')
  return value === undefined ? null : parseDeltaSeconds(trimmed(value, 0, memberEnd(value, 0)))
}
