import net from 'node:net'
import tls from 'node:tls'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { ms } from '../../src/base/index.ts'
import { detectorOf } from '../../src/dispatch/detect/index.ts'
import { readClientHello } from '../../src/tls/index.ts'

// What is told from first bytes: matches, what cannot be one, and that every beginning of a match is undecided until it
// is whole, wherever it is cut.

const look = (kind: 'http' | 'ssh' | 'tls', ...sni: readonly string[]) => {
  const { look: of } = detectorOf({ name: 'd', kind, sni, timeout: ms(5000), uses: [], text: '', at: { file: '', line: 0, column: 0, from: null } })
  return (bytes: string | Buffer) => of(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
}

/** Every beginning is undecided, the whole is a match. */
const growsIntoMatch = (of: (bytes: Buffer) => string, whole: Buffer): void => {
  for (let cut = 0; cut < whole.length; cut++) expect(of(whole.subarray(0, cut)), `the first ${cut} bytes`).toBe('undecided')
  expect(of(whole)).toBe('match')
}

describe('http', () => {
  test.each(['GET / HTTP/1.0\r\n', 'POST / HTTP/1.1\r\n', '\r\nGET / HTTP/1.1\r\n', 'M-SEARCH * HTTP/1.1\n', 'CONNECT a:443 HTTP/1.1\r\n', 'GET /caf\xe9 HTTP/1.1\r\n'])(
    '%j', text => growsIntoMatch(look('http'), Buffer.from(text, 'latin1')),
  )
  test.each([
    'SSH-2.0-x\r\n', '\x16\x03\x01', 'GET  / HTTP/1.1\r\n', 'GET / HTTP/2.0\r\n', 'GET / HTTP/1.2', 'GET /\r\n', 'PRI * HTTP/2.0\r\n\r\n', '(GET) / ',
    'GET / HTTP/1.1 x', `${'A'.repeat(40)} `, `GET /${'x'.repeat(9000)}`, 'HELO mail.example\r\n', 'GET /\x01',
  ])('%j is none', text => expect(look('http')(text)).toBe('no'))
})

describe('ssh', () => {
  const longest = `SSH-2.0-${'x'.repeat(245)}\r\n`
  test.each(['SSH-2.0-x\r\n', 'SSH-1.99-x\r\n', 'SSH-1.99-x\n', 'SSH-2.0-OpenSSH_9.9 Debian-3\r\n', 'SSH-2.0-x \r\n', longest])(
    '%j', text => growsIntoMatch(look('ssh'), Buffer.from(text, 'latin1')),
  )
  test('nothing is undecided', () => expect(look('ssh')('')).toBe('undecided'))
  test.each([
    'SSH-1.8-x\r\n', `SSH-2.0-${'x'.repeat(246)}\r\n`, 'SSH-2.0-\r\n', 'SSH-2.0 x\r\n', 'SSH-2.0-x-y\r\n', 'SSH-2.0-x\ty\r\n', 'SSH-2.0-x\n', 'GET', 'SSH-3',
    'x'.repeat(300),
  ])('%j is none', text => expect(look('ssh')(text)).toBe('no'))
})

/** The hello a real client sends. */
const realHello = async (options: tls.ConnectionOptions): Promise<Buffer> => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const arrived = once(server, 'connection')
  const client = tls.connect({ ...options, host: '127.0.0.1', port, rejectUnauthorized: false })
  client.on('error', () => {})
  const [socket] = (await arrived) as [net.Socket]
  socket.on('error', () => {})
  const [hello] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  client.destroy()
  server.close()
  return hello
}

/** A hello cut into records of `size` bytes. */
const inRecords = (hello: Buffer, size: number): Buffer => {
  const handshake = hello.subarray(5)
  const records: Buffer[] = []
  for (let at = 0; at < handshake.length; at += size) {
    const part = handshake.subarray(at, at + size)
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part)
  }
  return Buffer.concat(records)
}

/** A hello of our own, for what real clients do not send. */
const madeHello = (extensions: Buffer | null): Buffer => {
  const body = Buffer.concat([
    Buffer.from([3, 3]), Buffer.alloc(32, 7), Buffer.from([0]), Buffer.from([0, 2, 0x13, 0x01]), Buffer.from([1, 0]),
    ...(extensions === null ? [] : [Buffer.from([extensions.length >> 8, extensions.length & 255]), extensions]),
  ])
  const handshake = Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 255]), body])
  return Buffer.concat([Buffer.from([22, 3, 1, handshake.length >> 8, handshake.length & 255]), handshake])
}

const extension = (type: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.from([type >> 8, type & 255, content.length >> 8, content.length & 255]), content])

const nameExtension = (name: string): Buffer => {
  const list = Buffer.concat([Buffer.from([0, name.length >> 8, name.length & 255]), Buffer.from(name, 'latin1')])
  return extension(0, Buffer.concat([Buffer.from([list.length >> 8, list.length & 255]), list]))
}

describe('tls', () => {
  test('a hello of OpenSSL, cut anywhere, in segments and in records', async () => {
    const hello = await realHello({ servername: 'www.bank.example' })
    expect(readClientHello(hello)).toMatchObject({ kind: 'hello', serverName: 'www.bank.example', version: 0x0303, offered: 0x0304 })
    growsIntoMatch(look('tls'), hello)
    for (const size of [4, 100, 500]) growsIntoMatch(look('tls', '.bank.example'), inRecords(hello, size))
    expect(look('tls')(Buffer.concat([hello, Buffer.from('early data')]))).toBe('match')
  })

  test('names', async () => {
    const hello = await realHello({ servername: 'WWW.bank.example' })
    const of = (...sni: readonly string[]) => look('tls', ...sni)(hello)
    expect([of(), of('www.bank.example'), of('.bank.example'), of('.www.bank.example'), of('bank.example'), of('.other', '.example')]).toEqual(
      ['match', 'match', 'match', 'match', 'no', 'match'],
    )
  })

  test('a hello without a name is one, and none of any domain', async () => {
    const hello = await realHello({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
    expect([look('tls')(hello), look('tls', '.example')(hello)]).toEqual(['match', 'no'])
    expect(readClientHello(madeHello(null))).toMatchObject({ kind: 'hello', serverName: null })
  })

  test('unknown extensions, as GREASE sends them, are passed over', () => {
    const grease = extension(0x0a0a, Buffer.alloc(0))
    const hello = madeHello(Buffer.concat([grease, extension(0xfafa, Buffer.alloc(9)), nameExtension('a.example')]))
    expect(readClientHello(hello)).toMatchObject({ kind: 'hello', serverName: 'a.example' })
  })

  const good = madeHello(nameExtension('a.example'))
  const changed = (at: number, ...bytes: readonly number[]): Buffer => {
    const copy = Buffer.from(good)
    bytes.forEach((byte, i) => {
      copy[at + i] = byte
    })
    return copy
  }
  test.each([
    ['another record type', changed(0, 23)], ['an empty record', Buffer.from([22, 3, 1, 0, 0])], ['a record of 40 KB', Buffer.from([22, 3, 1, 160, 0])],
    ['record version 3.5', changed(2, 5)], ['record version 2', changed(1, 2)], ['another handshake', changed(5, 2)], ['hello version 3.5', changed(10, 5)],
    ['hello version 2', changed(9, 2)], ['a session id beyond the end', changed(43, 200)], ['extensions beyond the end', changed(50, 255, 255)],
    ['a name beyond its list', changed(good.length - 11, 255, 255)], ['a hello too short', Buffer.from([22, 3, 1, 0, 5, 1, 0, 0, 1, 3])], ['a request', Buffer.from('GET / HTTP/1.1\r\n')],
  ])('%s is none', (_what, bytes) => expect(readClientHello(bytes).kind).toBe('none'))

  test('a name that could not be one names nothing', () =>
    expect(readClientHello(madeHello(nameExtension('a b\x00c')))).toMatchObject({ kind: 'hello', serverName: null }))
})
