import type { Fields } from '../http/index.ts'

// Names that an origin gives its responses, so that all of one kind can be purged at once. Two fields say them, each with
// its own comma:
//
//   Surrogate-Key: product-17 shelf-3        blanks between (Fastly, Varnish's xkey)
//   Cache-Tag: product-17, shelf-3           commas between (Cloudflare, Akamai)
//
// A tag is compared as it stands. What has more tags than could be kept is not stored: a purge would miss it.

/** What becomes of the two fields. */
export const tagPolicies = {
  keep: 'tags are kept with what is stored, and clients see them',
  strip: 'tags are kept with what is stored, and clients do not see them',
  off: 'the fields are like others',
} as const

export type TagPolicy = keyof typeof tagPolicies

/** Of one response; as many as the CDNs take. */
const tagsMax = 1000
const tagBytesMax = 16 * 1024

export const tagFields: readonly string[] = ['surrogate-key', 'cache-tag']

export const noTags: readonly string[] = []

/** Null: more than are kept. Each once, in the order they came. */
export const tagsOf = (fields: Fields): readonly string[] | null => {
  const keys = fields.joined('surrogate-key')
  const tags = fields.joined('cache-tag')
  if (keys === undefined && tags === undefined) return noTags
  if ((keys?.length ?? 0) + (tags?.length ?? 0) > 2 * tagBytesMax) return null
  const found = new Set<string>()
  // joined lines have a comma between them
  for (const key of keys?.split(/[\s,]+/) ?? noTags) if (key !== '') found.add(key)
  for (const tag of tags?.split(',') ?? noTags) if (tag.trim() !== '') found.add(tag.trim())
  if (found.size > tagsMax) return null
  let bytes = 0
  for (const tag of found) bytes += tag.length
  return bytes > tagBytesMax ? null : [...found]
}

/** Not for clients, where the policy is to strip. */
export const withoutTags = (fields: Fields, policy: TagPolicy): void => {
  if (policy === 'strip') for (const name of tagFields) fields.delete(name)
}
