// The answer that ends a connection. Who has said "close" sends nothing more (RFC 9112 9.6) and is left at once; who may
// still be sending is listened to for a while, so that the answer is not lost in a reset. Seen on a clock that stands
// still, with clients that leave their side open.

import { expect, test } from 'vitest'
import { clientConnections, get, request, site, type Stage, stage, until } from './scene.ts'

const gone = (proxy: Stage) => until(() => proxy.machine.sessions === 0, 'the end of the session')

test.each([
  ['close', (port: number) => get(port, '/', 'Connection: close')],
  ['HTTP/1.0 without a word', (port: number) => get(port).replace('HTTP/1.1', 'HTTP/1.0')],
])('%s: the session is over with the answer, miss or hit', async (_what, asks) => {
  const proxy = await stage()
  const server = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x'.repeat(100_000) }))
  for (let i = 0; i < 2; i++) {
    const client = await proxy.client()
    const answer = await client.send(asks(server.port)).response()
    expect([answer.status, answer.body.length]).toEqual([200, 100_000])
    await gone(proxy)
  }
  expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
})

test('a client that is still sending is listened to, and gets its answer', async () => {
  const proxy = await stage('request_body_max_size 1 KB')
  const server = await site(() => ({ content: 'ok' }))
  const client = await proxy.client()
  const content = 'x'.repeat(300_000)
  client.send(request('POST', server.port, '/', ['Connection: close', `Content-Length: ${content.length}`]))
  client.send(content)
  expect((await client.response()).status).toBe(413)
  // its side is open: it could still be sending
  expect(proxy.machine.sessions).toBe(1)
  client.end()
  await gone(proxy)
})

test('a client that did not say so is listened to when we end it', async () => {
  const proxy = await stage('client_persistent_connections off')
  const server = await site(() => ({ content: 'ok' }))
  const client = await proxy.client()
  const answer = await client.send(get(server.port)).response()
  expect(answer.fields.get('connection')).toBe('close')
  expect(proxy.machine.sessions).toBe(1)
  proxy.clock.advance(3000)
  await gone(proxy)
  expect(clientConnections(proxy)).toEqual([])
})
