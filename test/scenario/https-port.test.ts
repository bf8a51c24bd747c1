// An https_port that shows its own certificates: the handshake, and HTTP as on any other port behind it. Clients are
// curl, wget, openssl and node:tls; the proxy's records say that it was the proxy who answered.

import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import tls from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import { TestAuthority } from '../support/authority.ts'
import { type Stage, site, stageOf, until } from './scene.ts'

const authority = new TestAuthority()
const others = new TestAuthority('Somebody else')
const one = authority.certify('one.test')
const two = authority.certify('two.test', 'DNS:two.test,DNS:*.two.test')
afterAll(() => {
  authority.remove()
  others.remove()
})

const accelerator = (port: number, more = ''): string => `
https_port 127.0.0.1:0 name=tls accel protocol=http allow-direct defaultsite=127.0.0.1:${port} no-vhost tls-cert=${one.cert} tls-key=${one.key} tls-cert=${two.both} ${more}
http_access allow all
`

interface Ran {
  readonly code: number
  readonly out: string
}

const run = (command: string, ...args: readonly string[]): Promise<Ran> =>
  new Promise(resolve => {
    const child = execFile(command, args, { timeout: 20_000, encoding: 'latin1', maxBuffer: 8_000_000 }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out: stdout + stderr }),
    )
    child.stdin?.end()
  })

const curl = (proxy: Stage, name: string, path = '/', ...more: readonly string[]): Promise<Ran> => {
  const port = proxy.port('tls')
  return run('curl', '-sS', '--http1.1', '--cacert', authority.ca.cert, '--resolve', `${name}:${port}:127.0.0.1`, ...more, `https://${name}:${port}${path}`)
}

const subjectShown = async (proxy: Stage, name: string): Promise<string> => {
  const { out } = await run('openssl', 's_client', '-connect', `127.0.0.1:${proxy.port('tls')}`, '-servername', name, '-CAfile', authority.ca.cert)
  return /subject=CN = (\S+)/.exec(out)?.[1] ?? out
}

describe('an https_port with its own certificate', () => {
  it('serves misses and hits to curl and wget', async () => {
    const origin = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'within' }))
    const proxy = await stageOf(accelerator(origin.port))
    expect(await curl(proxy, 'one.test')).toEqual({ code: 0, out: 'within' })
    expect(await run('wget', '-qO-', '--no-hsts', `--ca-certificate=${authority.ca.cert}`, '--no-check-certificate', `https://127.0.0.1:${proxy.port('tls')}/`)).toMatchObject({ out: 'within' })
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200'])
    expect(origin.requests).toHaveLength(1)
  })

  it('tls_key_log has the secrets of its sessions, for the clients it names', async () => {
    const origin = await site(() => ({}))
    const file = join(authority.folder, 'keys.log')
    const proxy = await stageOf(`${accelerator(origin.port)}acl other localport 1\nacl me myportname tls\ntls_key_log stdio:${file} if other`)
    const sessions = (): number => ((existsSync(file) ? readFileSync(file, 'latin1') : '').match(/^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]{64,96}$/gm) ?? []).length
    await curl(proxy, 'one.test')
    proxy.reload(`${accelerator(origin.port)}acl me myportname tls\ntls_key_log stdio:${file} if me`)
    await curl(proxy, 'one.test')
    proxy.clock.advance(2000) // lines are gathered
    await until(() => sessions() > 0, 'a session in the log')
    await proxy.stop()
    expect(sessions()).toBe(1)
  })

  it('shows the certificate that has the name, else the first', async () => {
    const origin = await site(() => ({}))
    const proxy = await stageOf(accelerator(origin.port))
    expect(await subjectShown(proxy, 'deep.two.test')).toBe('two.test')
    expect(await subjectShown(proxy, 'one.test')).toBe('one.test')
    expect(await subjectShown(proxy, 'three.test')).toBe('one.test')
    await until(() => proxy.machine.sessions === 0, 'the clients to go')
  })

  it('passes large contents both ways, whole', async () => {
    const large = Buffer.alloc(3_000_000, 'glass').toString('latin1')
    let came = 0
    const origin = await site(request => {
      request.on('data', (chunk: Buffer) => (came += chunk.length))
      return { content: large }
    })
    const proxy = await stageOf(accelerator(origin.port))
    const file = join(authority.folder, 'large')
    writeFileSync(file, large)
    const { code, out } = await curl(proxy, 'one.test', '/', '--data-binary', `@${file}`, '-H', 'Expect:')
    expect(code).toBe(0)
    expect(out === large).toBe(true)
    expect(came).toBe(large.length)
  })

  it('answers several requests of one connection, pipelined ones too, and closes with a word', async () => {
    const origin = await site((_request, nth) => ({ content: `answer ${nth}` }))
    const proxy = await stageOf(accelerator(origin.port))
    const socket = tls.connect({ port: proxy.port('tls'), host: '127.0.0.1', servername: 'one.test', ca: readFileSync(authority.ca.cert), ALPNProtocols: ['h2', 'http/1.1'] })
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    const ended = new Promise<void>((resolve, reject) => socket.on('end', resolve).on('error', reject))
    socket.write('GET /a HTTP/1.1\r\nHost: one.test\r\n\r\nGET /b HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n')
    await ended
    expect(socket.alpnProtocol).toBe('http/1.1')
    expect(text.match(/answer \d/g)).toEqual(['answer 0', 'answer 1'])
    socket.destroy()
  })

  it('records what is no TLS, and goes on', async () => {
    const origin = await site(() => ({ content: 'well' }))
    const proxy = await stageOf(accelerator(origin.port))
    const wire = await proxy.client('tls')
    wire.send('GET / HTTP/1.1\r\nHost: one.test\r\n\r\n')
    await until(() => proxy.records.length === 1, 'its record')
    expect(proxy.records[0]).toMatchObject({ result: 'NONE_NONE', status: 0, error: 'client-tls', method: 'NONE' })
    expect(await curl(proxy, 'one.test')).toEqual({ code: 0, out: 'well' })
  })

  it('gives up on a handshake that does not come', async () => {
    const proxy = await stageOf(accelerator(1, '') + 'request_timeout 10 seconds\n')
    await proxy.client('tls')
    await until(() => proxy.machine.sessions === 1, 'the session')
    proxy.clock.advance(11_000)
    await until(() => proxy.records.length === 1, 'its record')
    expect(proxy.records[0]).toMatchObject({ error: 'request-timeout', status: 0 })
  })

  it('asks for a certificate where clientca= is said, and lets in whose is good', async () => {
    const origin = await site(() => ({ content: 'known' }))
    const proxy = await stageOf(accelerator(origin.port, `clientca=${authority.ca.cert}`))
    const mine = authority.certify('client')
    const false1 = others.certify('client')
    expect(await curl(proxy, 'one.test', '/', '--cert', mine.cert, '--key', mine.key)).toEqual({ code: 0, out: 'known' })
    expect((await curl(proxy, 'one.test')).code).not.toBe(0)
    expect((await curl(proxy, 'one.test', '/', '--cert', false1.cert, '--key', false1.key)).code).not.toBe(0)
    expect(origin.requests).toHaveLength(1)
    await until(() => proxy.records.length === 3, 'their records')
    expect(proxy.records.slice(1).map(({ error }) => error)).toEqual(['client-tls', 'client-tls'])
  })

  it('speaks no version below tls-min-version', async () => {
    const origin = await site(() => ({ content: 'new' }))
    const proxy = await stageOf(accelerator(origin.port, 'tls-min-version=1.3'))
    expect((await curl(proxy, 'one.test', '/', '--tls-max', '1.2')).code).not.toBe(0)
    expect(await curl(proxy, 'one.test')).toEqual({ code: 0, out: 'new' })
  })

  it('without a mode is a forward proxy that is spoken to in TLS', async () => {
    const origin = await site(() => ({ content: 'forward' }))
    const proxy = await stageOf(`https_port 127.0.0.1:0 name=tls tls-cert=${authority.certify('proxy', 'IP:127.0.0.1').both}\nhttp_access allow all\n`)
    const { out } = await run('curl', '-sS', '--proxy-cacert', authority.ca.cert, '-x', `https://127.0.0.1:${proxy.port('tls')}`, `http://127.0.0.1:${origin.port}/`)
    expect(out).toBe('forward')
    expect(await proxy.results(1)).toEqual(['TCP_MISS/200'])
  })
})

describe('the files of an https_port', () => {
  it('a key with a passphrase is opened by sslpassword_program', async () => {
    const locked = join(authority.folder, 'locked.key')
    execFileSync('openssl', ['ec', '-in', one.key, '-aes128', '-passout', 'pass:open sesame', '-out', locked], { stdio: 'ignore' })
    const asked = join(authority.folder, 'asked')
    const origin = await site(() => ({ content: 'open' }))
    const conf = accelerator(origin.port).replace(`tls-key=${one.key}`, `tls-key=${locked}`)
    await expect(stageOf(conf)).rejects.toThrow('the key needs a passphrase, and there is no sslpassword_program')
    const program = join(authority.folder, 'password.sh')
    writeFileSync(program, `#!/bin/sh\nprintf %s "$1" > ${asked}\necho open sesame\n`, { mode: 0o755 })
    const proxy = await stageOf(`sslpassword_program ${program}\n${conf}`)
    expect(await curl(proxy, 'one.test')).toEqual({ code: 0, out: 'open' })
    expect(readFileSync(asked, 'utf8')).toBe(locked)
  })

  it.each([
    ['a file that is not there', '/nowhere.pem', '/nowhere.pem cannot be read (ENOENT)'],
    ['no certificate', one.key, 'PEM'],
    ['no key', one.cert, 'there is no private key in it'],
  ])('%s is told', async (_what, file, text) => {
    await expect(stageOf(`https_port 127.0.0.1:0 accel defaultsite=x tls-cert=${file}\n`)).rejects.toThrow(text)
  })

  it('a key of another certificate is told', async () => {
    await expect(stageOf(`https_port 127.0.0.1:0 accel defaultsite=x tls-cert=${one.cert} tls-key=${two.key}\n`)).rejects.toThrow('it is not the key of')
  })
})
