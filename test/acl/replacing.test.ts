// Patterns with a text made of what they found: groups are counted as written, and no subject makes one slow.

import { describe, expect, it } from 'vitest'
import { compileReplacing } from '../../src/acl/index.ts'

const made = (pattern: string, replacement: string, subject: string, ignoreCase = false): string | null => {
  const compiled = compileReplacing(pattern, ignoreCase, replacement)
  if (!compiled.ok) throw new Error(compiled.message)
  return compiled.replaced(subject)
}

it.each([
  ['^http://[a-z0-9]+\\.m\\.org/(.*)$', 'http://m/$1', 'http://a1.m.org/x/y?z', 'http://m/x/y?z'],
  ['^http://[a-z0-9]+\\.m\\.org/(.*)$', 'http://m/$1', 'http://am.org/x', null],
  ['(a)(b)?(c)', '$3$2$1$$1', 'xacx', 'ca$1'],
  ['((a|b)+)c', '[$1][$2]', 'abac', '[aba][a]'],
  ['b+', '<$0>', 'abbbc', '<bbb>'],
  ['', 'x', 'anything', 'x'],
  ['(a)(b)(c)(d)(e)(f)(g)(h)(i)', '$9$8$1', 'abcdefghi', 'iha'],
])('%s with %s of %s is %s', (pattern, replacement, subject, expected) => {
  expect(made(pattern, replacement, subject)).toBe(expected)
})

it('knows no case where it should not', () => {
  expect(made('^HTTP://A/(.)', '$1', 'http://a/B', true)).toBe('B')
  expect(made('^HTTP://A/(.)', '$1', 'http://a/B')).toBe(null)
})

describe('is refused', () => {
  it.each([
    ['(', '$1', ''],
    ['(a)\\1', '$1', 'linear time'],
    ['(a)(b)', '$3', '$3 is written, and the pattern has 2 groups'],
    ['a', '$1', 'has 0 groups'],
  ])('%s with %s', (pattern, replacement, why) => {
    expect(compileReplacing(pattern, false, replacement)).toMatchObject({ ok: false, message: expect.stringContaining(why) })
  })
})

// a backtracking matcher takes 2^30 steps for the first, and 10^10 for the second
it.each(['^(x+x+)+y$', '(x*)*(x*)*(x*)*y'])('%s on a long subject that nearly matches takes its time once, not again and again', pattern => {
  expect(made(pattern, '$1', 'x'.repeat(20_000))).toBe(null)
})
