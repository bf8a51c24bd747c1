import { describe, expect, test } from 'vitest'
import { type HeadLimits, parseRequestHead, usualHeadLimits } from '../../src/http/index.ts'

// Guards what becomes of `user:password@` in a target. Sees it in heads that are read where it may be (forward ports) and
// where it may not. test/differential/user-information.test.ts asks Squid the same.

const allowed: HeadLimits = { ...usualHeadLimits, takesUser: true }

const read = (target: string, fields = '', limits = allowed, method = 'GET') => {
  const bytes = Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`, 'latin1')
  const answer = parseRequestHead(bytes, 0, bytes.length, limits)
  if (answer.kind !== 'head') return answer.kind === 'bad' ? answer.why : answer.kind
  const { head, end } = answer
  expect(end).toBe(bytes.length)
  const logins = head.fields.pairs.filter((_, i) => i % 2 === 1 && head.fields.pairs[i - 1] === 'Authorization')
  const decoded = logins.map(value => (value.startsWith('Basic ') ? Buffer.from(value.slice(6), 'base64').toString('latin1') : value))
  return { target: head.target, host: head.absolute?.host, path: head.absolute?.path, logins: decoded }
}

describe('becomes Authorization', () => {
  test.each([
    ['http://user:pass@a.test/x?y@z', '/x?y@z', ['user:pass']],
    ['http://user@a.test/', '/', ['user:']],
    ['http://user:@a.test/', '/', ['user:']],
    ['http://:pass@a.test/', '/', [':pass']],
    ['http://u:a:b@a.test', '/', ['u:a:b']],
    ['http://u:p%40x%3A%2f@a.test?q', '/?q', ['u:p@x:/']],
    ['http://u:%e4%FF@a.test/', '/', ['u:\xe4\xff']],
    ["http://a-b._~!$&'()*+,;=:x@a.test/", '/', ["a-b._~!$&'()*+,;=:x"]],
    ['https://u:p@a.test/', '/', ['u:p']],
    ['HTTP://u:p@A.TEST/', '/', ['u:p']],
  ])('%s', (target, path, logins) => {
    expect(read(target)).toEqual({ target: target.replace(/^(\w+:\/\/)[^@]*@/, '$1'), host: 'a.test', path, logins })
  })

  test('nothing at all before the @: nothing', () => {
    expect(read('http://@a.test/')).toMatchObject({ target: 'http://a.test/', logins: [] })
  })

  test('what the client says in a field of its own counts', () => {
    expect(read('http://u:p@a.test/', 'Authorization: Bearer t\r\n')).toMatchObject({ target: 'http://a.test/', logins: ['Bearer t'] })
  })

  test('is not remembered for the next request', () => {
    read('http://u:p@a.test/')
    for (const target of ['/', 'http://a.test/']) expect(read(target)).toMatchObject({ logins: [] })
    expect(read('*', '', allowed, 'OPTIONS')).toMatchObject({ logins: [] })
  })
})

describe('is refused', () => {
  test.each([
    'http://u@v@a.test/', // which @ is it
    'http://a.test\\@b.test/',
    'http://u:"@a.test/',
    'http://u[v]@a.test/',
    'http://u%@a.test/', 'http://u%4@a.test/', 'http://u%4g@a.test/',
    'http://u%3Av:p@a.test/', // where does the name end
    'http://u%0d%0aX:p@a.test/', 'http://u:p%00@a.test/', 'http://u:p%7f@a.test/',
    'http://u:p@/', 'http://u:p@', 'http://u:p@?x', 'http://u:p@:80/', 'http://@/',
    'ftp://u:p@a.test/',
  ])('%s', target => expect(read(target)).toBe('target'))

  test('where ports do not take it, and in CONNECT', () => {
    expect(read('http://u:p@a.test/', '', usualHeadLimits)).toBe('target')
    expect(read('http://@a.test/', '', usualHeadLimits)).toBe('target')
    expect(read('u:p@a.test:443', '', allowed, 'CONNECT')).toBe('target-form')
  })

  test('in Host', () => {
    const bytes = Buffer.from('GET http://u:p@a.test/ HTTP/1.1\r\nHost: u:p@a.test\r\n\r\n')
    expect(parseRequestHead(bytes, 0, bytes.length, allowed)).toMatchObject({ why: 'host' })
  })
})
