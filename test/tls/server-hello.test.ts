// What a server's first flight tells: real flights of OpenSSL, cut anywhere, and bytes that are none.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import tls from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import { readServerHello } from '../../src/tls/index.ts'
import { TestAuthority } from '../support/authority.ts'

const authority = new TestAuthority()
const leaf = authority.certify('flight.test')
afterAll(() => authority.remove())

/** What a server of this version says to a hello. */
const flight = async (maxVersion: tls.SecureVersion): Promise<Buffer> => {
  const server = tls.createServer({ cert: readFileSync(leaf.cert), key: readFileSync(leaf.key), maxVersion }).on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const between = net.createServer(client => {
    const behind = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
    client.on('error', () => {}).pipe(behind.on('error', () => {}))
    behind.once('data', (bytes: Buffer) => between.emit('flight', bytes))
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  const client = tls.connect({ port: (between.address() as net.AddressInfo).port, host: '127.0.0.1', servername: 'flight.test', rejectUnauthorized: false }).on('error', () => {})
  const [bytes] = (await once(between, 'flight')) as [Buffer]
  client.destroy()
  between.close()
  server.close()
  return bytes
}

describe('a first flight', () => {
  it('of TLS 1.2 has the certificate, however it is cut', async () => {
    const bytes = await flight('TLSv1.2')
    const whole = readServerHello(bytes)
    expect(whole).toMatchObject({ kind: 'hello', version: 0x0303 })
    expect(whole.kind === 'hello' && whole.certificate?.subject).toBe('CN=flight.test')
    let seen = 'partial'
    for (let end = 0; end <= bytes.length; end++) {
      const { kind } = readServerHello(bytes.subarray(0, end))
      expect(kind === seen || (seen === 'partial' && kind === 'hello'), `${kind} of ${end} bytes`).toBe(true)
      seen = kind
    }
  })

  it('of TLS 1.3 has none', async () => {
    expect(readServerHello(await flight('TLSv1.3'))).toEqual({ kind: 'hello', version: 0x0304, certificate: null })
  })

  it.each([
    ['a greeting', Buffer.from('220 mail.test\r\n')],
    ['an alert', Buffer.from('15030300020228', 'hex')],
    ['an empty record', Buffer.from('1603030000', 'hex')],
    ['another message first', Buffer.from('16030300040b000000', 'hex')],
    ['a hello too short', Buffer.from('1603030006020000020303', 'hex')],
  ])('%s is none', (_what, bytes) => expect(readServerHello(bytes)).toEqual({ kind: 'none' }))
})
