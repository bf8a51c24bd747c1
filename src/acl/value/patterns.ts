import { mismatched } from '../match.ts'
import type { AclSource, Matcher } from '../acl.ts'
import type { AccessFacts } from '../access-facts.ts'
import { fitsAutomaton } from '../regex/automaton.ts'
import { patternSet } from '../regex/pattern-set.ts'
import { parsePosixRegex, type PosixTree } from '../regex/posix-regex.ts'

/** The values of a regex type as one set; what is wrong with a value is reported at its place in the pattern. */
export const readPatterns = (source: AclSource): ReturnType<typeof patternSet> => {
  const trees: PosixTree[] = []
  const seen = new Set<string>()
  for (const value of source.definition.values) {
    const key = `${value.caseInsensitive ? 'i' : 'c'}${value.text}`
    if (seen.has(key)) continue
    seen.add(key)
    const tree = parsePosixRegex(value.text, value.caseInsensitive)
    if (tree.ok) {
      trees.push(tree)
      for (const remark of tree.remarks) {
        const where = `regex '${value.text}', character ${remark.position}`
        source.report('warning', value.at, `${where}: ${remark.message}`, remark.hint)
      }
      if (!fitsAutomaton(tree)) {
        const why = tree.references ? 'refers back' : 'is very large'
        const slow = 'it is slow, and a text it takes too long for is refused'
        source.report('warning', value.at, `regex '${value.text}' ${why}: ${slow}`)
      }
    } else {
      // Squid drops the pattern and goes on, which turns a block list into less of one
      const where = `invalid regex '${value.text}', character ${tree.position}`
      source.report('error', value.at, `${where}: ${tree.message}`, tree.hint)
    }
  }
  return patternSet(trees)
}

/** For types that match a text of the request. A text that is not there matches nothing, not even `.*`. */
export const patternMatcher = (source: AclSource, text: (facts: AccessFacts) => string | undefined): Matcher => {
  const patterns = readPatterns(source)
  return facts => {
    const subject = text(facts)
    return subject === undefined ? mismatched : patterns.test(subject)
  }
}
