import type { AccessFacts } from '../access-facts.ts'
import type { AclSource, AclType, Matcher } from '../acl.ts'
import { matched, mismatched } from '../match.ts'
import { NumberRanges } from '../value/number-ranges.ts'

/** The port of the target URI. */
export const port = {
  fact: facts => `port ${facts.port}`,
  compile: source => portMatcher(source, facts => facts.port),
} satisfies AclType

export const portMatcher = (source: AclSource, portOf: (facts: AccessFacts) => number): Matcher => {
  const ports = new NumberRanges()
  for (const value of source.definition.values) {
    const read = ports.add(value.text)
    if (read === 'ok') continue
    const what = read === 'bad' ? `'${value.text}' is no port and no range of ports` : `the range '${value.text}' ends before it begins`
    source.report('fatal', value.at, what, 'write 80 or 1025-65535')
  }
  return facts => (ports.has(portOf(facts)) ? matched : mismatched)
}
