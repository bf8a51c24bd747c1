import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { armRegexGuard, compilePosixRegex } from '../../src/acl/index.ts'
import { automaton } from '../../src/acl/regex/automaton.ts'
import { compileTree } from '../../src/acl/regex/compile-regex.ts'
import { emitJs } from '../../src/acl/regex/emit.ts'
import { parsePosixRegex } from '../../src/acl/regex/posix-regex.ts'
import { steppedMatcher } from '../../src/acl/regex/stepped.ts'

// Guards that a pattern of a conf means what glibc's regcomp(REG_EXTENDED) would make of it, and that none can hang the
// loop. The answers below are glibc 2.36's; each is asked of all three engines: V8's, the automaton and the
// counting matcher.

type Row = readonly [pattern: string, matching: readonly string[], others: readonly string[]]

const table: readonly Row[] = [
  // in brackets a backslash is a character
  ['^[\\.]$', ['\\', '.'], ['a']],
  ['^[\\/]$', ['\\', '/'], ['x']],
  ['^[\\w-]$', ['\\', 'w', '-'], ['a']],
  // letters behind a backslash are letters
  ['^\\d$', ['d'], ['7']],
  ['^\\D$', ['D'], ['x']],
  ['^\\t\\n\\x41$', ['tnx41'], ['\t\nA', '\t\nx41']],
  ['^\\w\\W\\s\\S$', ['a- b', '_. .'], ['aa b']],
  ['\\bfoo\\b', ['a foo b', 'foo'], ['foobar']],
  ['o\\Bo', ['foo'], ['f o']],
  ['\\<foo', ['a foobar', 'foo'], ['xfoo']],
  ['foo\\>', ['xfoo', 'foo.'], ['foobar']],
  ["\\`foo\\'", ['foo'], ['xfoo', 'foox']],
  // brackets
  ['^[]abc]$', [']', 'a'], ['d']],
  ['^[^]abc]$', ['d', '['], [']', 'a']],
  ['^[a-]$', ['a', '-'], ['b']],
  ['^[[:alpha:]]+$', ['abcXYZ'], ['ab1']],
  ['^[[:alnum:]_]+$', ['a1_'], ['a-1']],
  ['^[[:xdigit:]]+$', ['09afAF'], ['g']],
  ['^[[:space:]]$', [' ', '\t', '\v'], ['x']],
  ['^[[.-.]]$', ['-'], ['.']],
  ['^[[=a=]b]$', ['a', 'b'], ['=']],
  ['^[+--]$', ['+', ',', '-'], ['.']],
  ['^[[.a.]-c]$', ['a', 'b', 'c'], ['d']],
  // unmatched
  ['a)', ['a)'], ['a']],
  ['^a]$', ['a]'], ['a']],
  ['^a}$', ['a}'], ['a']],
  // repetitions
  ['^a{,2}$', ['', 'a', 'aa'], ['aaa']],
  ['^a{2}$', ['aa'], ['a', 'aaa']],
  ['^a{2,}$', ['aa', 'aaaa'], ['a']],
  ['^a{0}b$', ['b'], ['ab']],
  ['^a**$', ['', 'aaa'], ['b']],
  ['^a+?$', ['', 'a', 'aaa'], ['b']],
  ['^a??$', ['', 'a'], ['aa']],
  ['^.*?b$', ['ab', 'aab'], ['a']],
  ['^(ab){2}{2}$', ['abababab'], ['abab']],
  // alternatives
  ['^()$', [''], ['a']],
  ['^(a|)$', ['', 'a'], ['b']],
  ['^(|b)$', ['', 'b'], ['a']],
  ['^(a||b)$', ['', 'a', 'b'], ['c']],
  ['a|b', ['xax', 'xbx'], ['c']],
  // anchors anywhere
  ['a^b', [], ['a^b', 'ab']],
  ['a$b', [], ['a$b', 'ab']],
  ['(^|/)x', ['x', 'a/x'], ['ax']],
  ['^a|b$', ['ax', 'xb'], ['xax']],
  ['^.$', ['\n', 'a', '\xe9'], ['']],
  ['a\nb$', ['a\nb'], ['a\nb\n']],
  // escapes of what is special
  ['^\\.\\*\\[\\]\\(\\)\\{\\}\\^\\$\\|\\\\\\+\\?$', ['.*[](){}^$|\\+?'], ['x']],
  // back references
  ['^(a|b)\\1$', ['aa', 'bb'], ['ab']],
  ['^(a*)b\\1$', ['b', 'aba', 'aabaa'], ['aab']],
  ['(a)\\1(b)\\2', ['aabb'], ['aab']],
]

const folded: readonly Row[] = [
  ['^abc$', ['ABC', 'aBc'], ['abd']],
  ['^[a-c]+$', ['ABCabc'], ['d']],
  ['^[A-z]+$', ['azAZ'], ['_', '[']], // glibc folds the ends: A-Z
  ['^[^a]$', ['b'], ['a', 'A']],
  ['^[[:upper:]]+$', ['aZ'], ['1']],
  ['^[[:lower:]]+$', ['aZ'], ['1']],
  ['^(a)\\1$', ['aA', 'Aa'], ['ab']],
  ['^\\w$', ['a', 'A'], ['-']],
  ['\xe9', ['\xc3\xa9'], ['\xc3\x89']], // bytes beyond ASCII are no letters
]

const answersOf = (pattern: string, caseInsensitive: boolean, subject: string): number[] => {
  const tree = parsePosixRegex(pattern, caseInsensitive)
  if (!tree.ok) throw new Error(`${pattern}: ${tree.message}`)
  const own = automaton(tree)
  const stepped = steppedMatcher(tree)(subject)
  return [compileTree(tree)(subject), own === null ? stepped : own(subject), stepped]
}

describe('a pattern means what glibc makes of it', () => {
  test.each(table.map(row => [row[0], row] as const))('%s', (_, [pattern, matching, others]) => {
    for (const subject of matching) expect(answersOf(pattern, false, subject), JSON.stringify(subject)).toEqual([1, 1, 1])
    for (const subject of others) expect(answersOf(pattern, false, subject), JSON.stringify(subject)).toEqual([0, 0, 0])
  })

  test.each(folded.map(row => [row[0], row] as const))('-i %s', (_, [pattern, matching, others]) => {
    for (const subject of matching) expect(answersOf(pattern, true, subject), JSON.stringify(subject)).toEqual([1, 1, 1])
    for (const subject of others) expect(answersOf(pattern, true, subject), JSON.stringify(subject)).toEqual([0, 0, 0])
  })

  test('characters beyond ASCII are their UTF-8 bytes', () => {
    expect(answersOf('^caf\u00e9$', false, 'caf\xc3\xa9')).toEqual([1, 1, 1])
    expect(answersOf('^.{6}$', false, '\xe2\x82\xac\xe2\x82\xac')).toEqual([1, 1, 1])
  })
})

describe('what glibc refuses is refused, with the place', () => {
  test.each([
    ['a{', 2, /no repetition/],
    ['a{x}', 2, /no repetition/],
    ['{1}', 1, /nothing before/],
    ['*a', 1, /nothing before/],
    ['(*a)', 2, /nothing before/],
    ['a|*b', 3, /nothing before/],
    ['^*', 2, /nothing before/],
    ['$+', 2, /nothing before/],
    ['x\\b*', 4, /nothing before/],
    ['(a', 1, /never closed/],
    ['[a', 1, /never closed/],
    ['[]', 1, /never closed/],
    ['[[:alpha:]', 1, /never closed/],
    ['[[:letter:]]', 2, /no class/],
    ['[[.ab.]]', 2, /no single/],
    ['[b-a]', 2, /ends before/],
    ['[a-b-c]', 5, /middle/],
    ['a{2,1}', 2, /ends before/],
    ['a{40000}', 2, /32767/],
    ['a\\', 2, /backslash/],
    ['\\1', 1, /not there/],
    ['(a\\1)', 3, /not there/],
    ['(?:a)', 2, /Perl/],
    ['a(?=b)', 3, /Perl/],
  ])('%s', (pattern, position, message) => {
    const answer = compilePosixRegex(pattern, false)
    expect(answer).toMatchObject({ ok: false, position })
    expect(answer).toHaveProperty('message', expect.stringMatching(message))
  })

  test('legal, but hardly meant: the remark names the place and the remedy', () => {
    expect(compilePosixRegex('^a\\d+\\.', false)).toMatchObject({
      ok: true,
      remarks: [{ position: 3, message: '\\d is the letter d', hint: 'did you mean [0-9]?' }],
    })
  })

  test('deep nesting is refused instead of ending the stack', () => {
    expect(compilePosixRegex('('.repeat(5000) + ')'.repeat(5000), false)).toMatchObject({ ok: false })
  })
})

describe('no pattern hangs the loop', () => {
  // the first ones take longer than the age of the world by plain backtracking, the last ones the square of a long subject
  const catastrophes: readonly (readonly [string, boolean])[] = [
    ['(a+)+$', false],
    ['(a+)+$', true],
    ['^(a|a)*$', true],
    ['(a|aa)+$', false],
    ['(a*)*b', true],
    ['(.*)*x(.*)*y', false],
    ['((a{1,20})+)+$', false],
    ['((a{1,17}){1,17})+$', true],
    ['(a?){60}a{60}$', false],
    ['(a?){3000}b', false],
    ['^([a-zA-Z]+)*$', true],
    ['\\<(a+)+\\>z', false],
    ['((((((a+)+)+)+)+)+)+$', false],
    ['a*z', false],
    ['[a-z]+[0-9]+[a-z]+$', false],
    ['.*foo.*bar.*baz', true],
    ['((((.[ab]){12}){3,}){12}.)+z', false],
  ]

  test('V8 leaves exponential ones to its linear engine', () => {
    expect(armRegexGuard().armed).toBe(true)
    expect(armRegexGuard().linear('(?:a+)+$')).toBe(true)
    expect(armRegexGuard().linear('(a)\\1')).toBe(false)
  })

  test.each(catastrophes)('%s, folded %s', (pattern, caseInsensitive) => {
    const regex = compilePosixRegex(pattern, caseInsensitive)
    if (!regex.ok) throw new Error(regex.message)
    for (const length of [30, 250, 300, 60_000]) expect(regex.test(`${'a'.repeat(length)}!`)).not.toBe(1)
  })

  test('a long subject is answered as a short one', () => {
    const regex = compilePosixRegex('^http://[^/]+/(a+)+z?!$', true)
    if (!regex.ok) throw new Error(regex.message)
    for (const length of [1, 200, 60_000]) {
      expect(regex.test(`http://x/${'a'.repeat(length)}Z!`)).toBe(1)
      expect(regex.test(`http://x/${'a'.repeat(length)}zz!`)).toBe(0)
    }
  })

  test('a length is a pattern too', () => {
    for (const [pattern, shortest] of [['.{8000,}', 8000], ['^.{5000}', 5000], ['.{6000,7000}', 6000]] as const) {
      const regex = compilePosixRegex(pattern, false)
      if (!regex.ok) throw new Error(regex.message)
      expect([regex.test('x'.repeat(shortest - 1)), regex.test('x'.repeat(shortest)), regex.test('x'.repeat(60_000))], pattern).toEqual([0, 1, 1])
    }
  })

  test('back references run in counted steps and say when they ran out', () => {
    const regex = compilePosixRegex('^(a+)+\\1(a+)+\\1$', false)
    if (!regex.ok) throw new Error(regex.message)
    expect(regex.test('aaaa')).toBe(1)
    expect(regex.test(`${'a'.repeat(300)}!`)).toBe(3)
    expect(regex.test('aaaa')).toBe(1)
  })

  test('the emitted source needs no i flag, which would switch the guard off', () => {
    const tree = parsePosixRegex('a[b-c]D', true)
    expect(tree.ok && emitJs(tree)).toBe('[Aa][\\x42-\\x43\\x62-\\x63][Dd]')
    expect(() => new RegExp('(?:a+)+$', 'il')).toThrow(/linear/)
  })

  test('the automaton begins its table anew when it is full, and goes on', () => {
    // more sets of steps than the table holds: which of the last 14 bytes were a
    const tree = parsePosixRegex('a.{14}z', false)
    if (!tree.ok) throw new Error(tree.message)
    const own = automaton(tree)
    if (own === null) throw new Error('too large')
    let noise = 1
    const text = Array.from({ length: 12_000 }, () => ((noise = (noise * 48271) % 2147483647) & 1 ? 'a' : 'b')).join('')
    expect(own(text)).toBe(0)
    expect(own(`${text}a${'b'.repeat(14)}z`)).toBe(1)
    expect(own(`${text}b${'b'.repeat(14)}z`)).toBe(0)
  })
})

// patterns of all constructs, small enough that plain backtracking ends
const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\w', '\\.', '-', '(a|b)', '(a*)', '()', '[[:alpha:]]', '(a|)')
const piece = fc.tuple(atom, fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,2}', '{,1}', '{2,}')).map(p => p.join(''))
const pattern = fc
  .array(fc.oneof({ weight: 6, arbitrary: piece }, fc.constantFrom('^', '$', '|', '\\b', '\\B', '\\<', '\\>')), { minLength: 1, maxLength: 6 })
  .map(parts => parts.join(''))
const subject = fc.array(fc.constantFrom('a', 'b', 'A', 'B', '-', '.', '_', ' '), { maxLength: 9 }).map(c => c.join(''))

test('the three engines agree on every pattern', () => {
  fc.assert(
    fc.property(pattern, fc.boolean(), fc.array(subject, { minLength: 1, maxLength: 4 }), (text, caseInsensitive, subjects) => {
      for (const s of subjects) {
        const [native, own, stepped] = answersOf(text, caseInsensitive, s)
        expect([native, own], JSON.stringify(s)).toEqual([stepped, stepped])
      }
    }),
    { numRuns: 1500 },
  )
})
