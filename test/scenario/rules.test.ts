// Rules, zones, detectors and NAT on the running machine: which service a connection gets, seen at the server it reaches
// and in session_log; nothing that a detector read is lost; a reload of the rules costs nobody a connection.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endpoint } from '../../src/base/index.ts'
import { plainSocket } from '../support/datagram-kit.ts'
import { get, raw, site, type Stage, stageOf, until } from './scene.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Says its name, then everything it hears. */
const echo = (name: string) =>
  raw(socket => {
    socket.write(`${name}:`)
    socket.pipe(socket)
  })

const plug = (name: string, port: number, options = ''): string =>
  `service ${name} plug router=${name} ${options}\nrouter ${name} directed 127.0.0.1:${port}\n`

/** What comes back for `sent` from a client at `from`, then FIN; or the code of the error. */
const ask = (proxy: Stage, sent: string, from = '127.0.0.1'): Promise<string> =>
  new Promise(resolve => {
    const socket = net.connect({ port: proxy.port('in'), host: '127.0.0.1', localAddress: from })
    let text = ''
    socket.on('data', piece => void (text += piece.toString('latin1')))
    socket.on('error', error => resolve('code' in error ? String(error.code) : error.message))
    socket.on('close', () => resolve(text === '' ? 'closed' : text))
    socket.end(sent, 'latin1')
  })

const sessionLog = (): readonly Record<string, unknown>[] =>
  readFileSync(join(folder, 'sessions.log'), 'utf8').trim().split('\n').map(line => JSON.parse(line) as Record<string, unknown>)

const listens = 'listener 127.0.0.1:0 rules name=in\n'

describe('rules', () => {
  it('choose by where a client is, and the record says rule and zones', async () => {
    const [one, two] = [await echo('one'), await echo('two')]
    const proxy = await stageOf(
      `${listens}session_log ${join(folder, 'sessions.log')}\n${plug('first', one.port)}${plug('second', two.port)}`
      + 'zone here 127.0.0.0/8\nzone guests parent=here 127.0.0.2\nrule id=7 src_zone=here service=first\nrule src_zone=guests service=second\n',
    )
    expect([await ask(proxy, 'a'), await ask(proxy, 'b', '127.0.0.2')]).toEqual(['one:a', 'two:b'])
    await until(() => proxy.machine.sessions === 0, 'the end of the sessions')
    await proxy.stop()
    expect(sessionLog()).toMatchObject([
      { service: 'first', rule: 7, clientZone: 'here', serverZone: 'here', verdict: 'ACCEPTED' },
      { service: 'second', rule: 1, clientZone: 'guests', serverZone: 'here', verdict: 'ACCEPTED' },
    ])
  })

  it('that do not match leave the connection to the next listener there, or close it', async () => {
    const server = await echo('one')
    const proxy = await stageOf(`${listens}${plug('first', server.port)}rule src=10.0.0.0/8 service=first\n`)
    expect(await ask(proxy, 'a')).toMatch(/closed|ECONNRESET/)
    expect(proxy.said.some(text => text.includes('nobody waits for it'))).toBe(true)
    proxy.reload(`${listens}${plug('first', server.port)}rule src=127.0.0.0/8 acl=here service=first\nacl here myportname in\n`.replace(/(rule.*\n)(acl.*\n)/, '$2$1'))
    expect(await ask(proxy, 'b')).toBe('one:b')
  })

  it('deny, and an outbound= that does not name the service', async () => {
    const server = await echo('one')
    const conf = `${listens}session_log ${join(folder, 'sessions.log')}\n${plug('mail', server.port)}service nobody deny\n`
    const proxy = await stageOf(`${conf}zone here 127.0.0.1\nrule src_zone=here service=nobody\nrule service=mail\n`)
    expect(await ask(proxy, 'a')).toBe('ECONNRESET')
    proxy.reload(`${conf}zone here outbound=mail 127.0.0.1\nrule service=mail\n`)
    expect([await ask(proxy, 'a'), await ask(proxy, 'b', '127.0.0.9')]).toEqual(['one:a', expect.stringMatching(/closed|ECONNRESET/)])
    await until(() => proxy.machine.sessions === 0, 'the end of the sessions')
    await proxy.stop()
    expect(sessionLog().map(({ service, verdict }) => `${service} ${verdict}`)).toEqual(['nobody DENIED_BY_POLICY', 'mail ACCEPTED', 'mail DENIED_BY_POLICY'])
  })
})

describe('datagrams', () => {
  it('get a service of the same rules, and detectors do not keep them waiting', async () => {
    const [tcp, udp] = [await echo('tcp'), await plainSocket('127.0.0.1', content => Buffer.from(`<${content.toString()}>`))]
    const proxy = await stageOf(
      `${listens}receiver 127.0.0.1:0 rules name=names\n${plug('stream', tcp.port)}${plug('names', udp.at.port, 'idle_timeout=1s')}`
      + 'detector h http\nrule proto=udp src_iface=none0 detect=h:stream service=stream\nrule proto=udp src=127.0.0.0/8 detect=h:stream service=names\nrule service=stream\n',
    )
    const client = await plainSocket('127.0.0.1')
    try {
      client.send('one', endpoint('127.0.0.1', proxy.port('names')))
      await client.has(1)
      expect(client.got.map(({ text }) => text)).toEqual(['<one>'])
      expect(await ask(proxy, 'two')).toBe('tcp:two')
    } finally {
      proxy.clock.advance(70_000) // flows have no other end
      for (const socket of [client, udp]) socket.close()
    }
  })
})

describe('the target', () => {
  it('is looked at as it is after DNAT', async () => {
    const server = await raw(socket => void socket.pipe(socket))
    const conf = (zone: string) =>
      `${listens}session_log ${join(folder, 'sessions.log')}\nrule service=mail\nservice mail plug router=fixed dnat=inside limit_target_zones=allowed\n`
      + `router fixed directed 192.0.2.1:${server.port}\nnat_policy inside one_to_one 192.0.2.0/24 127.0.0.0/24\nzone allowed ${zone}\nzone other 192.0.2.0/24\n`
    const proxy = await stageOf(conf('127.0.0.0/8'))
    expect(await ask(proxy, 'through')).toBe('through')
    proxy.reload(conf('10.0.0.0/8'))
    expect(await ask(proxy, 'through')).toBe('ECONNRESET')
    await until(() => proxy.records.length === 2 && proxy.machine.sessions === 0, 'the records')
    expect(proxy.records[1]).toMatchObject({ error: 'denied', errorDetail: '127.0.0.1 is in no zone, where mail may not go' })
    await proxy.stop()
    expect(sessionLog()).toMatchObject([{ verdict: 'ACCEPTED', serverZone: 'allowed' }, { verdict: 'DENIED_BY_POLICY' }])
  })

  it('in a zone whose inbound= does not name the service cannot be reached', async () => {
    const server = await echo('one')
    const conf = `${listens}${plug('mail', server.port)}${plug('ftp', server.port)}`
    const proxy = await stageOf(`${conf}zone servers inbound=ftp 127.0.0.0/8\nrule service=mail\nrule src=127.0.0.2 service=ftp\n`)
    expect([await ask(proxy, 'a'), await ask(proxy, 'a', '127.0.0.2')]).toEqual(['ECONNRESET', 'one:a'])
  })

  it('that an hash policy does not know is refused', async () => {
    const server = await echo('one')
    const proxy = await stageOf(`${listens}${plug('mail', server.port, 'dnat=table')}nat_policy table hash 127.0.0.9=127.0.0.1\nrule service=mail\n`)
    expect(await ask(proxy, 'a')).toBe('ECONNRESET')
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ error: 'denied', errorDetail: 'nat_policy table (dnat) does not map 127.0.0.1' })
  })
})

describe.each(['native', 'node'] as const)('detectors on the %s engine', engine => {
  const machine = async () => {
    const [web, shell, rest] = [await echo('web'), await echo('ssh'), await echo('rest')]
    const proxy = await stageOf(
      `${listens}${plug('web', web.port)}${plug('shell', shell.port)}${plug('rest', rest.port)}`
      + 'detector http http\ndetector ssh ssh timeout=2s\nrule detect=http:web,ssh:shell service=rest\n',
      engine,
    )
    return proxy
  }

  it('give the service of what is spoken, and lose nothing', async () => {
    const proxy = await machine()
    const long = `GET / HTTP/1.1\r\n${'x'.repeat(100_000)}`
    const answers = await Promise.all([ask(proxy, 'GET / HTTP/1.1\r\n\r\n'), ask(proxy, 'SSH-2.0-test\r\n'), ask(proxy, 'HELO x\r\n'), ask(proxy, ''), ask(proxy, 'GE'), ask(proxy, long)])
    expect(answers).toEqual(['web:GET / HTTP/1.1\r\n\r\n', 'ssh:SSH-2.0-test\r\n', 'rest:HELO x\r\n', 'rest:', 'rest:GE', `web:${long}`])
  })

  it('give a web request to the http proxy whole', async () => {
    const [web, rest] = [await site(() => ({ content: 'from the site' })), await echo('rest')]
    const proxy = await stageOf(
      `${listens}http_access allow all\nservice web http router=inband\n${plug('rest', rest.port)}detector h http\nrule detect=h:web service=rest\n`, engine,
    )
    const wire = await proxy.client('in')
    expect((await wire.send(get(web.port)).response()).body).toBe('from the site')
    expect((await wire.send(get(web.port, '/two')).response()).status).toBe(200)
    expect(await ask(proxy, 'HELO x\r\n')).toBe('rest:HELO x\r\n')
  })

  it('wait for the rest of a first line', async () => {
    const proxy = await machine()
    const socket = net.connect({ port: proxy.port('in'), host: '127.0.0.1', noDelay: true })
    let got = ''
    socket.on('data', piece => void (got += piece.toString()))
    await once(socket, 'connect')
    for (const piece of ['G', 'ET / HT', 'TP/1.1\r', '\nHost: x\r\n']) {
      const before = proxy.machine.comm.counters.bytesRead
      socket.write(piece)
      await until(() => proxy.machine.comm.counters.bytesRead > before, 'the piece at the proxy')
    }
    await until(() => got.endsWith('Host: x\r\n'), 'the echo')
    expect(got).toBe('web:GET / HTTP/1.1\r\nHost: x\r\n')
    socket.destroy()
  })

  it('who keeps silent gets the service of the rule when time is over', async () => {
    const proxy = await machine()
    const socket = net.connect({ port: proxy.port('in'), host: '127.0.0.1' })
    await once(socket, 'connect')
    await until(() => proxy.machine.comm.fdTable().some(({ kind, peer }) => kind === 'connection' && peer?.port === socket.localPort), 'the connection at the proxy')
    const told = once(socket, 'data')
    proxy.clock.advance(4999)
    expect(proxy.machine.sessions).toBe(0)
    proxy.clock.advance(1)
    expect(String((await told)[0])).toBe('rest:')
    socket.destroy()
  })

  it('who keeps silent keeps nobody else on the port waiting', async () => {
    const proxy = await machine()
    const silent = Array.from({ length: 50 }, () => net.connect(proxy.port('in'), '127.0.0.1'))
    for (const socket of silent) socket.on('error', () => {}).resume()
    await Promise.all(silent.map(socket => once(socket, 'connect')))
    // the clock stands still: nobody's time is over
    expect(await ask(proxy, 'GET / HTTP/1.1\r\n')).toBe('web:GET / HTTP/1.1\r\n')
    expect(proxy.machine.sessions).toBeLessThanOrEqual(1) // none of the silent ones
    for (const socket of silent) socket.destroy()
  })

  it('a client that goes meanwhile leaves nothing behind', async () => {
    const proxy = await machine()
    const socket = net.connect({ port: proxy.port('in'), host: '127.0.0.1' })
    await once(socket, 'connect')
    socket.write('SSH-')
    await until(() => proxy.machine.comm.counters.bytesRead >= 4, 'the bytes at the proxy')
    socket.resetAndDestroy()
    await until(() => proxy.machine.comm.fdTable().every(({ kind }) => kind !== 'connection'), 'the end of the connection')
    expect(proxy.records).toEqual([])
  })
})

describe('a reload', () => {
  it('of the rules again and again costs none of a thousand connections', { timeout: 60_000 }, async () => {
    const [one, two] = [await echo('one'), await echo('two')]
    const conf = (first: string, second: string) =>
      `${listens}${plug('one', one.port)}${plug('two', two.port)}zone here 127.0.0.0/8\ndetector http http\n`
      + `rule src_zone=here service=${first}\nrule src=127.0.0.2 detect=http:${second} service=${second}\n`
    const proxy = await stageOf(conf('one', 'two'))
    let reloads = 0
    let running = true
    const reloading = (async () => {
      while (running) {
        proxy.reload(reloads++ % 2 === 0 ? conf('two', 'one') : conf('one', 'two'))
        await new Promise(setImmediate)
      }
    })()
    const answers: string[] = []
    const client = async (from: string) => {
      for (let i = 0; i < 50; i++) answers.push(await ask(proxy, `GET /${i} HTTP/1.1\r\n`, from))
    }
    await Promise.all(Array.from({ length: 20 }, (_, i) => client(i % 2 === 0 ? '127.0.0.1' : '127.0.0.2')))
    running = false
    await reloading
    expect(answers).toHaveLength(1000)
    expect(answers.filter(answer => !/^(one|two):GET \/\d+ HTTP\/1\.1\r\n$/.test(answer))).toEqual([])
    // both sets were in force while they came
    expect(new Set(answers.map(answer => answer.slice(0, 3)))).toEqual(new Set(['one', 'two']))
    expect(reloads).toBeGreaterThan(20)
  })
})
