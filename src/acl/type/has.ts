import type { AccessFacts } from '../access-facts.ts'
import type { AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** What there is to be asked about: request, response, ALE (the record; Squid's word). */
export const has = {
  fact: facts => `${facts.method === '' ? 'no ' : ''}request, ${facts.responseStatus === 0 ? 'no ' : ''}response`,
  compile: source => {
    const tests = source.definition.values.flatMap(({ text, at }) => {
      const test = Object.hasOwn(parts, text) ? parts[text] : undefined
      if (test === undefined) source.report('fatal', at, `'${text}' is no part of a transaction`, 'write request, response or ALE')
      return test ?? []
    })
    return facts => (tests.some(test => test(facts)) ? matched : mismatched)
  },
} satisfies AclType

const parts: Readonly<Record<string, (facts: AccessFacts) => boolean>> = {
  request: facts => facts.method !== '',
  response: facts => facts.responseStatus !== 0,
  ALE: () => true,
}
