import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bytes, ms, wallMs } from '../../src/base/index.ts'
import { SessionCache } from '../../src/tls/index.ts'
import { daysFromNow, TestCa } from '../support/test-ca.ts'

// Sessions of servers are kept within a size and a time, and used once.

const ca = new TestCa()
let certificate: X509Certificate
beforeAll(() => {
  certificate = new X509Certificate(ca.make({ subject: '/CN=x', until: daysFromNow(1) }).cert)
})
afterAll(() => ca.remove())

const start = Date.now()
let now = start
const cacheOf = (size: number): SessionCache => new SessionCache({ bytesMax: bytes(size), ttl: ms(300_000) }, () => wallMs(now))
const session = (text = 'x'): { session: Buffer; certificate: X509Certificate } => ({ session: Buffer.from(text), certificate })

test('a session is taken once', () => {
  const cache = cacheOf(1e6)
  cache.store('a', session('one'))
  cache.store('a', session('two'))
  expect(cache.size).toBe(2)
  expect(cache.take('a')?.session.toString()).toBe('two')
  expect(cache.take('a')?.session.toString()).toBe('one')
  expect(cache.take('a')).toBe(undefined)
  expect([cache.size, cache.bytes]).toEqual([0, 0])
})

test('of one server so many are kept, the latest', () => {
  const cache = cacheOf(1e6)
  for (let i = 0; i < 40; i++) cache.store('a', session(String(i)))
  expect(cache.size).toBe(16)
  expect(Array.from({ length: 17 }, () => cache.take('a')?.session.toString())).toEqual([...Array.from({ length: 16 }, (_, i) => String(39 - i)), undefined])
  expect(cache.bytes).toBe(0)
})

test('it ends with its time, and with the certificate it stands for', () => {
  const cache = cacheOf(1e6)
  now = start
  cache.store('a', session())
  now += 299_999
  expect(cache.take('a')).not.toBe(undefined)
  cache.store('a', session())
  now += 300_000
  expect(cache.take('a')).toBe(undefined)
  now = Date.parse(certificate.validTo) - 1000
  cache.store('a', session())
  now += 1000
  expect(cache.take('a')).toBe(undefined)
  now = start
})

test('the size holds whatever is stored; the one stored first goes first', () => {
  const cache = cacheOf(20_000)
  for (let i = 0; i < 150; i++) {
    cache.store(`key ${i % 50}`, session('y'.repeat(100 * (i % 9))))
    expect(cache.bytes).toBeLessThanOrEqual(20_000)
  }
  expect(cache.take('key 49')).not.toBe(undefined)
  expect(cache.take('key 0')).toBe(undefined)
  const none = cacheOf(0)
  none.store('a', session())
  expect([none.size, none.bytes]).toEqual([0, 0])
})
