import { errorTable } from '../../base/index.ts'
import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** The error page that is, or was, the answer. */
export const squidError = {
  fact: facts => `error ${pageOf(facts.outcome?.error ?? null) || '-'}`,
  compile: source => {
    const pages = new Set<string>()
    for (const { text, at } of source.definition.values) {
      if (/^ERR_[A-Z_]+$/.test(text)) pages.add(text)
      else source.report('fatal', at, `'${text}' is no error page`, 'for example ERR_CONNECT_FAIL')
    }
    return facts => (pages.has(pageOf(facts.outcome?.error ?? null)) ? matched : mismatched)
  },
} satisfies AclType

const pageOf = (error: keyof typeof errorTable | null): string => (error === null ? '' : errorTable[error].page)
