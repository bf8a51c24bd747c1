import { expect, test } from 'vitest'
import { invalidatedKeys, invalidatedUris, supersedesStored } from '../../src/cache/index.ts'
import { parseAbsolute, type TargetUri } from '../../src/http/index.ts'
import { fieldsOf } from './kit.ts'

// Guards RFC 9111 4.4. Sees it in the URIs an exchange invalidates.

const target = parseAbsolute('http://a.example/d/x?q') as TargetUri // a constant that parses
const own = 'http://a.example/d/x?q'

test.each<[string, string, number, string[], string[]]>([
  ['POST 200', 'POST', 200, [], [own]],
  ['PUT 204', 'PUT', 204, [], [own]],
  ['DELETE 301', 'DELETE', 301, [], [own]],
  ['M-SEARCH, which nobody told us is safe', 'M-SEARCH', 200, [], [own]],
  ['PATCH 399', 'PATCH', 399, [], [own]],
  ['POST 400', 'POST', 400, [], []],
  ['POST 500', 'POST', 500, [], []],
  ['POST 100', 'POST', 100, [], []],
  ['GET', 'GET', 200, ['Location: /y'], []],
  ['HEAD', 'HEAD', 200, [], []],
  ['OPTIONS', 'OPTIONS', 200, [], []],
  ['TRACE', 'TRACE', 200, [], []],
  ['get, which is another method', 'get', 200, [], [own]],
  ['Location of the same origin', 'POST', 201, ['Location: http://a.example/y'], [own, 'http://a.example/y']],
  ['Location, relative', 'POST', 201, ['Location: y'], [own, 'http://a.example/d/y']],
  ['Location with the port spelled out', 'POST', 201, ['Location: http://A.example:80/y'], [own, 'http://a.example/y']],
  ['Location with a fragment', 'POST', 201, ['Location: /y#z'], [own, 'http://a.example/y']],
  ['Content-Location', 'PUT', 200, ['Content-Location: /y'], [own, 'http://a.example/y']],
  ['both', 'PUT', 200, ['Location: /y', 'Content-Location: /z'], [own, 'http://a.example/y', 'http://a.example/z']],
  ['Location that is the URI itself', 'PUT', 200, ['Location: /d/x?q'], [own]],
  ['Location of another host', 'POST', 201, ['Location: http://b.example/y'], [own]],
  ['Location of another port', 'POST', 201, ['Location: http://a.example:8080/y'], [own]],
  ['Location of another scheme', 'POST', 201, ['Location: https://a.example/y'], [own]],
  ['Location that cannot be read', 'POST', 201, ['Location: http://[/'], [own]],
])('%s', (_, method, status, fields, uris) => {
  expect(invalidatedUris(method, status, target, fieldsOf(...fields))).toEqual(uris)
})

test('as keys: what GET and what HEAD stored', () => {
  expect(invalidatedKeys('PUT', 200, target, fieldsOf())).toEqual([own, `HEAD ${own}`])
})

test('an answer to GET that is not stored still ends what is stored, unless it is an error that passes', () => {
  const yes = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 410]
  const no = [206, 304, 400, 401, 403, 429, 500, 502, 503, 504]
  expect(yes.filter(status => !supersedesStored('GET', status))).toEqual([])
  expect(no.filter(status => supersedesStored('GET', status))).toEqual([])
  expect(supersedesStored('HEAD', 200)).toBe(false)
})
