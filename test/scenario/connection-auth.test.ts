// NTLM and Negotiate with origins: a proof counts for a connection, so that connection is one client's. Seen at an origin
// that knows its clients by nothing but the connection, with curl's own NTLM and with clients that try to slip in.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { ms } from '../../src/base/index.ts'
import { get, origin, originConnections, request, type Stage, stage, stageOf, until } from './scene.ts'

const run = promisify(execFile)

/** Type 2: no target name, NTLM and Unicode, a challenge. */
const challenge = Buffer.concat([
  Buffer.from('NTLMSSP\0', 'latin1'), Buffer.from('0200000000000000380000000582028000', 'hex').subarray(0, 16), Buffer.from('0123456789abcdef', 'hex'), Buffer.alloc(24),
]).toString('base64')

/** Who has shown a third message on a connection is let in there, whatever is asked. */
const office = async (schemes: readonly string[] = ['NTLM', 'Basic realm="office"']) => {
  const users = new WeakMap<object, string>()
  const numbers = new WeakMap<object, number>()
  let connections = 0
  const log: string[] = []
  const made = await origin((asked, response) => {
    const { socket } = asked
    if (!numbers.has(socket)) numbers.set(socket, ++connections)
    const [scheme = '', said = ''] = (asked.headers.authorization ?? '').split(' ')
    const message = Buffer.from(said, 'base64')
    const step = scheme === 'NTLM' && message.toString('latin1', 0, 7) === 'NTLMSSP' ? message.readUInt32LE(8) : said === '' ? 0 : 3
    if (step === 3) users.set(socket, asked.headers['x-name']?.toString() ?? 'curl')
    const user = users.get(socket)
    log.push(`${numbers.get(socket)} ${asked.method} ${asked.url} ${step} ${user ?? '-'}`)
    let content = ''
    asked.on('data', (piece: Buffer) => {
      content += piece.toString()
    })
    asked.on('end', () => {
      if (user !== undefined) {
        response.writeHead(200, { 'Cache-Control': 'max-age=600' })
        response.end(`for ${user}${content}`)
      } else response.writeHead(401, { 'WWW-Authenticate': step === 1 ? [`${scheme} ${challenge}`] : [...schemes], 'Content-Length': 0 }).end()
    })
  })
  return { port: made.port, log, server: made }
}

const first = 'Authorization: NTLM TlRMTVNTUAABAAAAB4IIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
const third = `Authorization: NTLM ${Buffer.concat([Buffer.from('NTLMSSP\0', 'latin1'), Buffer.from([3, 0, 0, 0])]).toString('base64')}`

const proved = async (proxy: Stage, port: number, name: string) => {
  const wire = await proxy.client()
  for (const line of [first, third]) await wire.send(get(port, '/in', line, `X-Name: ${name}`)).response()
  return wire
}

describe('a client that proves who it is for a connection', () => {
  it('has that connection for itself: all its requests go there, and nobody else\'s', async () => {
    const web = await office()
    const proxy = await stage()
    const ann = await proved(proxy, web.port, 'ann')
    const bob = await proxy.client()
    expect((await bob.send(get(web.port, '/page')).response()).status).toBe(401)
    expect((await ann.send(get(web.port, '/page')).response()).body).toBe('for ann')
    // what came on that connection is in no cache
    expect((await bob.send(get(web.port, '/page')).response()).status).toBe(401)
    // neither idempotent nor whole
    expect((await ann.send(request('POST', web.port, '/form', ['Content-Length: 6'])).send(' + all').response('POST')).body).toBe('for ann + all')
    const carol = await proved(proxy, web.port, 'carol')
    expect((await carol.send(get(web.port, '/page')).response()).body).toBe('for carol')
    const byConnection = Map.groupBy(web.log.filter(line => !line.endsWith('-')), line => line.slice(0, 1))
    expect([...byConnection.values()].map(lines => new Set(lines.map(line => line.split(' ')[4])).size)).toEqual([1, 1])
    expect(proxy.records.filter(r => r.hierarchy === 'PINNED').map(r => `${r.method} ${r.status}`)).toEqual(['GET 200', 'GET 200', 'POST 200', 'GET 200', 'GET 200'])
  })

  it('does not take it along to another site at the same address', async () => {
    const web = await office()
    const proxy = await stage()
    const ann = await proved(proxy, web.port, 'ann')
    const other = `GET http://localhost:${web.port}/ HTTP/1.1\r\nHost: localhost:${web.port}\r\n\r\n`
    expect((await ann.send(other).response()).status).toBe(401)
    expect((await ann.send(get(web.port, '/')).response()).body).toBe('for ann')
  })

  it('takes it along when it goes', async () => {
    const web = await office()
    const proxy = await stage()
    const ann = await proved(proxy, web.port, 'ann')
    expect(originConnections(proxy).length).toBe(1)
    ann.close()
    await until(() => originConnections(proxy).length === 0, 'the end of the connection to the server')
  })

  it('is let go when the server has closed it, so that it proves itself anew', async () => {
    const web = await office()
    const proxy = await stage()
    const ann = await proved(proxy, web.port, 'ann')
    proxy.clock.advance(ms(61_000)) // server_idle_pconn_timeout
    expect(await ann.send('').response().then(() => 'answered', () => 'closed')).toBe('closed')
    expect(originConnections(proxy).length).toBe(0)
  })
})

describe('the challenge', () => {
  const challengesOf = async (proxy: Stage, port: number) => {
    const { fields } = await proxy.ask(get(port))
    return [fields.joined('www-authenticate'), fields.get('proxy-support'), fields.joined('connection')]
  }

  it('is told to go by session on forward ports', async () => {
    const web = await office()
    expect(await challengesOf(await stage(), web.port)).toEqual(['NTLM, Basic realm="office"', 'Session-Based-Authentication', 'Proxy-Support'])
    const basic = await office(['Basic realm="office"'])
    expect(await challengesOf(await stage(), basic.port)).toEqual(['Basic realm="office"', undefined, undefined])
  })

  it('is kept from clients with connection-auth=off', async () => {
    const web = await office(['Negotiate', 'NTLM', 'Basic realm="office"'])
    const proxy = await stageOf('http_port 127.0.0.1:0 name=web connection-auth=off\nhttp_access allow all\n')
    expect(await challengesOf(proxy, web.port)).toEqual(['Basic realm="office"', undefined, undefined])
  })
})

it('curl --ntlm is let in through the proxy, and asks again on the same connection', async () => {
  const web = await office()
  const proxy = await stage()
  const url = `http://127.0.0.1:${web.port}/`
  const { stdout } = await run('curl', ['-s', '--noproxy', '', '-x', `http://127.0.0.1:${proxy.port('web')}`, '--ntlm', '-u', 'ann:sesame', `${url}1`, `${url}2`, '-d', 'posted'])
  expect(stdout).toBe('for curlpostedfor curlposted')
  expect(new Set(web.log.filter(line => line.endsWith(' curl')).map(line => line.slice(0, 1))).size).toBe(1)
})
