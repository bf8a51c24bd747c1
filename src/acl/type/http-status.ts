import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The response's status: `200`, `400-403`, `500-` (up to 599). */
export const httpStatus = {
  fact: facts => `status ${facts.responseStatus === 0 ? '-' : facts.responseStatus}`,
  compile: source => {
    const held = new Uint8Array(1000)
    for (const { text, at } of source.definition.values) {
      const found = /^(\d{3})(-(\d{3})?)?$/.exec(text)
      const from = Number(found?.[1])
      const to = found?.[2] === undefined ? from : Number(found[3] ?? 599)
      if (found === null) source.report('fatal', at, `'${text}' is no status and no range of them`, 'write 200, 400-403 or 500-')
      else if (from > to) source.report('fatal', at, `the range '${text}' ends before it begins`)
      else held.fill(1, from, to + 1)
    }
    return facts => (facts.responseStatus !== 0 && held[facts.responseStatus] === 1 ? matched : mismatched)
  },
} satisfies AclType
