// user_cert and ca_cert: access by what the certificate of a TLS client says. Clients are curl; their certificates, some with
// names made to look like another attribute, come from openssl.

import { execFile } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Made, TestCa } from '../support/test-ca.ts'
import { type Stage, site, stageOf } from './scene.ts'

const ca = new TestCa()
afterAll(() => ca.remove())
let root: Made
let serverFile: string
let rootFile: string
beforeAll(() => {
  root = ca.make({ subject: '/O=Company/CN=Clients', ca: true })
  const server = ca.make({ subject: '/CN=proxy', names: 'IP:127.0.0.1', by: root })
  serverFile = ca.write('server.pem', server.cert + server.key)
  rootFile = ca.write('root.pem', root.cert)
})

const conf = (port: number, lines: string, options = ''): string => `
https_port 127.0.0.1:0 name=tls accel allow-direct defaultsite=127.0.0.1:${port} no-vhost protocol=http tls-cert=${serverFile} clientca=${rootFile} ${options}
${lines}
http_access deny all
`

/** 000 = no answer. */
const statusFor = (proxy: Stage, made: Made | null): Promise<string> =>
  new Promise(resolve => {
    const own = made === null ? [] : ['--cert', ca.write('client.pem', made.cert + made.key)]
    const args = ['-sS', '--http1.1', '--cacert', rootFile, ...own, '-o', '/dev/null', '-w', '%{http_code}', `https://127.0.0.1:${proxy.port('tls')}/`]
    execFile('curl', args, { timeout: 20_000 }, (_error, stdout) => resolve(stdout))
  })

test.each([
  ['user_cert CN alice', '/O=Staff/CN=alice', '200'],
  ['user_cert CN alice', '/O=Staff/CN=bob', '403'],
  ['user_cert CN bob alice', '/CN=alice', '200'],
  ['user_cert 2.5.4.10 Staff', '/O=Staff/CN=bob', '200'],
  ['user_cert O', '/O=Staff/CN=bob', '200'],
  ['user_cert O', '/CN=bob', '403'],
  ['user_cert DN /CN=bob/O=Staff', '/O=Staff/CN=bob', '200'],
  ['user_cert O Staff', '/CN=bob\\/O=Staff', '403'],
  ['user_cert CN "a, b"', '/CN=a, b', '200'],
  ['ca_cert CN Clients', '/CN=bob', '200'],
  ['ca_cert CN Others', '/CN=bob', '403'],
])('acl who %s, of %s: %s', async (acl, subject, status) => {
  const origin = await site(() => ({ content: 'in' }))
  const proxy = await stageOf(conf(origin.port, `configuration_includes_quoted_values on\nacl who ${acl}\nhttp_access allow who`))
  expect(await statusFor(proxy, ca.make({ subject, by: root }))).toBe(status)
  expect(await proxy.results(1)).toEqual([status === '200' ? 'TCP_MISS/200' : 'TCP_DENIED/403'])
})

test('where a certificate may be left out (CONDITIONAL_AUTH), one that anybody could have made is not believed', async () => {
  const origin = await site(() => ({ content: 'in' }))
  const proxy = await stageOf(conf(origin.port, 'acl alice user_cert CN alice\nhttp_access allow alice', 'sslflags=CONDITIONAL_AUTH'))
  expect(await statusFor(proxy, ca.make({ subject: '/CN=alice', by: root }))).toBe('200')
  expect(await statusFor(proxy, null)).toBe('403')
  expect(await statusFor(proxy, ca.make({ subject: '/CN=alice' }))).toBe('000')
  expect(origin.requests).toHaveLength(1)
})
