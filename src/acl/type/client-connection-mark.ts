import { maskedMark } from '../value/masked-mark.ts'
import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The mark the kernel tracks the client's connection with ("ct mark" in nft): MARK, or MARK/MASK for some of its bits. */
export const clientConnectionMark = {
  fact: facts => {
    const mark = facts.connectionMark()
    return mark === null ? 'connection mark unknown' : `connection mark 0x${mark.toString(16)}`
  },
  compile: source => {
    const marks = source.definition.values.flatMap(value => {
      const mark = maskedMark(value.text)
      if (mark === null) source.report('fatal', value.at, `'${value.text}' is no mark`, 'write MARK or MARK/MASK, each from 0 to 0xffffffff')
      else if ((mark.value & ~mark.mask) !== 0) {
        source.report('warning', value.at, `'${value.text}' never matches: the mark has bits that are not in its mask`)
      } else return [mark]
      return []
    })
    return facts => {
      const mark = facts.connectionMark()
      if (mark === null) return mismatched
      for (const { value, mask } of marks) if (((mark & mask) >>> 0) === value) return matched
      return mismatched
    }
  },
} satisfies AclType
