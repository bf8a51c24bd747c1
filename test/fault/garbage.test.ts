// Bytes that are no request, on every port. The contract: an answer where one can be given (never 200), then the end of
// the connection; a record in the access log whose URI and method are made of nothing the client said; nothing reaches
// the origin; and the next client is served.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, descriptorCount, factsLog, Gateway, natPort, program, squidLikeConf, tproxyPort } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'curl')
const { gateway: gatewayAddress, origin: originAddress } = labAddresses

/** The first flight of a browser that believes it speaks TLS. */
const clientHello = `\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03${randomBytes(32).toString('latin1')}\x00\x00\x02\x13\x01\x01\x00\x00\x76${'\0'.repeat(118)}`
const noise = (count: number): string => randomBytes(count).toString('latin1').replaceAll('\n', '\r') // never an end of line

const garbage = {
  'random bytes': { says: [noise(3000)], status: 400 },
  'random bytes with line ends': { says: [`${noise(300)}\r\n${noise(300)}\r\n\r\n`], status: 400 },
  'zeros': { says: ['\0'.repeat(1000)], status: 400 },
  'a TLS ClientHello': { says: [clientHello], status: 400 },
  'the HTTP/2 preface': { says: ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'], status: 505 },
  'a PROXY protocol line': { says: ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n'], status: 400 },
  'an SMTP client': { says: ['EHLO example.com\r\n'], status: 505 },
  'a request without an end, half closed': { says: ['GET /half HTTP/1.1\r\nHost: origin.lab\r\n'], then: 'end', status: 400 },
  'a line without an end': { says: [`GET /${'x'.repeat(100_000)}`], status: 414 },
  'a head without an end': { says: ['GET / HTTP/1.1\r\nHost: origin.lab\r\n', `X: ${'x'.repeat(100_000)}\r\n`], status: 431 },
  'two lengths': { says: ['POST /two HTTP/1.1\r\nHost: origin.lab\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'], status: 400 },
  'a length and chunks': {
    says: ['POST /both HTTP/1.1\r\nHost: origin.lab\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    status: 400,
  },
  'a bare line feed': { says: ['GET /bare HTTP/1.1\nHost: origin.lab\n\n'], status: 400 },
  'garbage behind a request': { says: [`GET http://origin.lab:${natPort}/page HTTP/1.1\r\nHost: origin.lab:${natPort}\r\n\r\n${noise(300)}`], status: 200 },
  'nothing, half closed': { says: [], then: 'end', status: 0 },
  'a reset': { says: ['GET /reset HTT'], then: 'reset', status: 0 },
} as const

describe.skipIf(cannot !== null)(`garbage ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  const origins: Running[] = []
  let descriptors = 0

  beforeAll(async () => {
    lab = await openNetwork()
    for (const port of [tproxyPort, natPort]) {
      const origin = lab.origin.spawn(process.execPath, [program('odd-origin'), String(port)])
      await origin.heard('listening')
      origins.push(origin)
    }
    gateway = await Gateway.open(lab, { conf: `${squidLikeConf}${factsLog}` })
    expect((await curl(lab, '-4', `http://origin.lab:${natPort}/page`)).content).toBe('page')
    descriptors = descriptorCount(gateway.proxy.pid)
  })
  afterAll(() => lab.close())

  const doors = [
    { door: 'forward', host: gatewayAddress.ipv4, port: 3128, taken: 'direct' },
    { door: 'intercept', host: originAddress.ipv4, port: natPort, taken: 'nat' },
    { door: 'tproxy', host: originAddress.ipv6, port: tproxyPort, taken: 'tproxy' },
  ]
  const cases = doors.flatMap(door => Object.entries(garbage).map(([what, wish]) => ({ ...door, what, ...wish })))

  it.concurrent.each(cases)('$door: $what', async ({ host, port, taken, status, what, ...wish }) => {
    const input = `${JSON.stringify({ everyMs: 20, then: 'listen', takes: true, ...wish })}\n`
    const ran = await lab.client.runWith({ input }, process.execPath, program('raw-client'), host, String(port))
    const heard = JSON.parse(ran.stdout) as { got: string; how: string } // our own program's line
    const statuses = [...heard.got.matchAll(/HTTP\/1\.1 (\d{3}) [A-Z]/g)].map(([, text]) => Number(text))
    expect(statuses).toEqual(status === 0 ? [] : what === 'garbage behind a request' ? [200, 400] : [status])
    if (status === 0) return
    expect(['end', 'reset']).toContain(heard.how)
    const last = status === 200 ? 400 : status
    const record = await gateway.record(record => record.taken === taken && record.status === last)
    expect(record).toMatchObject({ result: 'NONE_NONE', hierarchy: 'HIER_NONE', serverLocal: '' })
  }, 30_000)

  it('reaches no origin, leaves nothing open, and the next client is served', async () => {
    expect((await curl(lab, '-4', `http://origin.lab:${natPort}/page`)).content).toBe('page')
    for (const origin of origins) expect(origin.said.replaceAll(/^asked \/page .*\n/gm, '')).toBe('listening\n')
    await expect.poll(() => descriptorCount(gateway.proxy.pid), { timeout: 10_000 }).toBeLessThanOrEqual(descriptors + 2)
    for (const record of gateway.records) expect(`${record.method} ${record.uri}`).toMatch(/^[A-Z]+ [\x21-\x7e]+$/)
    expect(gateway.cacheLog).not.toMatch(/fault of ours|[^\x09\x0a\x20-\x7e]/)
  })
})
