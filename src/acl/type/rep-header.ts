import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** Any field of the response, all its lines joined with commas. Nothing matches before there is one. */
export const repHeader = {
  fact: facts => `the response's fields (${(facts.responseFields?.pairs.length ?? 0) / 2} lines)`,
  compile: source => {
    const name = source.definition.argument?.text.toLowerCase() ?? ''
    if (name === '') source.report('fatal', source.definition.at, 'rep_header needs a field name first')
    return patternMatcher(source, facts => facts.responseFields?.joined(name))
  },
} satisfies AclType
