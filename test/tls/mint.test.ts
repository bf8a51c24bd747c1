import { X509Certificate } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { wallMs } from '../../src/base/index.ts'
import { type Authority, type Leaf, type LeafWish, Mint, noAdaptation, readAuthority } from '../../src/tls/index.ts'
import { daysFromNow, type Made, TestCa } from '../support/test-ca.ts'

// The certificates a CA makes here are what it was asked for, and others take them for that: `openssl verify`, `openssl x509
// -text` and Node's own judgement. Each is made by the mint and looked at from outside.

const ca = new TestCa()
afterAll(() => ca.remove())

const roots: Readonly<Record<'rsa' | 'ec' | 'ed25519', Made>> = {
  rsa: ca.make({ subject: '/O=Lab/CN=Lab RSA', ca: true, key: 'rsa' }),
  ec: ca.make({ subject: '/O=Lab/CN=Lab EC', ca: true, key: 'ec' }),
  ed25519: ca.make({ subject: '/CN=Lab Ed', ca: true, key: 'ed25519' }),
}

const authority = (made: Made): Authority => {
  const read = readAuthority(made.cert, made.key)
  if (!read.ok) throw new Error(read.reason)
  return read.authority
}

const authorities = { rsa: authority(roots.rsa), ec: authority(roots.ec), ed25519: authority(roots.ed25519) }

const mintOf = (kind: keyof typeof roots = 'ec', bytesMax = 4_000_000, now = () => wallMs(Date.now())): Mint =>
  new Mint({ authority: authorities[kind], bytesMax, hash: 'sha256', now })

const wish = (name: string, more: Partial<LeafWish> = {}): LeafWish => ({ name, like: null, sign: 'signTrusted', adapt: noAdaptation, ...more })

const made = async (mint: Mint, wanted: LeafWish): Promise<Leaf> => {
  const answer = await mint.leaf(wanted)
  if (!answer.ok) throw new Error(answer.reason)
  return answer.leaf
}

const verified = (leaf: Leaf, root: Made, ...more: string[]): string => {
  const files = { root: ca.write('v.root', root.cert), leaf: ca.write('v.leaf', leaf.chain) }
  return ca.openssl(['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', files.root, ...more, files.leaf])
}

const text = (leaf: Leaf): string => ca.openssl(['x509', '-noout', '-text'], leaf.chain)

describe('by name', () => {
  test.each(['rsa', 'ec', 'ed25519'] as const)('a CA with a key of type %s signs what openssl verifies', async kind => {
    const leaf = await made(mintOf(kind), wish('www.example.com'))
    expect(verified(leaf, roots[kind], '-verify_hostname', 'www.example.com')).toMatch(/: OK/)
    expect(leaf.certificate.publicKey.asymmetricKeyType).toBe(kind)
    expect(leaf.certificate.verify(new X509Certificate(roots[kind].cert).publicKey)).toBe(true)
    expect(leaf.certificate.ca).toBe(false)
  })

  test('it says who may be served, from a week ago for 390 days, as long as the CA lives', async () => {
    const long = authority(ca.make({ subject: '/CN=Long', ca: true, from: daysFromNow(-1000), until: daysFromNow(4000) }))
    const now = wallMs(Date.UTC(2026, 5, 15, 12))
    const mint = new Mint({ authority: long, bytesMax: 1e6, hash: 'sha384', now: () => now })
    const { certificate } = await made(mint, wish('example.com'))
    expect(new Date(certificate.validFrom).toISOString()).toBe('2026-06-08T00:00:00.000Z')
    expect(new Date(certificate.validTo).toISOString()).toBe('2027-07-10T00:00:00.000Z')
    const short = await made(mintOf('rsa'), wish('example.com'))
    expect(short.certificate.validTo).toBe(new X509Certificate(roots.rsa.cert).validTo)
    expect(short.certificate.validFrom).toBe(new X509Certificate(roots.rsa.cert).validFrom)
    expect(text(short)).toMatch(/Key Usage: critical\s+Digital Signature, Key Encipherment\n/)
    expect(text(short)).toMatch(/TLS Web Server Authentication/)
    expect(text(short)).toMatch(/Signature Algorithm: sha256WithRSAEncryption/)
  })

  test.each([
    ['192.0.2.7', 'IP Address:192.0.2.7'],
    ['[2001:db8::7]', 'IP Address:2001:DB8:0:0:0:0:0:7'],
    ['::ffff:192.0.2.1', 'IP Address:0:0:0:0:0:FFFF:C000:201'],
    ['bücher.example', 'DNS:xn--bcher-kva.example'],
    ['WWW.Example.COM.', 'DNS:www.example.com'],
    ['my_host', 'DNS:my_host'],
  ])('%s is %s', async (name, said) => {
    expect((await made(mintOf(), wish(name))).certificate.subjectAltName).toBe(said)
  })

  test('a name longer than a common name may be stands among the alternative names alone, which are critical then', async () => {
    const name = `${'a'.repeat(60)}.${'b'.repeat(60)}.example`
    const leaf = await made(mintOf(), wish(name))
    expect(verified(leaf, roots.ec, '-verify_hostname', name)).toMatch(/: OK/)
    expect(text(leaf)).toMatch(/Subject Alternative Name: critical/)
    expect(leaf.certificate.subject).toBe(undefined)
  })

  test.each(['', 'a b', 'a\0b.example', '-x.example', `${'a'.repeat(64)}.example`, 'x..y', `${'a.'.repeat(127)}example`])(
    '%j is no name of a server: a reason, not a certificate',
    async name => {
      expect(await mintOf().leaf(wish(name))).toMatchObject({ ok: false, reason: expect.stringMatching(/no name/) })
    },
  )

  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/)
  test('whatever name it is for, it is for that name and no other', async () => {
    const mint = mintOf()
    await fc.assert(
      fc.asyncProperty(fc.array(label, { minLength: 2, maxLength: 5 }), async labels => {
        const name = `${labels.join('.')}.example`
        const { certificate } = await made(mint, wish(name))
        expect(certificate.checkHost(name)).toBe(name)
        expect(certificate.checkHost(`x.${name}`)).toBe(undefined)
        expect(certificate.checkHost(`x${name}`)).toBe(undefined)
      }),
      { numRuns: 50 },
    )
  })

  test('whatever address it is for, it is for that address and no other', async () => {
    const mint = mintOf()
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.ipV4(), fc.ipV6()), async address => {
        const { certificate } = await made(mint, wish(address))
        expect(certificate.checkIP(address)).toBe(address)
        expect(certificate.checkIP('198.51.100.99')).toBe(address === '198.51.100.99' ? address : undefined)
      }),
      { numRuns: 50 },
    )
  })
})

describe('like the real one', () => {
  const origin = ca.make({ subject: '/C=DE/O=Örigin/CN=www.origin.example', names: 'DNS:www.origin.example,DNS:*.cdn.example,IP:192.0.2.1', by: roots.rsa, key: 'rsa', more: ['keyUsage=critical,digitalSignature,keyEncipherment', 'extendedKeyUsage=serverAuth,clientAuth', 'tlsfeature=status_request'] })
  const real = new X509Certificate(origin.cert)

  test('subject, names, dates and uses are the same, the key is ours, a stapled answer is not promised', async () => {
    const leaf = await made(mintOf('rsa'), wish('ignored.example', { like: real }))
    const { certificate } = leaf
    expect(certificate.subject).toBe(real.subject)
    expect(certificate.subjectAltName).toBe(real.subjectAltName)
    expect([certificate.validFrom, certificate.validTo]).toEqual([real.validFrom, real.validTo])
    expect(certificate.keyUsage).toEqual(real.keyUsage)
    expect(certificate.publicKey.equals(real.publicKey)).toBe(false)
    expect(certificate.serialNumber).not.toBe(real.serialNumber)
    expect(text(leaf)).not.toMatch(/TLS Feature/)
    expect(verified(leaf, roots.rsa, '-verify_hostname', 'a.cdn.example', '-verify_ip', '192.0.2.1')).toMatch(/: OK/)
  })

  test("an EC key does not claim to decipher, an RSA key takes key agreement for that", async () => {
    expect(text(await made(mintOf('ec'), wish('x', { like: real })))).toMatch(/Key Usage: critical\s+Digital Signature\n/)
    const agreeing = ca.make({ subject: '/CN=a', names: 'DNS:a', key: 'ec', by: roots.ec, more: ['keyUsage=critical,keyAgreement'] })
    const leaf = await made(mintOf('rsa'), wish('x', { like: new X509Certificate(agreeing.cert) }))
    expect(text(leaf)).toMatch(/Key Usage: critical\s+Key Encipherment\n/)
  })

  test("one without alternative names gets its common name, which clients would not look at, for one", async () => {
    const old = ca.make({ subject: '/CN=*.old.example', by: roots.ec })
    const { certificate } = await made(mintOf(), wish('x', { like: new X509Certificate(old.cert) }))
    expect(certificate.subjectAltName).toBe('DNS:*.old.example')
  })

  test('a CA shown as a server is none in our copy', async () => {
    const { certificate } = await made(mintOf(), wish('x', { like: new X509Certificate(roots.rsa.cert), sign: 'signSelf' }))
    expect(certificate.ca).toBe(false)
  })

  test('setValidAfter, setValidBefore and setCommonName change just that', async () => {
    const expired = new X509Certificate(ca.make({ subject: '/O=Keep/CN=old', names: 'DNS:old.example', from: daysFromNow(-20), until: daysFromNow(-2) }).cert)
    const root = new X509Certificate(roots.ec.cert)
    const after = await made(mintOf(), wish('x', { like: expired, adapt: { ...noAdaptation, setValidAfter: true } }))
    expect([after.certificate.validFrom, after.certificate.validTo]).toEqual([expired.validFrom, root.validTo])
    const before = await made(mintOf(), wish('x', { like: expired, adapt: { ...noAdaptation, setValidBefore: true } }))
    expect([before.certificate.validFrom, before.certificate.validTo]).toEqual([root.validFrom, expired.validTo])
    const named = await made(mintOf(), wish('x', { like: expired, adapt: { ...noAdaptation, setCommonName: 'other.example' } }))
    expect([named.certificate.subject, named.certificate.subjectAltName]).toEqual(['CN=other.example', 'DNS:other.example'])
  })
})

describe('who signs', () => {
  test('signUntrusted: a CA that says so itself, whose certificate goes along', async () => {
    const leaf = await made(mintOf('ec'), wish('www.example.com', { sign: 'signUntrusted' }))
    const [, issuer = ''] = leaf.chain.split(/(?<=-----END CERTIFICATE-----\n)/)
    expect(new X509Certificate(issuer).subject).toBe('CN=Not trusted by \\"Lab EC\\"')
    expect(() => verified(leaf, roots.ec)).toThrow(/unable to get local issuer|self-signed/)
    expect(verified(leaf, { cert: issuer, key: '' })).toMatch(/: OK/)
  })

  test('signSelf: nobody but itself', async () => {
    const { certificate } = await made(mintOf('rsa'), wish('www.example.com', { sign: 'signSelf' }))
    expect(certificate.checkIssued(certificate)).toBe(true)
    expect(certificate.verify(certificate.publicKey)).toBe(true)
  })

  test('an intermediate CA goes along, its root does not', async () => {
    const between = ca.make({ subject: '/CN=Between', ca: true, by: roots.rsa })
    const mint = new Mint({ authority: authority({ cert: between.cert + roots.rsa.cert, key: between.key }), bytesMax: 1e6, hash: 'sha256', now: () => wallMs(Date.now()) })
    const leaf = await made(mint, wish('www.example.com'))
    expect(leaf.chain.match(/BEGIN/g)?.length).toBe(2)
    expect(verified(leaf, roots.rsa, '-untrusted', ca.write('u', leaf.chain))).toMatch(/: OK/)
  })

  test.each([
    ['no certificate', { cert: '', key: roots.ec.key }, /no certificate/],
    ['another key', { cert: roots.ec.cert, key: roots.rsa.key }, /do not belong together/],
    ['no key', { cert: roots.ec.cert, key: 'x' }, /private key cannot be read/],
    ['no CA', ca.make({ subject: '/CN=leaf' }), /not the certificate of a CA/],
  ])('with %s there is no authority, and a reason', (_what, { cert, key }, reason) => {
    const answer = readAuthority(cert, key)
    expect(answer.ok ? '' : answer.reason).toMatch(reason)
  })
})

describe('what is kept', () => {
  test('the same wish has the same certificate at once; another process makes one of another number', async () => {
    const mint = mintOf()
    const [first, beside] = await Promise.all([made(mint, wish('a.example')), made(mint, wish('a.example'))])
    expect(beside).toBe(first)
    const again = mint.leaf(wish('A.example'))
    expect(again).toEqual({ ok: true, leaf: first })
    expect(mint.counters).toEqual({ made: 1, kept: 1, refused: 0 })
    const elsewhere = new Mint({ authority: authority(roots.ec), bytesMax: 1e6, hash: 'sha256', now: () => wallMs(Date.now()) })
    expect((await made(elsewhere, wish('a.example'))).certificate.serialNumber).not.toBe(first.certificate.serialNumber)
    const emptied = mintOf('ec', 0)
    expect((await made(emptied, wish('a.example'))).certificate.fingerprint256).not.toBe('')
    expect([emptied.size, emptied.bytes]).toEqual([0, 0])
  })

  test('within dynamic_cert_mem_cache_size; the one used longest ago goes first', async () => {
    const mint = mintOf('ec', 200_000)
    for (const name of ['a', 'b', 'c', 'd']) await made(mint, wish(`${name}.example`))
    mint.leaf(wish('a.example'))
    await made(mint, wish('e.example'))
    await made(mint, wish('f.example'))
    expect(mint.bytes).toBeLessThanOrEqual(200_000)
    expect(mint.leaf(wish('a.example'))).not.toBeInstanceOf(Promise)
    expect(mint.leaf(wish('b.example'))).toBeInstanceOf(Promise)
    await mint.leaf(wish('b.example'))
  })

  test('a certificate by name is made anew every day', async () => {
    let now = Date.now()
    const mint = mintOf('ec', 1e6, () => wallMs(now))
    await made(mint, wish('a.example'))
    now += 86_400_000
    expect(mint.leaf(wish('a.example'))).toBeInstanceOf(Promise)
    await mint.leaf(wish('a.example'))
    expect([mint.size, mint.counters.made]).toEqual([1, 2])
  })
})
