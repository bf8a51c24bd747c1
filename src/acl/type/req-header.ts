import type { AclType } from '../acl.ts'
import { patternMatcher } from '../value/patterns.ts'

/** Any field of the request, all its lines joined with commas. */
export const reqHeader = {
  fact: facts => `the request's fields (${(facts.fields?.pairs.length ?? 0) / 2} lines)`,
  compile: source => {
    const name = source.definition.argument?.text.toLowerCase() ?? ''
    if (name === '') source.report('fatal', source.definition.at, 'req_header needs a field name first')
    return patternMatcher(source, facts => facts.fields?.joined(name))
  },
} satisfies AclType
