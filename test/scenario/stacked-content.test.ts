// The content of requests and responses through a program (adaptation_access of a stack line). What it writes is what the
// client gets and what is stored; what it says before its first byte is an answer of the protocol, and nothing of a message
// it refuses has passed. One that fails, hangs or breaks off costs its own message.

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { CountStack } from '../../src/proxy/index.ts'
import { get, origin, request, site, stage, type Stage, until } from './scene.ts'

const conf = (direction: 'to_client' | 'to_server', program: string, more = ''): string =>
  `stack scan direction=${direction} program="${program.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}" ${more}\nadaptation_access scan allow all\n`

/** EICAR's place is taken by a word. A scanner that must see the whole before it lets anything pass. */
const scanner = 'all=$(cat); case "$all" in *VIRUS*) echo "SETVERDICT reject it is ill" >&3;; *) printf %s "$all";; esac'

const quiet = (proxy: Stage) => until(() => proxy.machine.sessions === 0, 'the end of the session')

describe('responses', () => {
  it('what the program makes of it is what the client gets and what is stored', async () => {
    const server = await site(() => ({ fields: ['Cache-Control: max-age=100', 'ETag: "1"', 'Content-MD5: x'], content: 'plain' }))
    const proxy = await stage(conf('to_client', 'tr a-z A-Z'))
    const programs = CountStack.programs
    const [first, again] = [await proxy.ask(get(server.port)), await proxy.ask(get(server.port))]
    expect([first.status, first.body, first.fields.get('etag'), first.fields.get('content-md5')]).toEqual([200, 'PLAIN', '"1"', undefined])
    expect(again.body).toBe('PLAIN')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
    expect(CountStack.programs - programs).toBe(1)
  })

  it('a refusal before the first byte is an answer of ours; what is well passes, and HEAD has nothing to look at', async () => {
    const server = await site(({ url = '' }) => ({ content: url === '/ill' ? `${'x'.repeat(200_000)}VIRUS` : 'well' }))
    const proxy = await stage(conf('to_client', scanner))
    const [ill, well] = [await proxy.ask(get(server.port, '/ill')), await proxy.ask(get(server.port, '/well'))]
    expect([ill.status, ill.fields.get('x-squid-error'), ill.body.includes('VIRUS'), well.body]).toEqual([403, 'ERR_ACCESS_DENIED 0', false, 'well'])
    const programs = CountStack.programs
    expect((await proxy.ask(request('HEAD', server.port, '/ill'), 'HEAD')).status).toBe(200)
    expect(CountStack.programs).toBe(programs)
    expect(proxy.records[0]).toMatchObject({ status: 403, error: 'denied' })
    expect(proxy.records[0]?.errorDetail).toContain('stack scan: reject (it is ill)')
  })

  it('a megabyte of noise passes a program that only passes on, byte by byte the same, both sides at their own pace', async () => {
    const noise = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 2654435761) >>> 24))
    const server = await origin((_request, response) => void response.end(noise))
    const proxy = await stage(conf('to_client', 'cat'))
    const got = await proxy.ask(get(server.port))
    const sum = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
    expect(sum(Buffer.from(got.body, 'latin1'))).toBe(sum(noise))
  })

  it.each([
    ['fails', 'exit 3', '', 500],
    ['says nothing in time', 'sleep 60', 'timeout=100ms', 500],
    ['says error', 'echo "SETVERDICT error" >&3; sleep 60', '', 500],
    ['is not there', '/does/not/exist', '', 500],
    ['writes nothing and ends well: the content is empty', 'cat >/dev/null', '', 200],
  ])('a program that %s', async (_what, program, more, status) => {
    const server = await site(() => ({ content: 'never seen' }))
    const proxy = await stage(conf('to_client', program, more))
    const asked = proxy.ask(get(server.port))
    if (more !== '') {
      await until(() => server.requests.length === 1, 'the request at the origin')
      for (let i = 0; i < 20; i++) {
        await new Promise(resolve => setImmediate(resolve))
        proxy.clock.advance(50)
      }
    }
    const got = await asked
    expect([got.status, got.body.includes('never seen')]).toEqual([status, false])
  })

  it('one that breaks off in the middle ends the response before its end, and it is not stored', async () => {
    const server = await site(() => ({ fields: ['Cache-Control: max-age=100'], content: 'x'.repeat(100) }))
    const proxy = await stage(conf('to_client', 'head -c 10; sleep 0.1; exit 4'))
    for (const _ of [1, 2]) await expect(proxy.ask(get(server.port))).rejects.toThrow()
    expect(server.requests).toHaveLength(2)
  })

  it('a client that leaves takes the program along', async () => {
    const server = await site(() => ({ content: 'x' }))
    const proxy = await stage(conf('to_client', 'sleep 600'))
    const client = await proxy.client()
    const before = CountStack.programs
    client.send(get(server.port))
    await until(() => CountStack.programs === before + 1, 'the program')
    client.socket.destroy()
    await quiet(proxy)
  })
})

describe('requests', () => {
  it('the origin gets what the program writes; without content nothing is started', async () => {
    const server = await origin((asked, response) => void asked.pipe(response))
    const proxy = await stage(conf('to_server', 'tr a-z A-Z'))
    const programs = CountStack.programs
    expect((await proxy.ask(request('POST', server.port, '/', ['Content-Length: 5'], 'hello'))).body).toBe('HELLO')
    expect((await proxy.ask(get(server.port))).status).toBe(200)
    expect(CountStack.programs - programs).toBe(1)
  })

  it('what is refused no origin sees', async () => {
    const server = await site(() => ({ content: 'ok' }))
    const proxy = await stage(conf('to_server', scanner))
    const upload = (text: string) => proxy.ask(request('POST', server.port, '/', [`Content-Length: ${text.length}`], text))
    expect((await upload('a VIRUS')).status).toBe(403)
    expect((await upload('a letter')).status).toBe(200)
    expect(server.requests).toHaveLength(1)
  })
})

it('the program is told what it looks at', async () => {
  const server = await site(() => ({ fields: ['X-Of: origin'], content: 'x' }))
  const proxy = await stage(conf('to_client', 'cat >/dev/null; printf "%s %s %s|%s" "$GLASSQUID_MESSAGE" "$GLASSQUID_METHOD" "$GLASSQUID_URI" "$GLASSQUID_HEAD"'))
  const { body } = await proxy.ask(get(server.port, '/a?b'))
  expect(body).toMatch(new RegExp(`^response GET http://127\\.0\\.0\\.1:${server.port}/a\\?b\\|HTTP/1\\.1 200 OK\\r\\n[^]*X-Of: origin\\r\\n`))
})

it.each([
  ['stack scan program=cat', "the stack 'scan' goes both ways"],
  ['stack scan proxy=plug', "the stack 'scan' is a proxy"],
  ['', "there is no icap_service, set, chain or stack 'scan'"],
  ['stack scan program=cat direction=to_client\nicap_service scan respmod_precache icap://127.0.0.1/x', "there is an icap_service, set or chain 'scan', too"],
])('refused at load: %s', async (line, why) => {
  await expect(stage(`${line}\nadaptation_access scan allow all\n`)).rejects.toThrow(why)
})
