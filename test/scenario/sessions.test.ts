// Sessions on the running machine: limits that are told aloud, the list and the stopping of one, and the record in
// session_log. The list is what `glassquid sessions` shows.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { get, raw, site, type Stage, stageOf, until } from './scene.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const echo = () => raw(socket => void socket.pipe(socket))

const plugTo = (port: number, options = ''): string =>
  `listener 127.0.0.1:0 service=mail name=in\nservice mail plug router=fixed ${options}\nrouter fixed directed 127.0.0.1:${port}\n`

/** Connected, and a word has gone there and back. */
const speaking = async (proxy: Stage): Promise<net.Socket> => {
  const socket = net.connect({ port: proxy.port('in'), host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.write('hello')
  await once(socket, 'data')
  return socket
}

const ended = (socket: net.Socket): Promise<unknown> => new Promise(resolve => socket.resume().on('close', resolve))

const page = async (proxy: Stage, name: string, args: Record<string, string> = {}) => {
  const answer = await proxy.machine.manager.find(name)?.render(new URLSearchParams(args))
  if (answer === undefined) throw new Error(`there is no page ${name}`)
  return answer.ok ? answer.text() : `${answer.status} ${answer.reason}`
}

describe('a limit', () => {
  it('of a service turns one more away, aloud, and the place is free when somebody leaves', async () => {
    const server = await echo()
    const proxy = await stageOf(plugTo(server.port, 'max_sessions=1'))
    const first = await speaking(proxy)
    await ended(net.connect({ port: proxy.port('in'), host: '127.0.0.1' }))
    expect(proxy.said.filter(text => text.includes('turned away'))).toEqual(['WARNING: 127.0.0.1 is turned away: mail has 1 sessions'])
    first.destroy()
    await until(() => proxy.machine.sessions === 0, 'the end of the session')
    ;(await speaking(proxy)).destroy()
  })

  it.each(['max_sessions 1', 'client_ip_max_connections 1', 'client_ip_max_connections 0'])('%s is for all services, and holds over a reload', async line => {
    const [server, web] = [await echo(), await site(() => ({ content: 'ok' }))]
    const conf = `${plugTo(server.port)}http_port 127.0.0.1:0 name=web\nhttp_access allow all\n`
    const proxy = await stageOf(`${conf}${line}\n`)
    const standing = await speaking(proxy)
    const turnedAway = await proxy.client()
    await turnedAway.send(get(web.port)).response().then(() => expect.fail('answered'), () => {})
    proxy.reload(`${conf}${line}\n`)
    const again = await proxy.client()
    await again.send(get(web.port)).response().then(() => expect.fail('answered'), () => {})
    proxy.reload(conf)
    expect((await proxy.ask(get(web.port))).status).toBe(200)
    standing.destroy()
  })
})

describe('the operator', () => {
  it('sees sessions, also those of a former conf, and ends one of them', async () => {
    const server = await echo()
    const proxy = await stageOf(plugTo(server.port))
    const first = await speaking(proxy)
    proxy.reload(plugTo(server.port))
    const second = await speaking(proxy)
    const list = await page(proxy, 'sessions')
    expect(list).toMatch(/^Sessions: 2\nsvc\/mail:1 127\.0\.0\.1:\d+ > 127\.0\.0\.1:\d+ > 127\.0\.0\.1:\d+ from 127\.0\.0\.1:\d+ bytes /)
    expect(list).toContain('\nsvc/mail:2 ')
    expect(await page(proxy, 'sessions', { service: 'MAIL', limit: '1' })).toMatch(/^Sessions: 2, the first 1 of them\nsvc\/mail:1 /)
    expect(await page(proxy, 'sessions', { client: '10.9.9.9' })).toBe('Sessions: 0\n')
    expect(await page(proxy, 'stop_session', { id: 'svc/mail:7' })).toBe('404 there is no session svc/mail:7')
    expect(await page(proxy, 'stop_session', { id: 'mail' })).toMatch(/^400 /)
    const over = ended(first)
    expect(await page(proxy, 'stop_session', { id: 'svc/mail:1' })).toBe('svc/mail:1 is ended\n')
    await over
    second.destroy()
  })
})

describe('session_log', () => {
  it('holds a record of each session: verdict, ends, bytes', async () => {
    const [server, nobody] = [await echo(), await echo()]
    await nobody.close()
    const path = join(folder, 'session.log')
    const proxy = await stageOf(
      `${plugTo(server.port)}session_log stdio:${path}
service dead plug router=dead
router dead directed 127.0.0.1:${nobody.port}
listener 127.0.0.1:0 service=dead name=dead
service none deny
listener 127.0.0.1:0 service=none name=none
`,
    )
    const one = await speaking(proxy)
    one.end()
    await ended(one)
    for (const name of ['dead', 'none']) {
      const socket = net.connect({ port: proxy.port(name), host: '127.0.0.1' })
      socket.on('error', () => {})
      await ended(socket)
    }
    await until(() => proxy.machine.sessions === 0, 'the end of the sessions')
    await proxy.stop()
    const records = readFileSync(path, 'utf8').trim().split('\n').map(line => JSON.parse(line))
    expect(records).toMatchObject([
      {
        id: 'svc/mail:1', verdict: 'ACCEPTED', service: 'mail', listener: 'in', rule: null, protocol: 'tcp', taken: 'direct', clientZone: null,
        client: expect.stringMatching(/^127\.0\.0\.1:\d+$/), server: `127.0.0.1:${server.port}`, serverLocal: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        bytesFromClient: 5, bytesToClient: 5, end: 'done',
      },
      { id: 'svc/dead:1', verdict: 'DENIED_BY_CONNECTION_FAIL', server: null, bytesFromClient: 0 },
      { id: 'svc/none:1', verdict: 'DENIED_BY_POLICY' },
    ])
  })
})
