import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileAcls } from '../../src/acl/index.ts'
import { acl, factsOf, matches, remarks } from './kit.ts'

// Guards dstdomain: the forms of a value, and the table against a naive comparison.

const host = (value: string, name: string): boolean => matches(acl('a', 'dstdomain', value), factsOf({ host: name }))

describe('values', () => {
  test.each([
    ['x.org', ['x.org', 'X.ORG', 'x.org.'], ['www.x.org', 'ax.org', 'org', '']],
    ['.x.org', ['x.org', 'www.x.org', 'a.b.x.org', 'WWW.X.Org.'], ['ax.org', 'x.org.uk', 'org', '.']],
    ['.X.Org', ['www.x.org'], ['y.org']],
    ['*.x.org', ['x.org', 'www.x.org'], ['ax.org']],
    ['.org', ['x.org', 'org'], ['org.uk']],
    ['192.0.2.1', ['192.0.2.1'], ['192.0.2.11', '2.1']],
    ['[2001:db8::1]', ['2001:db8::1'], ['2001:db8::11']],
    ['2001:DB8:0::1', ['2001:db8::1'], ['2001:db8::2']],
    ['x.org.', ['x.org'], ['www.x.org']],
    ['.b\u00fccher.example', ['www.xn--bcher-kva.example'], ['b\u00fccher.example']],
  ])('%s', (value, inside, outside) => {
    for (const name of inside) expect(host(value, name), name).toBe(true)
    for (const name of outside) expect(host(value, name), name).toBe(false)
  })

  test.each([
    ['*.x.org', "warning: '*.x.org' is read as '.x.org' [write .x.org]"],
    ['http://x.org/', "warning: 'http://x.org/' is a URL and matches nothing [write x.org, or use url_regex]"],
    ['x.org:443', "warning: 'x.org:443' has a port and matches nothing [write x.org]"],
    ['x.org/path', "warning: 'x.org/path' is no domain name and matches nothing [use url_regex]"],
    ['www*.x.org', "warning: 'www*.x.org' is no domain name and matches nothing [use dstdom_regex]"],
    ['.', "warning: '.' is no domain name"],
    ['.b\u00fccher.example', "warning: '.b\u00fccher.example' is read as '.xn--bcher-kva.example' [that is how the name travels]"],
  ])('%s: %s', (value, expected) => {
    expect(remarks(acl('a', 'dstdomain', value))).toEqual([expected])
  })

  test('names covered by a wider one are told, equal ones are not', () => {
    expect(remarks(acl('a', 'dstdomain', '.x.org www.x.org .b.x.org x.org y.org y.org .z.org .z.org'))).toEqual([
      "warning: 'www.x.org' is covered by a wider name in ACL 'a' [it can be removed]",
      "warning: '.b.x.org' is covered by a wider name in ACL 'a' [it can be removed]",
      "warning: 'x.org' is covered by a wider name in ACL 'a' [it can be removed]",
    ])
  })
})

const label = fc.constantFrom('a', 'b', 'ab', 'www', 'org', 'A', 'x-1')
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map(labels => labels.join('.'))

test('the table answers as a naive comparison does', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.boolean()), { maxLength: 40 }), fc.array(name, { minLength: 1, maxLength: 30 }), (values, hosts) => {
      const { acls } = compileAcls([acl('a', 'dstdomain', ['none.invalid', ...values.map(([n, below]) => (below ? `.${n}` : n))])])
      for (const h of hosts) {
        const text = h.toLowerCase()
        const naive = values.some(([n, below]) => text === n.toLowerCase() || (below && text.endsWith(`.${n.toLowerCase()}`)))
        expect(acls.get('a')?.match(factsOf({ host: h })), h).toBe(naive ? 1 : 0)
      }
    }),
    { numRuns: 300 },
  )
})

test('a hundred thousand names, none mistaken', () => {
  const names = Array.from({ length: 100_000 }, (_, i) => `.n${(i * 2654435761) % 4294967296}.example`)
  const { acls } = compileAcls([acl('a', 'dstdomain', names)])
  const match = (h: string) => acls.get('a')?.match(factsOf({ host: h }))
  for (let i = 0; i < names.length; i += 97) {
    const bare = names[i]?.slice(1) ?? ''
    expect([match(bare), match(`www.${bare}`), match(`x${bare}`), match(`${bare}.org`)]).toEqual([1, 1, 0, 0])
  }
})
