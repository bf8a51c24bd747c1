// ICAP services (RFC 3507) between clients and origins: what they see, and what becomes of what they answer, or do not.
// A scripted service says exactly the bytes that matter; Debian's c-icap, where it is installed, says what a real one says.

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CountIcap } from '../../src/icap/index.ts'
import { fetched, get, origin, raw, request, site, stage, until } from './scene.ts'

const options = (vector: string, ...lines: string[]) =>
  `ICAP/1.0 200 OK\r\nMethods: ${vector}\r\nISTag: "1"\r\nOptions-TTL: 3600\r\nEncapsulated: null-body=0\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`

/** A service that answers OPTIONS and, to each other request it has read up to `until`, what it is told. */
const service = async (vector: string, offered: readonly string[], answer: (text: string, socket: net.Socket, nth: number) => string | null) => {
  const heard: string[] = []
  const made = await raw(socket => {
    let text = ''
    socket.on('error', () => {}).on('data', chunk => {
      text += chunk.toString('latin1')
      if (text.startsWith('OPTIONS ') && text.endsWith('\r\n\r\n')) {
        text = ''
        socket.write(options(vector, ...offered))
        return
      }
      const said = answer(text, socket, heard.length)
      if (said === null) return
      heard.push(text)
      text = ''
      socket.write(said, 'latin1')
    })
  })
  return { port: made.port, heard }
}

const confOf = (vector: string, port: number, more = 'bypass=off') =>
  `icap_enable on\nicap_service svc ${vector}_precache icap://127.0.0.1:${port}/x ${more}\nadaptation_access svc allow all\n`

const unchanged = 'ICAP/1.0 204 No Content\r\nISTag: "1"\r\n\r\n'

/** 200 with an HTTP response in it. */
const responseOf = (head: string, body: string) =>
  `ICAP/1.0 200 OK\r\nISTag: "1"\r\nEncapsulated: res-hdr=0, res-body=${head.length}\r\n\r\n${head}${chunked(body)}`

const chunked = (body: string) => `${body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n\r\n`

const wholeChunks = (text: string) => text.endsWith('\r\n0\r\n\r\n') || text.endsWith('0; ieof\r\n\r\n')

/** A service that answers each request with a response of its own, and keeps its connections. */
const says200 = (socket: net.Socket): void => {
  let text = ''
  socket.on('error', () => {}).on('data', chunk => {
    text += chunk.toString('latin1')
    if (text.startsWith('OPTIONS')) socket.write(options('RESPMOD'))
    else if (wholeChunks(text)) socket.write(responseOf('HTTP/1.1 200 OK\r\n\r\n', 'seen'))
    else return
    text = ''
  })
}

describe('RESPMOD', () => {
  it('tells of the client X-Forwarded-For names, or of who is connected', async () => {
    const server = await site(() => ({}))
    const icap = await service('RESPMOD', [], text => (wholeChunks(text) ? responseOf('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n', 'changed') : null))
    for (const more of ['', 'adaptation_uses_indirect_client off\n']) {
      const proxy = await stage(`${confOf('respmod', icap.port)}adaptation_send_client_ip on\nacl balancer src 127.0.0.1\nfollow_x_forwarded_for allow balancer\nacl_uses_indirect_client off\n${more}`)
      await proxy.ask(get(server.port, '/', 'X-Forwarded-For: 10.1.2.3'))
    }
    expect(icap.heard.map(told => /X-Client-IP: (.*)\r/.exec(told)?.[1])).toEqual(['10.1.2.3', '127.0.0.1'])
  })

  it('a changed response is what the client gets and what is stored', async () => {
    const server = await site(() => ({ fields: ['Cache-Control: max-age=100'], content: 'plain' }))
    const icap = await service('RESPMOD', [], text =>
      wholeChunks(text) ? responseOf('HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\nX-Seen: yes\r\nContent-Length: 7\r\n\r\n', 'changed') : null)
    const proxy = await stage(`${confOf('respmod', icap.port)}adaptation_send_client_ip on\nadaptation_meta X-Of sales\n`)
    const first = await proxy.ask(get(server.port))
    const again = await proxy.ask(get(server.port))
    expect([first.status, first.body, first.fields.get('x-seen')]).toEqual([200, 'changed', 'yes'])
    expect(again.body).toBe('changed')
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
    const [told = ''] = icap.heard
    expect(told).toMatch(/^RESPMOD icap:\/\/127\.0\.0\.1:\d+\/x ICAP\/1\.0\r\n/)
    expect(told).toContain('X-Client-IP: 127.0.0.1\r\n')
    expect(told).toContain('X-Of: sales\r\n')
    const [, places = '', enclosed = ''] = /Encapsulated: ([^\r]*)\r\n(?:[^\r]+\r\n)*\r\n([\s\S]*)/.exec(told) ?? []
    const [, response = '', body = ''] = /^req-hdr=0, res-hdr=(\d+), res-body=(\d+)$/.exec(places) ?? []
    expect(enclosed.slice(0, 4)).toBe('GET ')
    expect(enclosed.slice(Number(response), Number(response) + 12)).toBe('HTTP/1.1 200')
    expect(enclosed.slice(Number(body))).toBe('5\r\nplain\r\n0\r\n\r\n')
  })

  it('a preview that is enough: 204, and the rest goes by', async () => {
    const content = 'x'.repeat(300_000)
    const server = await site(() => ({ content }))
    const icap = await service('RESPMOD', ['Preview: 10', 'Allow: 204'], text => (text.endsWith('\r\n0\r\n\r\n') ? unchanged : null))
    const proxy = await stage(confOf('respmod', icap.port))
    for (const _ of [1, 2]) expect((await proxy.ask(get(server.port))).body === content).toBe(true)
    expect(icap.heard.map(text => text.endsWith(`\r\n\r\na\r\n${'x'.repeat(10)}\r\n0\r\n\r\n`))).toEqual([true, true])
    expect(icap.heard[0]).toContain('Preview: 10\r\n')
  })

  it('a preview that is the whole says so', async () => {
    const server = await site(() => ({ content: 'short' }))
    const icap = await service('RESPMOD', ['Preview: 10', 'Allow: 204'], text => (text.endsWith('0; ieof\r\n\r\n') ? unchanged : null))
    const proxy = await stage(confOf('respmod', icap.port))
    expect((await proxy.ask(get(server.port))).body).toBe('short')
  })

  it('100: the rest follows, and comes out changed while it goes in', async () => {
    const server = await site(() => ({ content: 'y'.repeat(200_000) }))
    let answered = false
    const icap = await raw(socket => {
      let text = ''
      socket.on('error', () => {}).on('data', chunk => {
        text += chunk.toString('latin1')
        if (text.startsWith('OPTIONS')) {
          text = ''
          socket.write(options('RESPMOD', 'Preview: 4'))
        } else if (text.includes('\r\nyyyy\r\n0\r\n\r\n') && !answered) {
          answered = true
          text = ''
          socket.write('ICAP/1.0 100 Continue\r\n\r\n')
        } else if (answered && text.endsWith('\r\n0\r\n\r\n')) {
          const bytes = text.replaceAll(/[^y]/g, '').length + 4
          socket.write(responseOf('HTTP/1.1 200 OK\r\n\r\n', `${bytes}`))
        }
      })
    })
    const proxy = await stage(confOf('respmod', icap.port))
    expect((await proxy.ask(get(server.port))).body).toBe('200000')
  })

  it.each([
    ['closes at once', (_: string, socket: net.Socket) => (socket.destroy(), null)],
    ['speaks something else', () => 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['says 500', () => 'ICAP/1.0 500 Server error\r\n\r\n'],
    ['lies about its parts', () => 'ICAP/1.0 200 OK\r\nEncapsulated: res-body=5, res-hdr=0\r\n\r\nHTTP/'],
    ['asks to go on without a preview', () => 'ICAP/1.0 100 Continue\r\n\r\n'],
    ['has a head without an end', () => `ICAP/1.0 200 OK\r\nX: ${'x'.repeat(70_000)}`],
  ])('a service that %s: 500, or past it where the conf says bypass', async (_, answer) => {
    const server = await site(() => ({ content: 'plain' }))
    const icap = await service('RESPMOD', [], (text, socket) => (wholeChunks(text) ? answer(text, socket) : null))
    const strict = await stage(confOf('respmod', icap.port))
    const refused = await strict.ask(get(server.port))
    expect([refused.status, refused.fields.get('x-squid-error')?.split(' ')[0]]).toEqual([500, 'ERR_ICAP_FAILURE'])
    const easy = await stage(confOf('respmod', icap.port, 'bypass=on'))
    expect((await easy.ask(get(server.port))).body).toBe('plain')
  })

  it('more content than it declared is cut off, not passed on', async () => {
    const server = await site(() => ({ content: 'plain' }))
    const icap = await service('RESPMOD', [], text =>
      wholeChunks(text) ? responseOf('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', 'abcHTTP/1.1 200 OK\r\n\r\n') : null)
    const proxy = await stage(confOf('respmod', icap.port))
    const wire = await proxy.client()
    wire.send(get(server.port))
    expect(await wire.closed()).not.toContain('abcHTTP')
  })

  it('a silent service: its time is bounded', async () => {
    const server = await site(() => ({ content: 'plain' }))
    const icap = await service('RESPMOD', [], () => null)
    const proxy = await stage(`${confOf('respmod', icap.port)}icap_io_timeout 10 seconds`)
    const wire = await proxy.client()
    const answer = wire.send(get(server.port)).response()
    let done = false
    void answer.then(() => (done = true))
    await until(() => {
      proxy.clock.advance(1000)
      return done
    }, 'the refusal')
    expect((await answer).status).toBe(500)
  })

  it('a dead service rests after its failures, and is asked again after the delay', async () => {
    const server = await site(() => ({ content: 'plain' }))
    let alive = false
    const icap = await raw(socket => void (alive ? says200(socket) : socket.destroy()))
    const proxy = await stage(`${confOf('respmod', icap.port, 'bypass=on')}icap_service_revival_delay 60`)
    for (const _ of [1, 2, 3]) expect((await proxy.ask(get(server.port))).body).toBe('plain')
    expect(icap.connections).toBe(1)
    alive = true
    expect((await proxy.ask(get(server.port))).body).toBe('plain')
    proxy.clock.advance(61_000)
    expect((await proxy.ask(get(server.port))).body).toBe('seen')
  })

  it('what is only taken for whole (detect_broken_pconn) is shown to it, and not stored', async () => {
    const server = await raw(socket => {
      socket.on('error', () => {}).once('data', () => socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n\r\nhello'))
    })
    const head = 'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n\r\n'
    for (const changes of [true, false]) {
      const icap = await service('RESPMOD', changes ? [] : ['Allow: 204'], text => (wholeChunks(text) ? (changes ? responseOf(head, 'changed') : 'ICAP/1.0 204 No\r\nISTag: "1"\r\n\r\n') : null))
      const proxy = await stage(`${confOf('respmod', icap.port)}detect_broken_pconn on`)
      const wire = (await proxy.client()).send(get(server.port))
      await fetched(proxy, head.length + 5)
      proxy.clock.advance(11_000)
      expect((await wire.response()).body).toBe(changes ? 'changed' : 'hello')
      await proxy.results(1)
      expect(proxy.records[0]?.storeReason).toBe('incomplete')
    }
  })

  it('a connection to it is kept no longer than pconn_lifetime', async () => {
    const server = await site(() => ({}))
    const icap = await raw(says200)
    const proxy = await stage(`${confOf('respmod', icap.port)}pconn_lifetime 30 seconds`)
    const connections: number[] = []
    for (const _ of [1, 2, 3]) {
      expect((await proxy.ask(get(server.port))).body).toBe('seen')
      connections.push(icap.connections)
      proxy.clock.advance(12_000)
    }
    await until(() => icap.connections === 1 && proxy.machine.comm.fdTable().every(({ note }) => note !== 'icap'), 'the end of its connection')
    expect((await proxy.ask(get(server.port))).body).toBe('seen')
    expect([...connections, icap.connections]).toEqual([1, 1, 1, 2])
  })

  it('a set uses the next where one fails; a chain uses all', async () => {
    const server = await site(() => ({ content: 'a' }))
    const dead = await raw(socket => void socket.destroy())
    const adds = (letter: string) =>
      service('RESPMOD', [], text => {
        if (!wholeChunks(text)) return null
        const body = /\r\n([a-z]+)\r\n0\r\n\r\n$/.exec(text)?.[1] ?? ''
        return responseOf('HTTP/1.1 200 OK\r\n\r\n', body + letter)
      })
    const [b, c] = [await adds('b'), await adds('c')]
    const services = [dead, b, c].map(({ port }, i) => `icap_service s${i} respmod_precache icap://127.0.0.1:${port}/x\n`).join('')
    const set = await stage(`icap_enable on\n${services}adaptation_service_set any s0 s1\nadaptation_access any allow all`)
    expect((await set.ask(get(server.port))).body).toBe('ab')
    const chain = await stage(`icap_enable on\n${services}adaptation_service_chain all3 s1 s2 s1\nadaptation_access all3 allow all`)
    expect((await chain.ask(get(server.port))).body).toBe('abcb')
  })

  it('a client that leaves in the middle leaves nothing behind', async () => {
    const server = await origin((_, response) => void response.write('x'))
    const icap = await service('RESPMOD', [], () => null)
    const proxy = await stage(confOf('respmod', icap.port))
    const wire = await proxy.client()
    wire.send(get(server.port))
    await until(() => proxy.machine.comm.fdTable().some(({ note, bytesWritten }) => note === 'icap' && bytesWritten > 200), 'the message')
    wire.close()
    await until(() => proxy.machine.comm.fdTable().every(({ note }) => note !== 'icap'), 'the end of its connection')
  })
})

describe('REQMOD', () => {
  it('adaptation_service is matched once the service, or one of the set, has been shown the request', async () => {
    const server = await site(() => ({ content: 'plain' }))
    const icap = await service('REQMOD', [], text => (text.endsWith('\r\n\r\n') ? unchanged : null))
    const conf = confOf('reqmod', icap.port).replace('allow all', 'deny quiet\nadaptation_access svc allow all')
    for (const name of ['svc', 'team']) {
      const proxy = await stage(`acl quiet url_regex quiet\n${conf}adaptation_service_set team svc\nacl shown adaptation_service ${name}\nhttp_reply_access deny shown\n`)
      expect([(await proxy.ask(get(server.port, '/quiet'))).status, (await proxy.ask(get(server.port, '/'))).status]).toEqual([200, 403])
    }
    expect(icap.heard.length).toBe(2)
  })

  it('the service answers: no server is asked', async () => {
    const server = await site(() => ({ content: 'plain' }))
    const icap = await service('REQMOD', [], text =>
      text.endsWith('\r\n\r\n') ? responseOf('HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n', 'no') : null)
    const proxy = await stage(confOf('reqmod', icap.port))
    const wire = await proxy.client()
    for (const _ of [1, 2]) {
      const answer = await wire.send(get(server.port)).response()
      expect([answer.status, answer.body]).toEqual([403, 'no'])
    }
    expect(server.requests.length).toBe(0)
    expect((await proxy.results(2))[0]).toMatch(/\/403$/)
  })

  it('a changed request is what the server gets, content and all', async () => {
    const bodies: string[] = []
    const server = await origin((incoming, response) => {
      let body = ''
      incoming.on('data', chunk => (body += String(chunk))).on('end', () => {
        bodies.push(`${incoming.method} ${incoming.url} ${String(incoming.headers['x-new'])} ${body}`)
        response.end('ok')
      })
    })
    const icap = await service('REQMOD', [], text => {
      if (!wholeChunks(text)) return null
      const head = `POST http://127.0.0.1:${server.port}/other HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nX-New: 1\r\nContent-Length: 3\r\n\r\n`
      return `ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, req-body=${head.length}\r\n\r\n${head}${chunked('new')}`
    })
    const proxy = await stage(confOf('reqmod', icap.port))
    const answer = await proxy.ask(request('POST', server.port, '/one', ['Content-Length: 3'], 'old'))
    expect([answer.status, answer.body]).toEqual([200, 'ok'])
    expect(bodies).toEqual(['POST /other 1 new'])
  })

  it('204 after a preview: the server gets all of what the client sent', async () => {
    let received = 0
    const server = await origin((incoming, response) => {
      incoming.on('data', (chunk: Buffer) => (received += chunk.length)).on('end', () => response.end('ok'))
    })
    const icap = await service('REQMOD', ['Preview: 100', 'Allow: 204'], text => (text.endsWith('\r\n0\r\n\r\n') ? unchanged : null))
    const proxy = await stage(confOf('reqmod', icap.port))
    const answer = await proxy.ask(request('POST', server.port, '/', ['Content-Length: 500000'], 'z'.repeat(500_000)))
    expect([answer.status, received]).toEqual([200, 500_000])
  })

  it('a dead service: 500, or past it', async () => {
    const server = await site(() => ({ content: 'plain' }))
    const icap = await raw(socket => void socket.destroy())
    const strict = await stage(confOf('reqmod', icap.port))
    expect((await strict.ask(request('POST', server.port, '/', ['Content-Length: 3'], 'old'))).status).toBe(500)
    const easy = await stage(confOf('reqmod', icap.port, 'bypass=on'))
    expect((await easy.ask(get(server.port))).body).toBe('plain')
  })
})

const there = spawnSync('c-icap', ['-V'], { stdio: 'ignore' }).error === undefined
if (!there) console.warn('c-icap is not installed (bin/setup --test brings it): what a real ICAP service says is NOT tested')

describe.skipIf(!there)("Debian's c-icap, its echo service", () => {
  let folder = ''
  let port = 0
  let child: ReturnType<typeof spawn> | null = null

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'glassquid-icap-'))
    const probe = net.createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    port = (probe.address() as net.AddressInfo).port
    probe.close()
    await once(probe, 'close')
    const library = spawnSync('sh', ['-c', 'ls -d /usr/lib/*/c_icap /usr/lib/c_icap 2>/dev/null | head -1']).stdout.toString().trim()
    writeFileSync(join(folder, 'conf'), `PidFile ${folder}/pid\nCommandsSocket ${folder}/ctl\nPort 127.0.0.1:${port}\nStartServers 1\nMaxServers 1
ThreadsPerChild 5\nMinSpareThreads 1\nMaxSpareThreads 5\nTmpDir ${folder}\nServicesDir ${library}\nModulesDir ${library}\nLoadMagicFile /etc/c-icap/c-icap.magic
ServerLog ${folder}/server.log\nAccessLog ${folder}/access.log\nService echo srv_echo.so\n`)
    child = spawn('c-icap', ['-N', '-f', join(folder, 'conf')], { stdio: 'ignore' })
    await until(() => reads('access.log') !== null, 'c-icap')
    for (let open = false; !open; ) {
      const socket = net.connect(port, '127.0.0.1')
      open = await new Promise<boolean>(resolve => socket.on('connect', () => resolve(true)).on('error', () => resolve(false)))
      socket.destroy()
    }
  })

  afterAll(async () => {
    const ended = child === null ? null : once(child, 'exit')
    child?.kill()
    await ended
    rmSync(folder, { recursive: true, force: true })
  })

  const reads = (name: string): string | null => {
    try {
      return readFileSync(join(folder, name), 'latin1')
    } catch {
      return null
    }
  }

  it('requests and responses of all sizes come through it unharmed, over few connections', async () => {
    const server = await origin((incoming, response) => {
      const pieces: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => void pieces.push(chunk)).on('end', () => response.end(Buffer.concat(pieces)))
    })
    const proxy = await stage(`icap_enable on
icap_service in reqmod_precache icap://127.0.0.1:${port}/echo
icap_service out respmod_precache icap://127.0.0.1:${port}/echo
adaptation_access in allow all
adaptation_access out allow all`)
    const before = CountIcap.connections
    for (const size of [0, 1, 1023, 1024, 1025, 65_536, 65_537, 3_000_000]) {
      const content = Array.from({ length: Math.ceil(size / 10) }, (_, i) => String(i).padStart(10, '.')).join('').slice(0, size)
      const answer = await proxy.ask(request('POST', server.port, `/${size}`, [`Content-Length: ${size}`], content))
      expect([size, answer.status, answer.body.length, answer.body === content]).toEqual([size, 200, size, true])
    }
    // each service has its own, which carries everything
    expect(proxy.machine.comm.fdTable().filter(({ note }) => note === 'icap').map(({ ageMs }) => ageMs)).toEqual([0, 0])
    expect(CountIcap.connections - before).toBe(2)
    const logged = () => reads('access.log') ?? ''
    await until(() => logged().split('RESPMOD').length - 1 === 8, 'c-icap to log eight responses')
    expect(logged().split('REQMOD').length - 1).toBe(8)
  }, 30_000)
})
