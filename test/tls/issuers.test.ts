import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endpoint, wallMs } from '../../src/base/index.ts'
import { Issuers, issuerUri } from '../../src/tls/index.ts'
import type { Trust } from '../../src/tls/server-proof.ts'
import { type Made, TestCa } from '../support/test-ca.ts'

// Chains are completed with what certificates say of their issuers: fetched once, looked at, kept within limits. The source is
// a list here; what it may be asked for belongs to cli and is seen in the lab.

const ca = new TestCa()
const pointing = (name: string): string[] => [`authorityInfoAccess=OCSP;URI:http://ocsp.example/,caIssuers;URI:http://ca.example/${name}`]
let root: Made
let upper: Made
let lower: Made
let leaf: X509Certificate
const x509 = ({ cert }: Made): X509Certificate => new X509Certificate(cert)
beforeAll(() => {
  root = ca.make({ subject: '/CN=Root', ca: true })
  upper = ca.make({ subject: '/CN=Upper', ca: true, by: root, more: pointing('root') })
  lower = ca.make({ subject: '/CN=Lower', ca: true, by: upper, more: pointing('upper') })
  leaf = x509(ca.make({ subject: '/CN=leaf', by: lower, more: pointing('lower') }))
})
afterAll(() => ca.remove())

const from = endpoint('203.0.113.1', 443)
let now = 1_700_000_000_000

interface Play {
  readonly issuers: Issuers
  readonly asked: string[]
  /** Answers the oldest question that waits. */
  answer(content: Buffer | null): void
  complete(certificate?: X509Certificate, intermediates?: readonly X509Certificate[]): Promise<readonly string[] | null>
}

const play = (shelf: Readonly<Record<string, Buffer>> | null): Play => {
  const issuers = new Issuers(() => wallMs(now))
  const asked: string[] = []
  const waiting: ((content: Buffer | null) => void)[] = []
  issuers.source = {
    fetch(uri, _from, done) {
      asked.push(uri.replace('http://ca.example/', ''))
      if (shelf === null) waiting.push(done)
      else queueMicrotask(() => done(shelf[asked.at(-1) ?? ''] ?? null))
      return { cancel() {} }
    },
  }
  const trustWith = (intermediates: readonly X509Certificate[]): Trust => ({ roots: [x509(root)], intermediates, crls: false })
  return {
    issuers,
    asked,
    answer: content => waiting.shift()?.(content),
    complete: (certificate = leaf, intermediates = []) =>
      new Promise(resolve => issuers.complete(certificate, trustWith(intermediates), from, found => resolve(found?.map(({ subject }) => subject ?? '') ?? null))),
  }
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await Promise.resolve()
}

describe('a chain', () => {
  test('is completed step by step, in DER or PEM, and the next time nothing is fetched', async () => {
    const { complete, asked, issuers } = play({ lower: x509(lower).raw, upper: Buffer.from(upper.cert) })
    expect(await complete()).toEqual(['CN=Lower', 'CN=Upper'])
    expect(await complete()).toEqual(['CN=Lower', 'CN=Upper'])
    expect(asked).toEqual(['lower', 'upper'])
    expect(issuers.counters).toEqual({ fetched: 2, useless: 0 })
    const next = new Issuers(() => wallMs(now))
    next.takeOver(issuers)
    expect(next.known.length).toBe(2)
  })

  test('needs only what is not there', async () => {
    const { complete, asked } = play({ lower: x509(lower).raw })
    expect(await complete(leaf, [x509(upper)])).toEqual(['CN=Lower'])
    expect(asked).toEqual(['lower'])
  })

  test('that leads to no root of ours stays as it is, and a root is not fetched into trust', async () => {
    const stranger = ca.make({ subject: '/CN=Stranger', ca: true })
    const lost = x509(ca.make({ subject: '/CN=lost', by: stranger, more: pointing('stranger') }))
    const { complete, asked } = play({ stranger: x509(stranger).raw })
    expect(await complete(lost)).toBe(null)
    expect(asked).toEqual(['stranger'])
  })

  test.each([
    ['is not to be had', () => null],
    ['is a page', () => Buffer.from('<html>not found</html>')],
    ['has the name, and another key', () => x509(ca.make({ subject: '/CN=Lower', ca: true, by: upper })).raw],
    ['is another one', () => x509(upper).raw],
  ])('whose issuer %s: not completed, and for ten minutes not asked again', async (_what, content) => {
    const made = content()
    const { complete, asked, issuers } = play(made === null ? {} : { lower: made })
    expect(await complete()).toBe(null)
    expect(await complete()).toBe(null)
    expect(asked).toEqual(['lower'])
    expect(issuers.known).toEqual([])
    now += 600_000
    expect(await complete()).toBe(null)
    expect(asked).toEqual(['lower', 'lower'])
  })
})

test('many who need the same wait for one fetch; who has gone is not told', async () => {
  const { complete, asked, answer, issuers } = play(null)
  const three = [complete(leaf, [x509(upper)]), complete(leaf, [x509(upper)]), complete(leaf, [x509(upper)])]
  const gone = issuers.complete(leaf, { roots: [x509(root)], intermediates: [], crls: false }, from, () => expect.unreachable('it has gone'))
  await turns()
  gone.cancel()
  expect(asked).toEqual(['lower'])
  answer(x509(lower).raw)
  expect(await Promise.all(three)).toEqual(Array(3).fill(['CN=Lower']))
})

test('only so many are fetched at a time', async () => {
  const { complete, asked } = play(null)
  for (let i = 0; i < 20; i++) void complete(x509(ca.make({ subject: `/CN=l${i}`, by: lower, more: pointing(`way/${i}`) })))
  await turns()
  expect(asked.length).toBe(8)
})

test('only http is followed, and only what stands under CA Issuers', () => {
  const of = (line: string): string | null => issuerUri(x509(ca.make({ subject: '/CN=u', more: line === '' ? [] : [line] })))
  expect(of('authorityInfoAccess=OCSP;URI:http://x/,caIssuers;URI:http://ca.example/a.cer')).toBe('http://ca.example/a.cer')
  expect(of('authorityInfoAccess=caIssuers;URI:ldap://x/a,caIssuers;URI:http://ca.example/b')).toBe('http://ca.example/b')
  expect(of('authorityInfoAccess=caIssuers;URI:https://ca.example/c')).toBe(null)
  expect(of('authorityInfoAccess=OCSP;URI:http://x/')).toBe(null)
  expect(of('')).toBe(null)
})
