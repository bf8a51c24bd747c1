import { expect, test } from 'vitest'
import { completed } from '../../src/cache/admit.ts'
import { fieldsOfHead, notModifiedHead } from '../../src/cache/index.ts'
import { dateAt, policyOf, storedOf } from './kit.ts'

// Guards what is kept of a response head (RFC 9111 3.1) and its serialised form. Sees it in the very text a hit sends.

const date = `Date: ${dateAt(0)}\r\n`

test('the head is the status line and the fields as they came, in order, open at its end', () => {
  const stored = storedOf({
    response: ['x-b: 1', 'Cache-Control: max-age=9', 'X-A: 2', 'x-b: 3', 'Content-Length: 4'],
    contentLength: 4,
  })
  expect(stored.head).toBe(
    `HTTP/1.1 200 OK\r\n${date}x-b: 1\r\nCache-Control: max-age=9\r\nX-A: 2\r\nx-b: 3\r\nContent-Length: 4\r\n`,
  )
})

test.each([
  'Connection: x',
  'Keep-Alive: timeout=5',
  'Proxy-Authenticate: Basic',
  'Proxy-Authentication-Info: x',
  'Proxy-Authorization: x',
  'Proxy-Connection: keep-alive',
  'TE: trailers',
  'Transfer-Encoding: chunked',
  'Upgrade: h2c',
  'Trailer: x',
  'Age: 1',
  'Set-Cookie: a=b',
])('%s is not kept', line => {
  const stored = storedOf({ response: ['Cache-Control: max-age=9', line, 'X-After: 1'] })
  expect(stored.head).toBe(`HTTP/1.1 200 OK\r\n${date}Cache-Control: max-age=9\r\nX-After: 1\r\n`)
})

test('what Connection lists is not kept', () => {
  const stored = storedOf({ response: ['Cache-Control: max-age=9', 'Connection: A, close', 'a: 1', 'b: 2'] })
  expect(stored.head).toBe(`HTTP/1.1 200 OK\r\n${date}Cache-Control: max-age=9\r\nb: 2\r\n`)
})

test.each(['no-cache', 'private'])('%s="…" takes the fields it names away, in any case', directive => {
  const control = `Cache-Control: max-age=9, ${directive}="A, x-b"`
  const stored = storedOf({ response: [control, 'a: 1', 'X-B: 2', 'c: 3'] })
  expect(stored.head).toBe(`HTTP/1.1 200 OK\r\n${date}${control}\r\nc: 3\r\n`)
})

test('reading the fields back gives what was written', () => {
  const stored = storedOf({ response: ['Cache-Control: max-age=9', 'Empty:', 'Colon: a: b', 'Latin: \xe9'] })
  expect(stored.fields().pairs).toEqual([
    'Date', dateAt(0), 'Cache-Control', 'max-age=9', 'Empty', '', 'Colon', 'a: b', 'Latin', '\xe9',
  ])
  expect(fieldsOfHead(stored.head).get('latin')).toBe('\xe9')
})

test('a response that came without a length has one once it is whole, and 204 never', () => {
  const stored = completed(storedOf({ response: ['Cache-Control: max-age=9'] }), [Buffer.from('abc')], 3)
  expect(stored.contentLength).toBe(3)
  expect(stored.head.endsWith('Cache-Control: max-age=9\r\nContent-Length: 3\r\n')).toBe(true)
  const empty = completed(storedOf({ status: 204, response: ['Cache-Control: max-age=9', 'Content-Length: 0'] }), [], 0)
  expect(empty.head).not.toContain('Content-Length')
})

test('what a HEAD brought keeps the length of the content we do not have', () => {
  const stored = completed(storedOf({ method: 'HEAD', response: ['Cache-Control: max-age=9', 'Content-Length: 77'] }), [], 0)
  expect(stored.head).toContain('Content-Length: 77\r\n')
  expect(stored.body).toEqual([])
})

test('a weak tag is kept as it came; one that cannot be read is not used', () => {
  expect(storedOf({ response: ['Cache-Control: max-age=9', 'ETag: W/"a"'] }).etag).toBe('W/"a"')
  expect(storedOf({ response: ['Cache-Control: max-age=9', 'ETag: a'] }).etag).toBe(null)
})

test('a redirect keeps its Location', () => {
  expect(storedOf({ status: 301, response: ['Cache-Control: max-age=9', 'Location: /y'] }).head).toContain('Location: /y\r\n')
})

test('the head of a 304 has what a client needs to update its copy, and nothing of the content', () => {
  const common = [
    'Cache-Control: max-age=9', 'Content-Location: /c', `Expires: ${dateAt(9)}`, 'Vary: Foo', 'Content-Type: text/css',
    'Content-Encoding: gzip', 'X-Other: 1', 'Via: 1.1 before', `Last-Modified: ${dateAt(-9)}`, 'Set-Cookie: a=b',
  ]
  const policy = policyOf({ setCookie: 'replay' })
  const tagged = notModifiedHead(storedOf({ response: [...common, 'ETag: "a"'], contentLength: 5 }, policy))
  expect(tagged).toBe(
    `HTTP/1.1 304 Not Modified\r\n${date}Cache-Control: max-age=9\r\nContent-Location: /c\r\nExpires: ${dateAt(9)}\r\n` +
      'Vary: Foo\r\nVia: 1.1 before\r\nSet-Cookie: a=b\r\nETag: "a"\r\n',
  )
  const untagged = notModifiedHead(storedOf({ response: common }))
  expect(untagged).toContain(`Last-Modified: ${dateAt(-9)}\r\n`)
})
