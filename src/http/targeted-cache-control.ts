import { seconds } from '../base/index.ts'
import { deltaSecondsMax, ResponseCacheControl } from './cache-control.ts'
import { type DictionaryValue, parseDictionary } from './dictionary.ts'
import type { Fields } from './fields.ts'
import { splitList } from './lists.ts'

// RFC 9213: Cache-Control for caches of one kind, such as CDN-Cache-Control. It is a dictionary of structured fields, and
// where it is one and holds something, it alone decides: neither Cache-Control nor Expires is looked at.

/** Null: it is not there, or is none; then it is as if it were not there. `lowerName`: of the field. */
export const targetedCacheControl = (fields: Fields, lowerName: string): ResponseCacheControl | null => {
  const text = fields.joined(lowerName)
  const members = text === undefined ? null : parseDictionary(text)
  if (members === null || members.size === 0) return null
  const control = new ResponseCacheControl()
  control.expiresIgnored = true
  for (const [name, value] of members) if (!put(control, name, value)) return null
  return control
}

const flags = {
  'no-store': 'noStore',
  'no-transform': 'noTransform',
  'public': 'public',
  'must-revalidate': 'mustRevalidate',
  'proxy-revalidate': 'proxyRevalidate',
  'must-understand': 'mustUnderstand',
  'immutable': 'immutable',
} as const

const times = {
  'max-age': 'maxAge',
  's-maxage': 'sMaxage',
  'stale-while-revalidate': 'staleWhileRevalidate',
  'stale-if-error': 'staleIfError',
} as const

/** False: a directive we know, with a value of the wrong type; who wrote it means something else. */
const put = (control: ResponseCacheControl, name: string, value: DictionaryValue): boolean => {
  if (Object.hasOwn(flags, name)) {
    if (value.kind !== 'boolean') return false
    control[flags[name as keyof typeof flags]] = value.value // it is a key
    return true
  }
  if (Object.hasOwn(times, name)) {
    if (value.kind !== 'integer') return false
    control[times[name as keyof typeof times]] = seconds(Math.min(Math.max(0, value.value), deltaSecondsMax)) // it is a key
    return true
  }
  if (name !== 'no-cache' && name !== 'private') return true
  if (value.kind === 'boolean') control[name === 'private' ? 'private' : 'noCache'] = value.value
  else if (value.kind === 'string') {
    const names = splitList(value.value).map(field => field.toLowerCase())
    control[name === 'private' ? 'privateFields' : 'noCacheFields'] = names
  } else return false
  return true
}
