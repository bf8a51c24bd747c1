import type { FieldView } from '../base/index.ts'
import { type Fields, isStrongEtag, splitList } from '../http/index.ts'
import type { StoredResponse } from './stored-response.ts'

// RFC 9111 4.3.1: asking the origin whether what we have still holds. One stored response that fits the request but is
// stale is validated by name and date; where none fits, the strong tags of all variants are offered, and the origin may
// say which of them it would send.

export interface Validation {
  /** The variant that fits the request, or null. */
  readonly chosen: StoredResponse | null
  /** All that a 304 may name. */
  readonly candidates: readonly StoredResponse[]
  /** Values of If-None-Match and If-Modified-Since; null = not sent. Both null: ask without condition. */
  readonly ifNoneMatch: string | null
  readonly ifModifiedSince: string | null
}

/** Tags offered at most; more would make a head that origins refuse. */
const etagsMax = 32

export const validationOf = (chosen: StoredResponse | null, variants: readonly StoredResponse[], request: FieldView): Validation => {
  if (chosen !== null) {
    return {
      chosen,
      candidates: [chosen],
      ifNoneMatch: chosen.etag,
      ifModifiedSince: chosen.lastModified < 0 ? null : (chosen.fields().get('last-modified') ?? null),
    }
  }
  const candidates: StoredResponse[] = []
  const tags = new Set<string>()
  for (const stored of variants) {
    // A weak tag may be shared by what differs in coding (RFC 9110 8.8.1). nginx does so: W/"a" packed, "a" not, and a
    // 304 for either; whoever takes no gzip would get it.
    // nor is a part what a 304 to a request for the whole could be about
    if (stored.status === 206 || stored.etag === null || !isStrongEtag(stored.etag) || tags.size === etagsMax) continue
    // some give the packed and the other the same strong tag, which they must not: the 304 would be for the wrong one
    if (!acceptsCodings(request, stored)) continue
    candidates.push(stored)
    tags.add(stored.etag)
  }
  return {
    chosen: null,
    candidates,
    ifNoneMatch: tags.size === 0 ? null : [...tags].join(', '),
    ifModifiedSince: null, // a date says nothing about which variant
  }
}

/** Whether who asks this can read the stored content at all (RFC 9110 12.5.3). */
const acceptsCodings = (request: FieldView, stored: StoredResponse): boolean => {
  const codings = stored.fields().joined('content-encoding')
  if (codings === undefined) return true
  const accepted = splitList((request.joined('accept-encoding') ?? '').toLowerCase())
    .filter(member => !/;[ \t]*q=0(\.0*)?$/.test(member))
    .map(member => member.replace(/[ \t]*;.*/, ''))
  return splitList(codings.toLowerCase()).every(coding => coding === 'identity' || accepted.includes(coding) || accepted.includes('*'))
}

/** There is something to ask with; otherwise the request goes forward as a plain one. */
export const isConditional = (validation: Validation): boolean =>
  validation.ifNoneMatch !== null || validation.ifModifiedSince !== null

/**
 * Puts our conditions in place of the client's, which are answered afterwards from what we then have (conditional.ts).
 * `fields` is the copy that goes to the server. `asRange`: the client's Range and If-Range stay, and count where the 304
 * does not come (RFC 9110 13.2.2); otherwise what comes back is the whole.
 */
export const addConditions = (fields: Fields, validation: Validation, asRange = false): void => {
  for (const name of conditions) fields.delete(name)
  if (!asRange) dropRange(fields)
  if (validation.ifNoneMatch !== null) fields.append('If-None-Match', validation.ifNoneMatch)
  if (validation.ifModifiedSince !== null) fields.append('If-Modified-Since', validation.ifModifiedSince)
}

/** The content is wanted, whatever the client has of it. */
export const dropConditions = (fields: Fields): void => {
  for (const name of conditions) fields.delete(name)
}

const conditions = ['if-none-match', 'if-modified-since']

/** The whole is wanted, whatever the client has asked for. */
export const dropRange = (fields: Fields): void => {
  fields.delete('range')
  fields.delete('if-range')
}
