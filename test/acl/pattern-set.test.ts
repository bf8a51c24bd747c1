import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileTree } from '../../src/acl/regex/compile-regex.ts'
import { factorsOf, literalsOf } from '../../src/acl/regex/literals.ts'
import { patternSet } from '../../src/acl/regex/pattern-set.ts'
import { parsePosixRegex, type PosixTree } from '../../src/acl/regex/posix-regex.ts'

// Guards that a list of patterns answers as its patterns would one by one, whichever way it is searched.

const tree = (pattern: string, folded = false): PosixTree => {
  const parsed = parsePosixRegex(pattern, folded)
  if (!parsed.ok) throw new Error(`${pattern}: ${parsed.message}`)
  return parsed
}

describe('literals', () => {
  test.each([
    ['foo', [['foo', false, false]]],
    ['^foo', [['foo', true, false]]],
    ['foo$', [['foo', false, true]]],
    ['^foo\\.bar$', [['foo.bar', true, true]]],
    ['(^|\\.)x\\.org$', [['x.org', true, true], ['.x.org', false, true]]],
    ['\\.(gif|jpe?g)$', [['.gif', false, true], ['.jpeg', false, true], ['.jpg', false, true]]],
    ['[ab]c', [['ac', false, false], ['bc', false, false]]],
  ])('%s is plain text', (pattern, expected) => {
    expect(literalsOf(tree(pattern).root)?.map(l => [l.text, l.atStart, l.atEnd])).toEqual(expected)
  })

  test.each(['a.c', 'a*', 'foo.*', '\\bfoo', '(^a|b)^c', '', '^$', 'x{2}'])('%s is not', pattern => {
    expect(literalsOf(tree(pattern).root)).toBeNull()
  })

  test.each([
    ['foo.*bar', ['foo']],
    ['a.*banner[0-9]', ['banner']],
    ['(advert|banner).*\\.gif', ['advert', 'banner']],
    ['(x|doubleclick).*', null],
    ['[a-z]+', null],
    ['(foo)+', ['foo']],
    ['(foo)*', null],
  ])('%s needs one of %j', (pattern, expected) => {
    expect(factorsOf(tree(pattern).root)).toEqual(expected)
  })
})

const words = ['ads', 'ban', 'x', '.gif', '.', 'foo', 'Foo', '/', 'bar']
const pattern = fc.oneof(
  fc.array(fc.constantFrom('ads', 'ban', 'x', '\\.gif', 'foo', '/', 'bar', '(a|b)', '[fb]'), { minLength: 1, maxLength: 3 }).map(p => p.join('')),
  fc.array(fc.constantFrom('ads', '.*', 'foo', '[a-z]', 'x*', '\\.', 'bar', '(foo|bar)+', '\\bfoo', 'b{2}'), { minLength: 1, maxLength: 4 }).map(p => p.join('')),
)
const anchored = fc.tuple(fc.constantFrom('', '^', '(^|/)'), pattern, fc.constantFrom('', '$', '(/|$)')).map(p => p.join(''))
const subject = fc.array(fc.constantFrom(...words), { maxLength: 6 }).map(p => p.join(''))

test('a list answers as its patterns do one by one', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anchored, fc.boolean()), { maxLength: 24 }), fc.array(subject, { minLength: 1, maxLength: 8 }), (patterns, subjects) => {
      const trees = patterns.map(([text, folded]) => tree(text, folded))
      const set = patternSet(trees)
      for (const s of subjects) {
        const naive = trees.some(t => compileTree(t)(s) === 1) ? 1 : 0
        expect(set.test(s), JSON.stringify(s)).toBe(naive)
      }
    }),
    { numRuns: 400 },
  )
})

test('thousands of names are one pass, and still exact', () => {
  const names = Array.from({ length: 3000 }, (_, i) => `host${i * 7}`)
  const set = patternSet(names.map(name => tree(`(^|\\.)${name}\\.example$`)))
  for (const name of names) {
    expect(set.test(`${name}.example`)).toBe(1)
    expect(set.test(`www.${name}.example`)).toBe(1)
    expect(set.test(`x${name}.example`)).toBe(0)
    expect(set.test(`${name}.example.org`)).toBe(0)
  }
})

test('references keep their own groups in a list', () => {
  const set = patternSet([...Array.from({ length: 10 }, (_, i) => tree(`(q${i}).*(z)`)), tree('^(a|b)x\\1$')])
  expect(set.test('axa')).toBe(1)
  expect(set.test('axb')).toBe(0)
})
