import { expect, it, test } from 'vitest'
import { dateAt, gate, get, origin, request, site, stage, type Stage, taken } from './scene.ts'

// Cache-Status (RFC 9211) as clients get it. Seen by a reader that takes exactly what a list of structured fields may be
// (RFC 9651 4.2), and by what the origin was really asked meanwhile.

interface Member {
  readonly name: string
  readonly parameters: Readonly<Record<string, string | number | true>>
}

/** Throws where the text is no list of items with parameters. */
const members = (text: string): Member[] => {
  let i = 0
  const take = (pattern: RegExp): string => {
    const found = pattern.exec(text.slice(i))
    if (found === null || found.index !== 0) throw new Error(`no ${pattern} at ${i} of ${text}`)
    i += found[0].length
    return found[0]
  }
  const item = (): string | number => {
    if (text[i] === '"') return take(/"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/).slice(1, -1).replace(/\\(.)/g, '$1')
    return /[-0-9]/.test(text[i] ?? '') ? Number(take(/-?[0-9]{1,15}(?![.0-9])/)) : take(/[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*/)
  }
  const all: Member[] = []
  for (;;) {
    const name = String(item())
    const parameters: Record<string, string | number | true> = {}
    while (text[i] === ';') {
      take(/; */)
      const key = take(/[a-z*][a-z0-9_.*-]*/)
      const given = text[i] === '='
      if (given) i++
      parameters[key] = given ? item() : true
    }
    all.push({ name, parameters })
    if (i === text.length) return all
    take(/[ \t]*,[ \t]*/)
  }
}

const said = async (proxy: Stage, text: string, method = 'GET') => {
  const response = await proxy.ask(text, method)
  return members(response.fields.joined('cache-status') ?? '').map(({ name, parameters }) => ({ name, ...parameters }))
}

const name = 'proxy.test'

it('tells a miss that is stored, the hit, and what a 304 has confirmed', async () => {
  const proxy = await stage()
  const server = await site((_, nth) => (nth === 1 ? { status: 304, fields: ['ETag: "a"'] } : { fields: ['Cache-Control: max-age=10', 'ETag: "a"'], content: 'x' }))
  expect(await said(proxy, get(server.port))).toEqual([{ name, fwd: 'uri-miss', stored: true }])
  proxy.clock.advance(3000)
  expect(await said(proxy, get(server.port))).toEqual([{ name, hit: true, ttl: 7 }])
  proxy.clock.advance(9000)
  expect(await said(proxy, get(server.port, '/', 'Cache-Control: max-stale'))).toEqual([{ name, hit: true, ttl: -2, detail: 'client-max-stale' }])
  expect(await said(proxy, get(server.port))).toEqual([{ name, fwd: 'stale', 'fwd-status': 304, ttl: 10, stored: true }])
  expect(await said(proxy, get(server.port, '/', 'Cache-Control: no-cache'))).toEqual([{ name, fwd: 'request', stored: true }])
})

test.each<[string, readonly string[], Record<string, string>]>([
  ['no-store', ['Cache-Control: no-store'], { fwd: 'uri-miss', detail: 'no-store' }],
  ['private', ['Cache-Control: private'], { fwd: 'uri-miss', detail: 'private' }],
  ['Vary: *', ['Cache-Control: max-age=9', 'Vary: *'], { fwd: 'uri-miss', detail: 'vary-star' }],
])('why what says %s is not stored', async (_, fields, expected) => {
  const proxy = await stage()
  const server = await site(() => ({ fields, content: 'x' }))
  expect(await said(proxy, get(server.port))).toEqual([{ name, ...expected }])
})

it('tells other variants, methods, and what is not for a cache', async () => {
  const proxy = await stage('acl no urlpath_regex ^/no\ncache deny no\n')
  const server = await site(() => ({ fields: ['Cache-Control: max-age=10', 'Vary: Foo'], content: 'x' }))
  await said(proxy, get(server.port, '/', 'Foo: 1'))
  expect(await said(proxy, get(server.port, '/', 'Foo: 2'))).toEqual([{ name, fwd: 'vary-miss', stored: true }])
  expect(await said(proxy, request('PUT', server.port, '/', ['Content-Length: 1'], 'x'), 'PUT')).toEqual([{ name, fwd: 'method' }])
  expect(await said(proxy, get(server.port, '/no'))).toEqual([{ name, fwd: 'bypass', detail: 'cache-deny' }])
  expect(await said(proxy, get(server.port, '/else', 'Cache-Control: only-if-cached'))).toEqual([{ name, detail: 'only-if-cached' }])
})

it('a stale response in place of a failure is not said to be stored anew', async () => {
  const proxy = await stage()
  const server = await site((_, nth) => (nth === 0 ? { fields: ['Cache-Control: max-age=10'], content: 'x' } : { status: 503 }))
  await said(proxy, get(server.port))
  proxy.clock.advance(15_000)
  expect(await said(proxy, get(server.port))).toEqual([{ name, fwd: 'stale', 'fwd-status': 503, ttl: -5, detail: 'stale-on-error' }])
})

it('a 304 that forbids to keep what it confirms leaves nothing stored', async () => {
  const proxy = await stage()
  const server = await site((_, nth) =>
    nth === 0 ? { fields: ['Cache-Control: max-age=10', 'ETag: "a"'], content: 'x' } : { status: 304, fields: ['ETag: "a"', 'Cache-Control: no-store'] },
  )
  await said(proxy, get(server.port))
  proxy.clock.advance(15_000)
  const [told] = await said(proxy, get(server.port))
  expect(told).toMatchObject({ fwd: 'stale', 'fwd-status': 304 })
  expect(told).not.toHaveProperty('stored')
})

it('a 304 that names another variant than the one asked for is no hit', async () => {
  const proxy = await stage()
  const server = await site((_, nth) =>
    nth === 0 ? { fields: ['Cache-Control: max-age=10', 'ETag: "a"', 'Vary: Foo'], content: 'x' } : { status: 304, fields: ['ETag: "a"', 'Vary: Foo'] },
  )
  await said(proxy, get(server.port, '/', 'Foo: 1'))
  expect(await said(proxy, get(server.port, '/', 'Foo: 2'))).toEqual([{ name, fwd: 'vary-miss', 'fwd-status': 304, ttl: 10, stored: true }])
})

it('requests that share a fetch say so, all but the one whose fetch it is', async () => {
  const proxy = await stage('collapsed_forwarding on\n')
  const rest = gate()
  const server = await origin(async (_, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=10', 'Content-Length': 4 })
    response.write('ab')
    await rest.opened
    response.end('cd')
  })
  const question = get(server.port)
  const wires = [await proxy.client(), await proxy.client()]
  for (const wire of wires) {
    wire.send(question)
    await taken(proxy, question.length * (wires.indexOf(wire) + 1))
  }
  rest.open()
  const told = (await Promise.all(wires.map(wire => wire.response()))).map(r => members(r.fields.get('cache-status') ?? '')[0]?.parameters)
  expect(told).toEqual([{ fwd: 'uri-miss', stored: true }, { fwd: 'uri-miss', collapsed: true }])
  expect(server.requests).toHaveLength(1)
})

it('what caches before us have said stands before what we say, in hits too', async () => {
  const proxy = await stage()
  const server = await site(() => ({ fields: ['Cache-Control: max-age=10', 'Cache-Status: "Origin Cache"; hit; ttl=1100'], content: 'x' }))
  const before = { name: 'Origin Cache', hit: true, ttl: 1100 }
  expect(await said(proxy, get(server.port))).toEqual([before, { name, fwd: 'uri-miss', stored: true }])
  expect(await said(proxy, get(server.port))).toEqual([before, { name, hit: true, ttl: 10 }])
})

test.each(['10.0.0.1', '3com.example', 'a_b.example'])('a proxy named %s says its name in quotes where it is no token', async visible => {
  const proxy = await stage(`visible_hostname ${visible}\n`)
  const server = await site(() => ({ fields: ['Cache-Control: max-age=10'], content: 'x' }))
  await proxy.ask(get(server.port))
  expect(await said(proxy, get(server.port))).toEqual([{ name: visible, hit: true, ttl: 10 }])
})

it('a range cut out of a whole that may not be stored is not said to be stored', async () => {
  const proxy = await stage('range_offset_limit none\n')
  const server = await site(() => ({ fields: ['Cache-Control: no-store'], content: '0123456789' }))
  expect(await said(proxy, get(server.port, '/', 'Range: bytes=2-3'))).toEqual([{ name, fwd: 'uri-miss', 'fwd-status': 200, detail: 'no-store' }])
})

it('a 304 to its own condition tells a client what the origin said', async () => {
  const proxy = await stage('cache_miss_revalidate off\n')
  const server = await site(() => ({ fields: ['Cache-Control: max-age=10', 'ETag: "a"', `Date: ${dateAt(proxy.clock)}`], content: 'x' }))
  expect(await said(proxy, get(server.port, '/', 'If-None-Match: "a"'))).toEqual([{ name, fwd: 'uri-miss', 'fwd-status': 200, stored: true }])
})
