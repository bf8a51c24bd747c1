// Stacking on the running machine: a plug's bytes through a program, or through another proxy. What a program says before
// its first byte decides; one that dies, hangs or floods costs its own session and nothing else, and leaves nothing behind.

import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CountStack } from '../../src/proxy/index.ts'
import { isAlive, program as testProgram } from '../support/gateway.ts'
import { raw, site, type Stage, stageOf, until } from './scene.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-stack-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const through = (port: number, stack: string, chainer = ''): string =>
  `listener 127.0.0.1:0 service=mail name=in
service mail plug router=fixed ${stack === '' ? '' : 'stack=middle'} ${chainer === '' ? '' : 'chainer=beside'}
router fixed directed 127.0.0.1:${port}
${stack === '' ? '' : `stack middle ${stack}`}
${chainer === '' ? '' : `chainer beside ${chainer}`}
`

const program = (text: string, more = ''): string => `program="${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}" ${more}`

/** A shell cannot end one half of a socket. */
const bothWays = `exec 6<&0 7<&1 </dev/null >/dev/null; exec ${process.execPath} ${testProgram('both-ways')}`

const echo = () => raw(socket => void socket.pipe(socket))

const dial = (proxy: Stage): net.Socket => net.connect({ port: proxy.port('in'), host: '127.0.0.1' }).on('error', () => {})

/** Everything it gets to its end; `code` of its error, '' if it ended well. */
const whole = (socket: net.Socket): Promise<{ text: string; code: string }> =>
  new Promise(resolve => {
    let [text, code] = ['', '']
    socket.setEncoding('latin1').on('data', piece => {
      text += piece
    })
    socket.on('error', error => {
      code = 'code' in error ? String(error.code) : error.message
    })
    socket.on('close', () => resolve({ text, code }))
  })

const said = async (proxy: Stage, text: string) => {
  const client = dial(proxy)
  client.end(text)
  return whole(client)
}

describe('a program', () => {
  it.each([
    ['to_server', 'tr a-z A-Z', 'HELLO'],
    ['to_client', 'tr a-z A-Z', 'HELLO'],
    ['both', bothWays, 'hello'],
  ])('direction=%s: what goes that way goes through it', async (direction, command, expected) => {
    const server = await echo()
    const proxy = await stageOf(through(server.port, program(command, `direction=${direction}`)))
    expect(await said(proxy, 'hello')).toEqual({ text: expected, code: '' })
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ status: 200, errorDetail: 'done', requestContentBytes: 5, responseBytes: 5, error: null })
  })

  it('passes a lot, in both directions at once, and holds back whoever is faster', async () => {
    const server = await echo()
    const proxy = await stageOf(through(server.port, program(bothWays)))
    const sent = 'x'.repeat(3_000_000)
    const { text, code } = await said(proxy, sent)
    expect([text.length, code]).toEqual([sent.length, ''])
  })

  it('knows of the session from its environment', async () => {
    const server = await echo()
    const proxy = await stageOf(through(server.port, program('echo $GLASSQUID_SESSION $GLASSQUID_SERVICE $GLASSQUID_SERVER; cat', 'direction=to_server')))
    expect((await said(proxy, '')).text).toBe(`svc/mail:1 mail 127.0.0.1:${server.port}\n`)
  })
})

describe('a verdict', () => {
  it.each([
    ['reject', 'virus found', 'DENIED_BY_POLICY', 403],
    ['drop', 'not for you', 'DENIED_BY_POLICY', 403],
    ['error', 'no database', 'DENIED_BY_UNKNOWN_FAIL', 500],
  ])('%s, before a byte has reached the server', async (verdict, text, expected, status) => {
    const got: string[] = []
    const server = await raw(socket => void socket.on('data', piece => got.push(String(piece))))
    const refused = CountStack.refused
    const path = join(folder, 'log')
    const proxy = await stageOf(`${through(server.port, program(`read line; echo SETVERDICT ${verdict} ${text} >&3; sleep 60`, 'direction=to_server'))}session_log ${path}\n`)
    const client = dial(proxy)
    client.write('EICAR\n')
    expect(await whole(client)).toEqual({ text: '', code: 'ECONNRESET' })
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ status, errorDetail: `stack middle: ${verdict} (${text})` })
    expect([got, CountStack.refused]).toEqual([[], refused + 1])
    await proxy.stop()
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ verdict: expected })
  })

  it('accept lets it pass, and one that comes later than the payload still ends the session', async () => {
    const server = await echo()
    const proxy = await stageOf(through(server.port, program('echo SETVERDICT Z_ACCEPT >&3; read line; echo "$line"; read line; echo SETVERDICT reject late >&3; sleep 60', 'direction=to_server')))
    const client = dial(proxy)
    client.write('one\n')
    expect(String((await once(client, 'data'))[0])).toBe('one\n')
    client.write('two\n')
    expect((await whole(client)).code).toBe('ECONNRESET')
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]?.errorDetail).toBe('stack middle: reject (late)')
  })
})

describe('a program that misbehaves', () => {
  it.each([
    ['dies at once', 'exit 3', 'ended with 3'],
    ['is killed', 'kill -9 $$', 'ended by SIGKILL'],
    ['is none', 'nonexistent-program-of-this-test', 'ended with 127'],
    ['babbles on its control channel', 'echo hello >&3; sleep 60', "said 'hello' on its control channel"],
    ['floods its control channel', 'yes | tr -d "\\n" >&3; sleep 60', 'floods its control channel'],
  ])('%s: the session is refused, with the reason in cache.log', async (_how, command, why) => {
    const server = await echo()
    const proxy = await stageOf(through(server.port, program(command, 'direction=to_server')))
    const client = dial(proxy)
    client.write('x')
    expect(await whole(client)).toEqual({ text: '', code: 'ECONNRESET' })
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ status: 500, errorDetail: `stack middle: error (${why})` })
    expect(proxy.said).toContain(`WARNING: stack middle: the program ${why}`)
  })

  it('says nothing: its time is up, it is asked to end and then killed, and it is gone', async () => {
    const server = await echo()
    const pidFile = join(folder, 'pid')
    const proxy = await stageOf(through(server.port, program(`trap : TERM; echo $$ > ${pidFile}; while :; do sleep 0.1; done`, 'direction=to_server timeout=10s')))
    const client = dial(proxy)
    client.write('x')
    await until(() => existsSync(pidFile) && readFileSync(pidFile, 'latin1').trim() !== '', 'the program')
    const pid = Number(readFileSync(pidFile, 'latin1'))
    const over = whole(client)
    proxy.clock.advance(10_000)
    expect((await over).code).toBe('ECONNRESET')
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]?.errorDetail).toBe('stack middle: error (said nothing in time)')
    proxy.clock.advance(5000)
    expect(isAlive(pid)).toBe(true)
    proxy.clock.advance(5000)
    await until(() => !isAlive(pid), 'the end of the program')
  })

  it('floods: it is held back, others are served, and its end is the end of the session', async () => {
    const server = await echo()
    const plain = 'listener 127.0.0.1:0 service=plain name=plain\nservice plain plug router=fixed\n'
    const proxy = await stageOf(through(server.port, program('yes', 'direction=to_client')) + plain)
    const client = dial(proxy)
    await once(client, 'data')
    client.pause()
    await until(() => proxy.machine.comm.fdTable().some(entry => entry.note === 'stack middle 1' && entry.bytesRead > 100_000), 'the flood')
    let [held, looks] = [0, 0]
    await until(() => {
      const now = proxy.machine.comm.fdTable().find(entry => entry.note === 'stack middle 1')?.bytesRead ?? 0
      looks = now === held ? looks + 1 : 0
      held = now
      return looks === 20
    }, 'its being held back')
    const other = net.connect({ port: proxy.port('plain'), host: '127.0.0.1' })
    other.end('served')
    expect(await whole(other)).toEqual({ text: 'served', code: '' })
    client.destroy()
    await until(() => proxy.machine.sessions === 0, 'the end of the sessions')
    expect(proxy.machine.comm.fdTable().filter(entry => entry.note.startsWith('stack'))).toEqual([])
  })

  it('is not blamed for a client that leaves before it has said anything', async () => {
    const server = await echo()
    const failed = CountStack.failed
    const proxy = await stageOf(through(server.port, program('sleep 60', 'direction=to_server')))
    const client = dial(proxy)
    client.write('x')
    await until(() => proxy.machine.comm.fdTable().some(entry => entry.note === 'stack middle 0' && entry.bytesWritten > 0), 'the payload')
    client.resetAndDestroy()
    await until(() => proxy.records.length === 1, 'the record')
    expect(proxy.records[0]).toMatchObject({ status: 200, errorDetail: 'reset' })
    expect([CountStack.failed, proxy.said.filter(text => text.includes('stack'))]).toEqual([failed, []])
  })

  it('does not outlive the process', async () => {
    const server = await echo()
    const pidFile = join(folder, 'pid')
    const proxy = await stageOf(through(server.port, program(`trap : TERM; echo $$ > ${pidFile}; while :; do sleep 0.1; done`, 'direction=to_server')))
    const client = dial(proxy)
    await until(() => existsSync(pidFile) && readFileSync(pidFile, 'latin1').trim() !== '', 'the program')
    const pid = Number(readFileSync(pidFile, 'latin1'))
    client.destroy()
    await proxy.stop()
    await until(() => !isAlive(pid), 'the end of the program')
  })

  it('leaves in the middle: the session breaks off', async () => {
    const server = await echo()
    const proxy = await stageOf(through(server.port, program('read line; echo "$line"; read line; exit 1', 'direction=to_server')))
    const client = dial(proxy)
    client.write('one\n')
    expect(String((await once(client, 'data'))[0])).toBe('one\n')
    client.write('two\n')
    expect((await whole(client)).code).toBe('ECONNRESET')
  })
})

describe('a proxy in the middle', () => {
  it('plug behind plug: the bytes are the same, and the session knows the server', async () => {
    const server = await echo()
    const path = join(folder, 'log')
    const proxy = await stageOf(`${through(server.port, 'proxy=plug')}session_log ${path}\n`)
    const sent = 'y'.repeat(1_000_000)
    const { text, code } = await said(proxy, sent)
    expect([text === sent, code]).toEqual([true, ''])
    await until(() => proxy.records.length === 2 && proxy.machine.sessions === 0, 'both records')
    expect(proxy.records.map(record => record.sessionId).sort()).toEqual(['svc/mail:1/plug', 'svc/mail:1/plug/plug'])
    await proxy.stop()
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ id: 'svc/mail:1', server: `127.0.0.1:${server.port}`, bytesFromClient: sent.length, bytesToClient: sent.length })
  })

  it('http behind plug, and http beside http: requests are answered, and from the cache', async () => {
    const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'page' }))
    const conf = `http_access allow all\n${through(web.port, 'proxy=http')}
listener 127.0.0.1:0 service=front name=front
service front http router=fixed chainer=side
chainer side side_stack right=http
`
    const proxy = await stageOf(conf)
    for (const port of ['in', 'front']) {
      for (let i = 0; i < 2; i++) {
        const wire = await proxy.client(port)
        const response = await wire.send('GET /page HTTP/1.1\r\nHost: site.test\r\n\r\n').response()
        expect([response.status, response.body]).toEqual([200, 'page'])
        wire.close()
      }
    }
    await until(() => proxy.machine.sessions === 0, 'the end of the sessions')
    expect(web.requests.length).toBe(1)
    expect(proxy.records.filter(record => record.method === 'GET').map(record => record.result)).toContain('TCP_MEM_HIT')
  })

  it('side_stack: plug beside plug; deny beside it turns away', async () => {
    const server = await echo()
    const proxy = await stageOf(through(server.port, '', 'side_stack right=plug right_chainer=connect'))
    expect(await said(proxy, 'sideways')).toEqual({ text: 'sideways', code: '' })
    proxy.reload(through(server.port, '', 'side_stack right=deny'))
    expect((await said(proxy, 'x')).text).toBe('')
  })

  it('a server that cannot be had is felt through both', async () => {
    const nobody = await echo()
    await nobody.close()
    const proxy = await stageOf(through(nobody.port, 'proxy=plug'))
    expect(await said(proxy, 'x')).toEqual({ text: '', code: 'ECONNRESET' })
    await until(() => proxy.records.length === 2, 'both records')
    expect(proxy.records.map(record => record.status).sort()).toEqual([200, 503])
  })
})
