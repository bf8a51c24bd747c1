import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import net from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { startDnsServer } from '../support/dns-server.ts'
import { heard } from '../support/origin.ts'
import type { Wire, WireResponse } from '../support/wire.ts'
import {
  bytesOrigin, clientConnections, gate, get, origin, originConnections, raw, request, site, type Stage, stage, stageOf, stoodStill,
  taken, until,
} from './scene.ts'

// Every way a request can be refused or fail, as the client sees it (status, X-Squid-Error, whether the connection goes
// on), as the origin sees it (mostly: not at all), and as the record tells it. And what a peer may stretch, and how far.

/** status, X-Squid-Error without its errno, whether the connection goes on, result code of the record, its error. */
const judged = async (proxy: Stage, wire: Wire, response: WireResponse) => {
  await proxy.results(1)
  const record = proxy.records.at(-1)
  const says = response.fields.get('connection') === 'close' ? 'closes' : 'goes on'
  const does = (await goesOn(wire)) ? 'goes on' : 'closes'
  return [response.status, response.fields.get('x-squid-error'), says === does ? does : `says "${says}", ${does}`, `${record?.result}`, record?.error]
}

/** Whether another request is answered; OPTIONS * with Max-Forwards 0 needs no origin. */
const goesOn = (wire: Wire): Promise<boolean> => {
  wire.send('OPTIONS http://x/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n')
  return wire.response().then(r => r.status === 200, () => false)
}

describe('a request that cannot be read, or may not pass', () => {
  test.each<[string, string, string, [number, string, 'goes on' | 'closes', string, string]]>([
    ['garbage', '', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', [400, 'ERR_INVALID_REQ 0', 'closes', 'NONE_NONE', 'bad-request']],
    ['words of another protocol', '', 'EHLO example.test\r\n\r\n', [505, 'ERR_UNSUP_HTTPVERSION 0', 'closes', 'NONE_NONE', 'unsupported-version']],
    ['a path on a forward port', '', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', [400, 'ERR_INVALID_URL 0', 'goes on', 'NONE_NONE', 'bad-target']],
    ['a target with a fragment', '', 'GET http://x/#a HTTP/1.1\r\nHost: x\r\n\r\n', [400, 'ERR_INVALID_URL 0', 'closes', 'NONE_NONE', 'bad-target']],
    ['user information of two minds', '', 'GET http://me@you@x/ HTTP/1.1\r\nHost: x\r\n\r\n', [400, 'ERR_INVALID_URL 0', 'closes', 'NONE_NONE', 'bad-target']],
    ['no Host', '', 'GET http://x/ HTTP/1.1\r\n\r\n', [400, 'ERR_INVALID_REQ 0', 'closes', 'NONE_NONE', 'bad-request']],
    ['two Hosts', '', 'GET http://x/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', [400, 'ERR_INVALID_REQ 0', 'closes', 'NONE_NONE', 'bad-request']],
    ['a Host that is none', '', 'GET http://x/ HTTP/1.1\r\nHost: x/y\r\n\r\n', [400, 'ERR_INVALID_URL 0', 'closes', 'NONE_NONE', 'bad-target']],
    ['CONNECT without a port', '', 'CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n', [400, 'ERR_INVALID_URL 0', 'closes', 'NONE_NONE', 'bad-target']],
    ['HTTP/2.0', '', 'GET http://x/ HTTP/2.0\r\nHost: x\r\n\r\n', [505, 'ERR_UNSUP_HTTPVERSION 0', 'closes', 'NONE_NONE', 'unsupported-version']],
    ['the preface of HTTP/2', '', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [505, 'ERR_UNSUP_HTTPVERSION 0', 'closes', 'NONE_NONE', 'unsupported-version']],
    ['HTTP/0.9', '', 'GET http://x/\r\n', [505, 'ERR_UNSUP_HTTPVERSION 0', 'closes', 'NONE_NONE', 'unsupported-version']],
    ['a scheme that is not carried', '', 'GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n', [501, 'ERR_UNSUP_REQ 0', 'goes on', 'NONE_NONE', 'unsupported-method']],
    ['another transfer coding', '', 'POST http://x/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', [501, 'ERR_UNSUP_REQ 0', 'closes', 'NONE_NONE', 'unsupported-method']],
    ['an unknown expectation', '', 'GET http://x/ HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n', [417, 'ERR_INVALID_REQ 0', 'closes', 'NONE_NONE', 'expectation-failed']],
    ['a POST of HTTP/1.0 without length', '', 'POST http://x/ HTTP/1.0\r\n\r\n', [411, 'ERR_INVALID_REQ 0', 'closes', 'NONE_NONE', 'length-required']],
    ['content longer than allowed', 'request_body_max_size 9 bytes\n', 'POST http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n', [413, 'ERR_TOO_BIG 0', 'closes', 'NONE_NONE', 'content-too-large']],
    ['a request line longer than allowed', 'request_header_max_size 1 KB\n', `GET http://x/${'a'.repeat(1100)} HTTP/1.1\r\nHost: x\r\n\r\n`, [414, 'ERR_TOO_BIG 0', 'closes', 'NONE_NONE', 'uri-too-long']],
    ['... that has not ended', 'request_header_max_size 1 KB\n', `GET http://x/${'a'.repeat(1100)}`, [414, 'ERR_TOO_BIG 0', 'closes', 'NONE_NONE', 'uri-too-long']],
    ['a head longer than allowed', 'request_header_max_size 1 KB\n', `GET http://x/ HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(1100)}\r\n\r\n`, [431, 'ERR_TOO_BIG 0', 'closes', 'NONE_NONE', 'head-too-large']],
    ['... that has not ended', 'request_header_max_size 1 KB\n', `GET http://x/ HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(1100)}`, [431, 'ERR_TOO_BIG 0', 'closes', 'NONE_NONE', 'head-too-large']],
    ['too many fields', '', `GET http://x/ HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(200)}\r\n`, [431, 'ERR_TOO_BIG 0', 'closes', 'NONE_NONE', 'head-too-large']],
    ['an access list', 'acl no method GET\nhttp_access deny no\n', 'GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n', [403, 'ERR_ACCESS_DENIED 0', 'goes on', 'TCP_DENIED', 'denied']],
    ['an access list, to a tunnel', 'acl no method CONNECT\nhttp_access deny no\n', 'CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n', [403, 'ERR_ACCESS_DENIED 0', 'goes on', 'TCP_DENIED', 'denied']],
    ['our own Via', '', 'GET http://x/ HTTP/1.1\r\nHost: x\r\nVia: 1.0 fred, 1.1 PROXY.test (x)\r\n\r\n', [403, 'ERR_ACCESS_DENIED 0', 'goes on', 'TCP_DENIED', 'loop']],
    ['our other name in Via', 'unique_hostname box7\n', 'GET http://x/ HTTP/1.1\r\nHost: x\r\nVia: 1.1 box7\r\n\r\n', [403, 'ERR_ACCESS_DENIED 0', 'goes on', 'TCP_DENIED', 'loop']],
    ['Host against target, where that is strict', 'host_verify_strict on\n', 'GET http://x/ HTTP/1.1\r\nHost: y\r\n\r\n', [409, 'ERR_CONFLICT_HOST 0', 'goes on', 'NONE_NONE', 'host-conflict']],
    ['... or of another port', 'host_verify_strict on\n', 'GET http://x:81/ HTTP/1.1\r\nHost: x:82\r\n\r\n', [409, 'ERR_CONFLICT_HOST 0', 'goes on', 'NONE_NONE', 'host-conflict']],
    ['only-if-cached', '', 'GET http://x/ HTTP/1.1\r\nHost: x\r\nCache-Control: only-if-cached\r\n\r\n', [504, 'ERR_ONLY_IF_CACHED_MISS 0', 'goes on', 'TCP_MISS', 'only-if-cached']],
  ])('%s', async (_, conf, bytes, expected) => {
    const proxy = await stageOf(`http_port 127.0.0.1:0 name=web\n${conf}http_access allow all\n`)
    const wire = await proxy.client()
    const response = await wire.send(bytes).response()
    expect(await judged(proxy, wire, response)).toEqual(expected)
  })

  it('what asks us to ask ourselves', async () => {
    const proxy = await stage()
    const own = proxy.port('web')
    const wire = await proxy.client()
    expect(await judged(proxy, wire, await wire.send(get(own)).response())).toEqual([403, 'ERR_ACCESS_DENIED 0', 'goes on', 'TCP_DENIED', 'loop'])
    const tunnel = await wire.send(`CONNECT localhost:${own} HTTP/1.1\r\nHost: localhost:${own}\r\n\r\n`).response()
    expect(tunnel.status).toBe(403)
  })

  it('a connection made to an intercepting port itself', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 intercept name=web\nhttp_access allow all\n')
    const wire = await proxy.client()
    const response = await wire.send('GET / HTTP/1.1\r\nHost: example.test\r\n\r\n').response()
    expect(await judged(proxy, wire, response)).toEqual([403, 'ERR_ACCESS_DENIED 0', 'closes', 'TCP_DENIED', 'direct-hit'])
    expect(proxy.said.join()).toMatch(/connected to interception port web itself/)
  })

  it('... but not where Host and target agree, however spelt', async () => {
    const proxy = await stage('host_verify_strict on\n')
    const server = await site(() => ({ content: 'ok' }))
    for (const host of [`localhost:${server.port}`, `LocalHost:${server.port}`]) {
      expect((await proxy.ask(`GET http://localhost:${server.port}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status).toBe(200)
    }
  })
})

describe('an attempt at smuggling is refused, its connection closed, and the origin hears nothing:', () => {
  const post = (...lines: readonly string[]) => `POST http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n${lines.join('\r\n')}\r\n\r\n`
  const te = 'Transfer-Encoding: chunked'
  const chunks = '5\r\nhello\r\n0\r\n\r\n'
  const hidden = 'GET http://127.0.0.1:{port}/hidden HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n'

  test.each<[string, string]>([
    ['Content-Length beside chunked', post('Content-Length: 5', te) + chunks],
    ['chunked beside Content-Length', post(te, 'Content-Length: 5') + chunks],
    ['two lengths', post('Content-Length: 5', 'Content-Length: 0') + 'hello'],
    ['two equal lengths', post('Content-Length: 5', 'Content-Length: 5') + 'hello'],
    ['a list of lengths', post('Content-Length: 5, 5') + 'hello'],
    ['a signed length', post('Content-Length: +5') + 'hello'],
    ['a negative length', post('Content-Length: -5') + 'hello'],
    ['a hexadecimal length', post('Content-Length: 0x5') + 'hello'],
    ['a length with a fraction', post('Content-Length: 5.0') + 'hello'],
    ['a length beyond counting', post('Content-Length: 18446744073709551621') + 'hello'],
    ['an empty length', post('Content-Length:') + 'hello'],
    ['a length between tabs', post('Content-Length:\t5') + 'hello'],
    ['a space before the colon', post('Transfer-Encoding : chunked') + chunks],
    ['a tab before the colon', post('Transfer-Encoding\t: chunked') + chunks],
    ['a folded coding', post('Transfer-Encoding:', ' chunked') + chunks],
    ['a folded field', post('X-A: b', '\tContent-Length: 5') + 'hello'],
    ['a space in front of the first field', post(' Transfer-Encoding: chunked', te) + chunks],
    ['chunked twice', post(te, te) + chunks],
    ['chunked in a list of itself', post('Transfer-Encoding: chunked, chunked') + chunks],
    ['chunked, then not', post(te, 'Transfer-Encoding: identity') + chunks],
    ['chunked, but not last', post('Transfer-Encoding: chunked, gzip') + chunks],
    ['a coding that is almost chunked', post('Transfer-Encoding: xchunked') + chunks],
    ['chunked with a parameter', post('Transfer-Encoding: chunked;q=1') + chunks],
    ['chunked in quotes', post('Transfer-Encoding: "chunked"') + chunks],
    ['chunked after a vertical tab', post('Transfer-Encoding:\x0bchunked') + chunks],
    ['chunked before a NUL', post('Transfer-Encoding: chunked\0') + chunks],
    ['chunked in HTTP/1.0', post(te).replace('HTTP/1.1', 'HTTP/1.0') + chunks],
    ['LF without CR', post('Content-Length: 5').replaceAll('\r\n', '\n') + 'hello'],
    ['one LF without CR', post('X: y\nContent-Length: 5') + 'hello'],
    ['CR without LF', post('X: y\rContent-Length: 5') + 'hello'],
    ['an empty line of LF alone', post('X: y\n') + 'hello'],
    ['a field without a name', post(': x') + 'hello'],
    ['a field without a colon', post('Content-Length 5') + 'hello'],
    ['a name that is no token', post('Content(Length): 5') + 'hello'],
    ['a NUL in a value', post('X: a\0b') + 'hello'],
    ['two spaces in the request line', post('X: y').replace('POST ', 'POST  ')],
    ['a space behind the version', post('X: y').replace('HTTP/1.1', 'HTTP/1.1 ')],
    ['a version that is almost one', post('X: y').replace('HTTP/1.1', 'HTTP/1.10')],
    ['a tab in the request line', post('X: y').replace('POST ', 'POST\t')],
    ['a space in the target', post('X: y').replace('/ HTTP', '/a b HTTP')],
    ['bytes beyond ASCII in the target', post('X: y').replace('/ HTTP', '/\xe4 HTTP')],
    ['a second Host', post('Host: other')],
    ['a Host of two', post('X: y').replace(/Host: .*/, 'Host: a, b')],
    ['CONNECT with content', 'CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello'],
    ['a chunk size with a sign', post(te) + '+5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size with 0x', post(te) + '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size behind a space', post(te) + ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size before a space', post(te) + '5 \r\nhello\r\n0\r\n\r\n'],
    ['a chunk size beyond counting', post(te) + '10000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['no chunk size', post(te) + '\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size ended by LF', post(te) + '5\nhello\r\n0\r\n\r\n'],
    ['an extension ended by LF', post(te) + '5;a\nhello\r\n0\r\n\r\n'],
    ['a chunk longer than its size', post(te) + '4\r\nhello\r\n0\r\n\r\n'],
    ['a chunk ended by LF', post(te) + '5\r\nhello\n0\r\n\r\n'],
    ['a chunk that is not ended', post(te) + '5\r\nhello0\r\n\r\n'],
    ['trailers ended by LF', post(te) + '5\r\nhello\r\n0\r\n\n'],
    ['a length among the trailers', post(te) + '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'],
    ['a coding among the trailers', post(te) + '5\r\nhello\r\n0\r\nTransfer-Encoding: x\r\n\r\n'],
    ['a trailer that is folded', post(te) + '5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n'],
  ])('%s', async (_, attempt) => {
    const proxy = await stage()
    const server = await raw(() => {})
    const wire = await proxy.client()
    const response = await wire.send((attempt + hidden).replaceAll('{port}', String(server.port))).response()
    expect([response.status, response.fields.get('connection')]).toEqual([400, 'close'])
    expect(await wire.closed()).toBe('') // nothing was answered but this
    expect(server.connections).toBe(0)
    await until(() => proxy.records.length === 1, 'the record')
    expect(`${proxy.records[0]?.result}/${proxy.records[0]?.status}`).toBe('NONE_NONE/400')
  })

  it('nor can Connection take away what frames or routes a request', async () => {
    const proxy = await stage()
    const server = await site(() => ({ content: 'ok' }))
    const response = await proxy.ask(request('POST', server.port, '/', ['Connection: Content-Length, Host, Via, X-Forwarded-For', 'Content-Length: 5'], 'hello'))
    expect(response.body).toBe('ok')
    expect([server.requests[0]?.body, server.field(0, 'content-length'), server.field(0, 'host')]).toEqual(['hello', '5', `127.0.0.1:${server.port}`])
    expect([server.field(0, 'via'), server.field(0, 'x-forwarded-for')]).toEqual([expect.stringMatching(/^1\.1 proxy\.test/), '127.0.0.1'])
  })
})

describe('content that goes wrong while it is on its way', () => {
  const upload = async (conf: string, content: string) => {
    const proxy = await stage(conf)
    const ended = gate()
    let got = ''
    const server = await raw(socket => {
      socket.on('data', chunk => {
        got += chunk.toString('latin1')
      })
      socket.on('close', ended.open)
      socket.on('end', () => socket.destroy())
    })
    const wire = await proxy.client()
    wire.send(`POST http://127.0.0.1:${server.port}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n`)
    await until(() => got.includes('first'), 'the first chunk at the origin')
    wire.send(content)
    return { proxy, wire, ended: ended.opened, got: () => got }
  }

  test.each<[string, string, string, number, string]>([
    ['a chunk that is none', '', 'what?\r\n0\r\n\r\n', 400, 'bad-request'],
    ['a chunk too many', 'request_body_max_size 9 bytes\n', '5\r\nagain\r\n0\r\n\r\n', 413, 'content-too-large'],
  ])('%s: the client is told, the origin never sees an end', async (_, conf, content, status, error) => {
    const { proxy, wire, ended, got } = await upload(conf, content)
    const response = await wire.response()
    expect([response.status, response.fields.get('connection')]).toEqual([status, 'close'])
    await ended
    expect(got()).not.toMatch(/0\r\n\r\n$/)
    await proxy.results(1)
    expect(proxy.records[0]?.error).toBe(error)
  })

  it('the client leaves: so does the request at the origin', async () => {
    const { proxy, wire, ended, got } = await upload('', '')
    wire.close()
    await ended
    expect(got()).not.toMatch(/0\r\n\r\n$/)
    await proxy.results(1)
    expect(proxy.records[0]?.error).toBe('client-aborted')
  })

  it('it stops coming: 408 after read_timeout', async () => {
    const { proxy, wire, ended } = await upload('read_timeout 10 seconds\n', '')
    proxy.clock.advance(11_000)
    const response = await wire.response()
    expect(response.status).toBe(408)
    await ended
    expect(await judged(proxy, wire, response)).toEqual([408, 'ERR_REQUEST_START_TIMEOUT 0', 'closes', 'NONE_NONE', 'request-timeout'])
  })

  it('the origin answers early: the answer arrives although the client is still sending', async () => {
    const proxy = await stage()
    const server = await raw(async socket => {
      await heard(socket)
      socket.end('HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno')
    })
    const wire = await proxy.client()
    wire.send(`POST http://127.0.0.1:${server.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n${'x'.repeat(100_000)}`)
    const response = await wire.response()
    expect([response.status, response.body]).toEqual([403, 'no'])
    wire.send('x'.repeat(300_000)).end()
    expect(await wire.closed()).toBe('')
    expect(wire.reset).toBe(false)
  })
})

describe('an origin that', () => {
  test.each<[string, string, [number, string, string]]>([
    ['speaks another protocol', 'SSH-2.0-OpenSSH_9\r\n', [502, 'ERR_INVALID_RESP 0', 'bad-response']],
    ['answers nonsense', 'HTTP/1.1 abc\r\n\r\n', [502, 'ERR_INVALID_RESP 0', 'bad-response']],
    ['closes without a byte', '', [502, 'ERR_ZERO_SIZE_OBJECT 0', 'empty-response']],
    ['closes within its head', 'HTTP/1.1 200 OK\r\nX-Half: ', [502, 'ERR_READ_ERROR 0', 'read-error']],
    ['sends a length beside chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', [502, 'ERR_INVALID_RESP 0', 'bad-response']],
    ['sends two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!', [502, 'ERR_INVALID_RESP 0', 'bad-response']],
    ['sends a space before a colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok', [502, 'ERR_INVALID_RESP 0', 'bad-response']],
    ['sends a NUL', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok', [502, 'ERR_INVALID_RESP 0', 'bad-response']],
    ['sends a head without end', `HTTP/1.1 200 OK\r\n${`X: ${'y'.repeat(1000)}\r\n`.repeat(70)}\r\n`, [502, 'ERR_TOO_BIG 0', 'response-head-too-large']],
    ['sends interim responses without end', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(5000), [502, 'ERR_TOO_BIG 0', 'response-head-too-large']],
  ])('%s', async (_, bytes, [status, page, error]) => {
    const proxy = await stage()
    const server = await bytesOrigin(bytes)
    const wire = await proxy.client()
    const response = await wire.send(get(server.port)).response()
    expect(await judged(proxy, wire, response)).toEqual([status, page, 'goes on', 'TCP_MISS', error])
    expect(proxy.records[0]?.hierarchy).toBe('HIER_DIRECT')
  })

  it('is silent', async () => {
    const proxy = await stage('read_timeout 10 seconds\n')
    const server = await raw(socket => void socket.resume())
    const wire = await proxy.client()
    wire.send(get(server.port))
    await until(() => server.connections === 1, 'the origin')
    await until(() => (originConnections(proxy)[0]?.bytesWritten ?? 0) > 0, 'the request')
    proxy.clock.advance(11_000)
    expect(await judged(proxy, wire, await wire.response())).toEqual([504, 'ERR_READ_TIMEOUT 110', 'goes on', 'TCP_MISS', 'read-timeout'])
  })

  it('takes nothing of what is sent to it', async () => {
    const proxy = await stage('write_timeout 10 seconds\n')
    const server = await raw(socket => void socket.pause())
    const wire = await proxy.client()
    const length = 64 << 20
    wire.send(`PUT http://127.0.0.1:${server.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`)
    const piece = Buffer.alloc(1 << 20)
    for (let i = 0; i < 64; i++) wire.send(piece)
    await stoodStill(() => originConnections(proxy)[0]?.bytesWritten ?? 0, 'the upload')
    proxy.clock.advance(11_000)
    const response = await wire.response()
    expect([response.status, response.fields.get('x-squid-error'), response.fields.get('connection')]).toEqual([502, 'ERR_WRITE_ERROR 110', 'close'])
    await proxy.results(1)
    expect(proxy.records[0]?.error).toBe('write-error')
  })

  it('resets', async () => {
    const proxy = await stage()
    const server = await raw(async socket => {
      await heard(socket)
      socket.resetAndDestroy()
    })
    const wire = await proxy.client()
    expect(await judged(proxy, wire, await wire.send(get(server.port)).response())).toEqual([502, 'ERR_READ_ERROR 104', 'goes on', 'TCP_MISS', 'read-error'])
  })

  it('is not there', async () => {
    const proxy = await stage()
    const wire = await proxy.client()
    expect(await judged(proxy, wire, await wire.send(get(1)).response())).toEqual([503, 'ERR_CONNECT_FAIL 111', 'goes on', 'TCP_MISS', 'connect-failed'])
  })

  it('does not accept', async () => {
    const deaf = await deafListener()
    try {
      const proxy = await stage('connect_timeout 10 seconds\n')
      const wire = await proxy.client()
      wire.send(get(deaf.port))
      await until(() => proxy.machine.comm.fdTable().some(e => e.kind === 'connecting'), 'the attempt')
      proxy.clock.advance(11_000)
      expect(await judged(proxy, wire, await wire.response())).toEqual([504, 'ERR_CONNECT_FAIL 110', 'goes on', 'TCP_MISS', 'connect-timeout'])
    } finally {
      await deaf.close()
    }
  })

  it('has more requests than connections, and does not answer: whoever waits is told', async () => {
    const proxy = await stage('forward_timeout 20 seconds\nread_timeout 1 hour\n')
    const server = await raw(() => {})
    const wires: Wire[] = []
    for (let i = 0; i < 256; i++) wires.push((await proxy.client()).send(get(server.port)))
    await until(() => server.connections === 256, '256 connections')
    const wire = (await proxy.client()).send(get(server.port))
    await taken(proxy, 257 * get(server.port).length)
    proxy.clock.advance(21_000)
    expect(await judged(proxy, wire, await wire.response())).toEqual([503, 'ERR_CANNOT_FORWARD 0', 'goes on', 'TCP_MISS', 'overload'])
  })

  it('sends more than its response poisons nobody else', async () => {
    const proxy = await stage()
    const server = await raw(socket => {
      let nth = 0
      socket.on('data', () => {
        const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
        socket.write(nth++ === 0 && server.connections === 1 ? `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok${evil}` : 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood')
      })
    })
    const first = await proxy.client()
    await first.send(get(server.port)).response().catch(() => {})
    for (let i = 0; i < 3; i++) expect((await proxy.ask(get(server.port, `/${i}`))).body).toBe('good')
  })

  test.each<[string, string, string]>([
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil', 'HEAD'],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\nevil', 'GET'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil', 'GET'],
  ])('sends content where there is none to %s (%j): it goes nowhere', async (method, bytes) => {
    const proxy = await stage()
    const server = await raw(socket => {
      let nth = 0
      socket.on('data', () => socket.write(nth++ === 0 && server.connections === 1 ? bytes : 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood'))
    })
    const wire = await proxy.client()
    await wire.send(request(method, server.port, '/', ['If-None-Match: "x"'])).response(method)
    expect((await wire.send(get(server.port, '/next')).response()).body).toBe('good')
  })

  test.each<[string, string, string]>([
    ['breaks its chunks', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nwhat?', 'bad-response'],
    ['ends a chunk with LF', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n', 'bad-response'],
  ])('%s: the client can tell that it is not whole', async (_, rest, error) => {
    const proxy = await stage()
    const server = await bytesOrigin(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n${rest}`)
    const wire = await proxy.client()
    await expect(wire.send(get(server.port)).response()).rejects.toThrow(/closed before/)
    await proxy.results(1)
    expect(proxy.records[0]?.error).toBe(error)
    const old = await proxy.client()
    await expect(old.send(`GET http://127.0.0.1:${server.port}/ HTTP/1.0\r\n\r\n`).response()).rejects.toThrow(/closed before|ECONNRESET/)
    expect(old.reset).toBe(true) // where the close is the end mark, only a reset can tell
  })
})

describe('a tunnel or an upgrade whose origin', () => {
  test.each<[string, string, [number, string]]>([
    ['speaks another protocol', 'SSH-2.0-OpenSSH_9\r\n', [502, 'ERR_INVALID_RESP 0']],
    ['closes without a byte', '', [502, 'ERR_ZERO_SIZE_OBJECT 0']],
    ['closes within its head', 'HTTP/1.1 101 Switching', [502, 'ERR_READ_ERROR 0']],
  ])('%s is told as for any other request', async (_, bytes, expected) => {
    const proxy = await stage()
    const server = await bytesOrigin(bytes)
    const wire = await proxy.client()
    const response = await wire.send(get(server.port, '/', 'Connection: Upgrade', 'Upgrade: echo')).response()
    expect([response.status, response.fields.get('x-squid-error')]).toEqual(expected)
  })

  it('is silent', async () => {
    const proxy = await stage('read_timeout 10 seconds\n')
    const asked = gate()
    const server = await raw(socket => void heard(socket).then(asked.open, () => {}))
    const wire = await proxy.client()
    wire.send(get(server.port, '/', 'Connection: Upgrade', 'Upgrade: echo'))
    await asked.opened
    proxy.clock.advance(11_000)
    expect((await wire.response()).status).toBe(504)
  })

  it('says nothing, and neither does the client: it ends after read_timeout', async () => {
    const proxy = await stage('read_timeout 10 seconds\n')
    const server = await raw(() => {})
    const wire = await proxy.client()
    await wire.send(`CONNECT 127.0.0.1:${server.port} HTTP/1.1\r\nHost: x\r\n\r\n`).response('CONNECT')
    proxy.clock.advance(20_000) // it is looked at in steps
    await wire.closed()
    expect(await proxy.results(1)).toEqual(['TCP_TUNNEL/200'])
  })
})

describe('names', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'glassquid-'))
    writeFileSync(join(folder, 'hosts'), '127.0.0.1 here.test\n')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('that do not exist, or cannot be asked for', async () => {
    const names = await startDnsServer(({ name }) => ({ rcode: name.startsWith('sick') ? 2 : 3 }))
    try {
      const proxy = await stage(`hosts_file none\ndns_nameservers 127.0.0.1:${names.endpoint.port}\n`)
      for (const name of ['nobody.test', 'sick.test']) {
        const wire = await proxy.client()
        const response = await wire.send(`GET http://${name}/ HTTP/1.1\r\nHost: ${name}\r\n\r\n`).response()
        expect(await judged(proxy, wire, response)).toEqual([503, 'ERR_DNS_FAIL 0', 'goes on', 'TCP_MISS', 'dns-failed'])
      }
      expect(names.asked.length).toBeGreaterThan(0)
    } finally {
      await names.close()
    }
  })

  it('lead to all their addresses, one after the other', async () => {
    const server = await site(() => ({ content: 'ok' }))
    const names = await startDnsServer(({ type }) => ({
      records: type === 'A' ? ['127.0.0.9', '127.0.0.1'].map(address => ({ type, ttl: 60, address })) : [],
    }))
    try {
      const proxy = await stage(`hosts_file none\ndns_nameservers 127.0.0.1:${names.endpoint.port}\n`)
      expect((await proxy.ask(`GET http://two.test:${server.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`)).body).toBe('ok')
      expect(proxy.records[0]?.attempts).toBe(2)
    } finally {
      await names.close()
    }
  })

  it('are not told in error pages, nor what they resolve to', async () => {
    const proxy = await stage(`hosts_file ${folder}/hosts\n`)
    const { body } = await proxy.ask('GET http://here.test:1/ HTTP/1.1\r\nHost: here.test\r\n\r\n')
    expect(body).toMatch(/ERR_CONNECT_FAIL/)
    expect(body).not.toMatch(/127\.0\.0|test\.conf|\.ts\b|node:|ECONN/)
  })
})

describe('an error page', () => {
  it('shows what was asked for without letting it act', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttp_access deny all\n')
    const response = await proxy.ask("GET http://x/?q='&lt;onerror=alert(1)' HTTP/1.1\r\nHost: x\r\n\r\n")
    expect(response.fields.get('content-type')).toBe('text/html;charset=utf-8')
    expect(response.body).toContain('http://x/?q=&#39;&#38;lt;onerror=alert(1)&#39;')
    expect(response.body).not.toMatch(/'|&lt;/)
  })

  it('is not to be stored, and says so', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttp_access deny all\n')
    const response = await proxy.ask('GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n')
    expect([response.fields.get('cache-control'), response.fields.get('cache-status')]).toEqual(['no-store', 'proxy.test; detail=denied'])
  })

  it('has no content for HEAD, and the connection stays in step', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttp_access deny all\n')
    const wire = await proxy.client()
    const head = await wire.send('HEAD http://x/ HTTP/1.1\r\nHost: x\r\n\r\n').response('HEAD')
    expect([head.status, Number(head.fields.get('content-length')) > 0]).toEqual([403, true])
    expect((await wire.send('GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n').response()).status).toBe(403)
  })

  it('names the product without its version where that is wished, and whom to ask', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttpd_suppress_version_string on\ncache_mgr who@example.test\nhttp_access deny all\n')
    const response = await proxy.ask('GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(response.fields.get('server')).toBe('glassquid')
    expect(response.fields.get('via')).toBe('1.1 proxy.test (glassquid)')
    expect(response.body).not.toMatch(/glassquid\//)
    expect(response.body).toContain('who@example.test')
  })

  it('for a request whose content is still coming says that it closes', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttp_access deny all\n')
    const wire = await proxy.client()
    wire.send('POST http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n')
    const response = await wire.response()
    expect([response.status, response.fields.get('connection')]).toEqual([403, 'close'])
    wire.send('x'.repeat(300_000)).end() // is taken, so that the answer is not lost in a reset
    expect(await wire.closed()).toBe('')
    expect(wire.reset).toBe(false)
  })

  it('comes instead of 100 to who waits for it', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttp_access deny all\n')
    const wire = await proxy.client()
    const response = await wire.send('PUT http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n').response()
    expect([response.status, response.interim, response.fields.get('connection')]).toEqual([403, [], 'close'])
    wire.send('hello GET http://x/ HTTP/1.1\r\n\r\n').end()
    expect(await wire.closed()).toBe('')
    expect(await proxy.results(1)).toEqual(['TCP_DENIED/403'])
  })

  it('for a request whose content has come whole does not', async () => {
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web\nhttp_access deny all\n')
    const wire = await proxy.client()
    const one = 'POST http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc'
    wire.send(one + one)
    expect([(await wire.response()).fields.get('connection'), (await wire.response()).status]).toEqual([undefined, 403])
  })
})

describe('a client that', () => {
  it('sends nothing is closed after request_start_timeout, without a word', async () => {
    const proxy = await stage('request_start_timeout 10 seconds\n')
    const wire = await proxy.client()
    await until(() => clientConnections(proxy).length === 1, 'the connection')
    proxy.clock.advance(11_000)
    expect(await wire.closed()).toBe('')
    expect(proxy.records).toEqual([])
  })

  it('sends its head a byte at a time has request_timeout for all of it', async () => {
    const proxy = await stage('request_timeout 10 seconds\n')
    const wire = await proxy.client()
    let sent = 0
    for (let i = 0; i < 9; i++) {
      wire.send('GET http://x/ HTTP/1.1\r\nX'.slice(i, i + 1))
      await taken(proxy, ++sent)
      proxy.clock.advance(1000)
    }
    proxy.clock.advance(2000)
    expect(await judged(proxy, wire, await wire.response())).toEqual([408, 'ERR_REQUEST_START_TIMEOUT 0', 'closes', 'NONE_NONE', 'request-timeout'])
  })

  it('pauses between requests is closed after client_idle_pconn_timeout', async () => {
    const proxy = await stage('client_idle_pconn_timeout 10 seconds\n')
    const server = await site(() => ({ content: 'x' }))
    const wire = await proxy.client()
    await wire.send(get(server.port)).response()
    proxy.clock.advance(9_000)
    await wire.send(get(server.port)).response()
    proxy.clock.advance(11_000)
    expect(await wire.closed()).toBe('')
    expect(await proxy.results(2)).toHaveLength(2)
  })

  it('stays too long is closed between requests after client_lifetime', async () => {
    const proxy = await stage('client_lifetime 60 seconds\n')
    const server = await site(() => ({ content: 'x' }))
    const wire = await proxy.client()
    for (let i = 0; i < 3; i++) {
      await wire.send(get(server.port)).response()
      proxy.clock.advance(25_000)
    }
    expect(await wire.closed()).toBe('')
  })

  it('is older than pconn_lifetime is closed as soon as nothing is under way, and so are connections to origins', async () => {
    const proxy = await stage('pconn_lifetime 60 seconds\n')
    const go = gate()
    const server = await origin(async (request, response) => {
      if (request.url === '/slow') await go.opened
      response.end('x')
    })
    const [resting, busy] = [await proxy.client(), await proxy.client()]
    busy.send(get(server.port, '/slow'))
    await until(() => server.requests.length === 1, 'the slow request')
    await resting.send(get(server.port)).response()
    proxy.clock.advance(62_000)
    expect(await resting.closed()).toBe('')
    go.open()
    expect((await busy.response()).body).toBe('x')
    expect(await busy.closed()).toBe('')
    // one was idle, the other is too old to become so
    await until(() => originConnections(proxy).length === 0, 'the end of old connections')
    await proxy.ask(get(server.port))
    expect(server.connections).toBe(3)
    expect(originConnections(proxy)).toHaveLength(1)
  })

  it('takes a stored response slowly has write_timeout for each step, not the idle time', async () => {
    const proxy = await stage('client_idle_pconn_timeout 10 seconds\nwrite_timeout 60 seconds\ncache_mem 64 MB\nmaximum_object_size_in_memory 32 MB\n')
    const length = 16 << 20
    const server = await origin((_, response) => {
      response.setHeader('Cache-Control', 'max-age=600')
      response.end(Buffer.alloc(length, 'x'))
    })
    await proxy.ask(get(server.port))
    const wire = await proxy.client()
    wire.socket.pause()
    wire.send(get(server.port))
    await proxy.results(2)
    proxy.clock.advance(30_000)
    wire.socket.resume()
    expect((await wire.response()).body).toHaveLength(length)
    const dead = await proxy.client()
    dead.socket.pause()
    dead.send(get(server.port))
    await proxy.results(3)
    proxy.clock.advance(62_000)
    await until(() => proxy.machine.sessions === 0, 'the end of who takes nothing')
  })

  it('asks for stored responses without reading them is not read either', async () => {
    const proxy = await stage('cache_mem 64 MB\nmaximum_object_size_in_memory 2 MB\n')
    const server = await origin((_, response) => {
      response.setHeader('Cache-Control', 'max-age=600')
      response.end(Buffer.alloc(1 << 20, 'x'))
    })
    await proxy.ask(get(server.port))
    const wire = await proxy.client()
    wire.socket.pause()
    const many = get(server.port, '/', `X-Fill: ${'y'.repeat(900)}`).repeat(1000)
    for (let i = 0; i < 40; i++) wire.send(many) // 40 MB of requests, 40 GB of answers
    let before = -1
    await until(() => {
      const now = proxy.records.length
      const still = now > 1 && now === before
      before = now
      return still
    }, 'the proxy to stop')
    expect(proxy.records.length).toBeLessThan(100)
    expect(clientConnections(proxy).reduce((sum, c) => sum + c.bytesRead, 0)).toBeLessThan(1 << 20)
    wire.socket.resume()
    for (let i = 0; i < 20; i++) expect((await wire.response()).body).toHaveLength(1 << 20) // and it goes on
  })

  it('leaves within its head is told, if it listens', async () => {
    const proxy = await stage()
    const wire = await proxy.client()
    wire.send('GET http://x/ HTT').end()
    expect((await wire.response()).status).toBe(400)
    expect(await proxy.results(1)).toEqual(['NONE_NONE/400'])
  })

  it('connects and leaves is nothing', async () => {
    const proxy = await stage()
    const wire = await proxy.client()
    wire.end()
    expect(await wire.closed()).toBe('')
    expect(proxy.records).toEqual([])
  })
})

describe('a client that closes its sending side', () => {
  const halfClosed = async (conf: string) => {
    const proxy = await stage(conf)
    const go = gate()
    const asked = gate()
    const server = await origin(async (_, response) => {
      asked.open()
      await go.opened
      response.end('late')
    })
    const wire = await proxy.client()
    wire.send(get(server.port))
    await asked.opened
    wire.end()
    return { proxy, wire, go, server }
  }

  it('gets its response where half_closed_clients is on, and then the end', async () => {
    const { proxy, wire, go } = await halfClosed('half_closed_clients on\n')
    await until(() => clientConnections(proxy).length === 1, 'the connection to stay')
    go.open()
    expect((await wire.response()).body).toBe('late')
    expect(await wire.closed()).toBe('')
    expect(await proxy.results(1)).toEqual(['TCP_MISS/200'])
  })

  it('counts as gone where it is off', async () => {
    const { proxy, wire } = await halfClosed('')
    expect(await wire.closed()).toBe('')
    await proxy.results(1)
    expect(proxy.records[0]?.error).toBe('client-aborted')
  })

  test.each(['on', 'off'])('gets what is answered at once (half_closed_clients %s)', async how => {
    const proxy = await stage(`half_closed_clients ${how}\ncache_mem 64 MB\nmaximum_object_size_in_memory 16 MB\n`)
    const server = await origin((_, response) => {
      response.setHeader('Cache-Control', 'max-age=60')
      response.end(Buffer.alloc(12 << 20, 'x'))
    })
    await proxy.ask(get(server.port))
    const wire = await proxy.client()
    wire.send(get(server.port)).end()
    expect((await wire.response()).body).toHaveLength(12 << 20)
    expect(await wire.closed()).toBe('')
  })
})

describe('after its last answer a connection', () => {
  it('is ended by us, waits a moment for the client, and takes what it still sends', async () => {
    const proxy = await stage('client_persistent_connections off\n')
    const server = await site(() => ({ content: 'x' }))
    const wire = await proxy.client()
    await wire.send(get(server.port)).response()
    expect(await wire.closed()).toBe('')
    wire.send(get(server.port).repeat(100))
    proxy.clock.advance(1000)
    expect(proxy.machine.sessions).toBe(1)
    proxy.clock.advance(2000)
    await until(() => proxy.machine.sessions === 0, 'the close')
    expect(server.requests).toHaveLength(1)
  })

  it('does not take endlessly', async () => {
    const proxy = await stage('client_persistent_connections off\n')
    const server = await site(() => ({ content: 'x' }))
    const wire = await proxy.client()
    await wire.send(get(server.port)).response()
    wire.send(Buffer.alloc(4 << 20))
    await until(() => proxy.machine.sessions === 0, 'the close')
  })

  it('is not kept where client_persistent_connections is off', async () => {
    const proxy = await stage('client_persistent_connections off\n')
    const server = await site(() => ({ content: 'x' }))
    const wire = await proxy.client()
    expect((await wire.send(get(server.port)).response()).fields.get('connection')).toBe('close')
    expect(await wire.closed()).toBe('')
  })
})

it('a request that waits for a connection when the machine stops is told so', async () => {
  const proxy = await stage()
  const server = await raw(() => {})
  for (let i = 0; i < 256; i++) (await proxy.client()).send(get(server.port))
  await until(() => server.connections === 256, '256 connections')
  const wire = (await proxy.client()).send(get(server.port))
  await taken(proxy, 257 * get(server.port).length)
  await proxy.stop()
  const response = await wire.response()
  expect([response.status, response.fields.get('x-squid-error')]).toEqual([503, 'ERR_SHUTTING_DOWN 0'])
})

it('requests under way when the machine stops have the time they are given, then end', async () => {
  const proxy = await stage()
  const server = await raw(() => {})
  const wire = await proxy.client()
  wire.send(get(server.port))
  await until(() => server.connections === 1, 'the origin')
  await proxy.stop()
  await wire.closed()
  expect(proxy.machine.sessions).toBe(0)
})

/** A listener whose queue is full: the kernel answers no further SYN. */
const deafListener = async () => {
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
     const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port)
       Atomics.wait(new Int32Array(workerData), 0, 0)
       process.exit()
     })`,
    { eval: true, workerData: new SharedArrayBuffer(4) },
  )
  const [port] = (await once(worker, 'message')) as [number]
  const fillers = Array.from({ length: 4 }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
  await Promise.all(fillers.slice(0, 2).map(filler => once(filler, 'connect')))
  return {
    port,
    async close() {
      for (const filler of fillers) filler.destroy()
      await worker.terminate()
    },
  }
}
