// Clients and origins that are silent, slow, or break off half way. The contract: each of them costs the proxy no more
// than the time the conf allows, gets the answer or the end that fits, and everybody else is served meanwhile. Seen at
// the client (what came, how it ended), in the access log, and by asking for a page afterwards.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ms } from '../../src/base/index.ts'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, descriptorCount, factsLog, Gateway, natPort, program, squidLikeConf, tproxyPort } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'curl')
const { client, gateway: gatewayAddress, origin: originAddress } = labAddresses

const shortTimes = `
request_start_timeout 1 second
request_timeout 2 seconds
client_idle_pconn_timeout 1 second
read_timeout 2 seconds
write_timeout 2 seconds
connect_timeout 1 second
retry_on_error off
`

interface Heard {
  readonly got: string
  readonly how: 'end' | 'reset' | 'refused'
  readonly afterMs: number
}

describe.skipIf(cannot !== null)(`silent, slow and broken peers ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let origin: Running
  let descriptors = 0

  beforeAll(async () => {
    lab = await openNetwork()
    for (const port of [tproxyPort, natPort]) {
      origin = lab.origin.spawn(process.execPath, [program('odd-origin'), String(port)])
      await origin.heard('listening')
    }
    gateway = await Gateway.open(lab, { conf: `${squidLikeConf}${factsLog}${shortTimes}` })
    expect((await page()).content).toBe('page')
    descriptors = descriptorCount(gateway.proxy.pid)
  })
  afterAll(() => lab.close())

  const page = () => curl(lab, '-4', `http://origin.lab:${natPort}/page`)

  /** A client's words to an origin (or the proxy itself), what it hears, and how it ends. */
  const say = async (host: string, port: number, says: readonly string[], more: object = {}): Promise<Heard> => {
    const input = `${JSON.stringify({ says, everyMs: 0, then: 'listen', takes: true, ...more })}\n`
    const ran = await lab.client.runWith({ input, deadlineMs: 25_000 }, process.execPath, program('raw-client'), host, String(port))
    if (ran.code !== 0) throw new Error(`${ran.code}: ${ran.stderr}`)
    return JSON.parse(ran.stdout) as Heard // our own program's line
  }

  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: origin.lab:${natPort}\r\n\r\n`
  /** Where a client can reach the proxy: told of it, by NAT and by TPROXY. */
  const doors = [
    ['forward', gatewayAddress.ipv4, 3128],
    ['nat', originAddress.ipv4, natPort],
    ['tproxy', originAddress.ipv6, tproxyPort],
  ] as const

  it.concurrent.each(doors)('%s: a client that says nothing is closed after request_start_timeout', async (_, host, port) => {
    expect(await say(host, port, [])).toMatchObject({ got: '', how: 'end' })
  })

  it.concurrent.each(doors)('%s: half a head gets 408 after request_timeout, also when it comes byte by byte', async (_, host, port) => {
    const head = 'GET http://origin.lab/half HTTP/1.1\r\n'
    const [half, slow] = await Promise.all([
      say(host, port, [head]),
      say(host, port, [...`${head}X-Slow: ${'x'.repeat(200)}`], { everyMs: 50 }),
    ])
    for (const heard of [half, slow]) expect([heard.got.split('\r\n')[0], heard.how]).toEqual(['HTTP/1.1 408 Request Timeout', 'end'])
  })

  it.concurrent.each(doors)('%s: a client that asks no more is closed after client_idle_pconn_timeout', async (_, host, port) => {
    const heard = await say(host, port, [get('/page').replace('/page', `http://origin.lab:${natPort}/page`)])
    expect(heard.got).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\npage$/s)
    expect(heard.how).toBe('end')
  })

  it.concurrent.each(doors)('%s: content that stops coming gets 408 after read_timeout', async (way, host, port) => {
    const put = `PUT http://origin.lab:${natPort}/silent?put-${way} HTTP/1.1\r\nHost: origin.lab:${natPort}\r\nContent-Length: 100\r\n\r\nhalf`
    const heard = await say(host, port, [put])
    expect([heard.got.split('\r\n')[0], heard.how]).toEqual(['HTTP/1.1 408 Request Timeout', 'end'])
    expect(await gateway.about(`/silent?put-${way}`)).toMatchObject([{ status: 408, result: 'NONE_NONE_TIMEDOUT', method: 'PUT' }])
  })

  it.concurrent.each([['nat', originAddress.ipv4, natPort], ['tproxy', originAddress.ipv6, tproxyPort]] as const)(
    '%s: a client that does not take its answer is cut off after write_timeout',
    async (way, host, port) => {
      const stubborn = lab.client.spawn(process.execPath, [program('raw-client'), host, String(port)])
      stubborn.tell(`${JSON.stringify({ says: [get(`/large?${way}`)], everyMs: 0, then: 'listen', takes: false })}\n`)
      expect(await gateway.about(`/large?${way}`, 1, ms(15_000))).toMatchObject([{ taken: way, status: 200, result: 'TCP_MISS_TIMEDOUT' }])
      stubborn.tell('take\n')
      await stubborn.heard('"how":"reset"')
    },
  )

  const refusals = [
    ['silent', 504, 'ERR_READ_TIMEOUT', 'TCP_MISS_TIMEDOUT'],
    ['half-head', 504, 'ERR_READ_TIMEOUT', 'TCP_MISS_TIMEDOUT'],
    ['closed', 502, 'ERR_ZERO_SIZE_OBJECT', 'TCP_MISS'],
    ['reset', 502, 'ERR_READ_ERROR', 'TCP_MISS'],
    ['garbage', 502, 'ERR_INVALID_RESP', 'TCP_MISS'],
    ['too-large', 502, 'ERR_TOO_BIG', 'TCP_MISS'],
    ['smuggling', 502, 'ERR_INVALID_RESP', 'TCP_MISS'],
  ] as const
  it.concurrent.each(refusals)('an origin that is %s: %i %s', async (path, status, error, result) => {
    const ways = [['nat', '-4', natPort], ['tproxy', '-6', tproxyPort]] as const
    const answers = await Promise.all(ways.map(([, flag, port]) => curl(lab, flag, `http://origin.lab:${port}/${path}?odd`)))
    for (const answer of answers) {
      expect([answer.code, answer.status, answer.fields.get('x-squid-error')?.split(' ')[0]]).toEqual([0, status, error])
    }
    const records = await gateway.about(`/${path}?odd`, 2)
    expect(records.map(record => record.taken).sort()).toEqual(['nat', 'tproxy'])
    for (const record of records) expect(record).toMatchObject({ status, result, hierarchy: 'ORIGINAL_DST' })
  })

  it.concurrent.each(['half-content', 'half-chunk', 'cut-content', 'cut-chunk', 'reset-content'] as const)(
    'an origin whose answer stops (%s): the client gets what there is, and sees that it is not all',
    async path => {
      const answer = await curl(lab, '-4', `http://origin.lab:${natPort}/${path}`)
      // 18: less than was promised; 56: reset
      expect([answer.status, answer.content]).toEqual([200, 'half of it'])
      expect([18, 56]).toContain(answer.code)
      const [record] = await gateway.about(`/${path}`)
      expect(record?.status).toBe(200)
    },
  )

  it.concurrent('an origin that is slow but alive is waited for', async () => {
    const answer = await curl(lab, '-4', `http://origin.lab:${natPort}/slow`)
    expect([answer.code, answer.status, answer.content]).toEqual([0, 200, '0123456789'])
    expect(await gateway.about('/slow')).toMatchObject([{ status: 200, result: 'TCP_MISS' }])
  })

  it('an origin that answers no SYN: 504 after connect_timeout', async () => {
    await lab.origin.script(`nft -f - <<END
table inet deaf {
  chain input {
    type filter hook input priority 0
    tcp dport { 80, 8080 } tcp flags & (syn|ack) == syn drop
  }
}
END`)
    try {
      const answers = await Promise.all([curl(lab, '-4', `http://origin.lab:${natPort}/deaf`), curl(lab, '-6', 'http://origin.lab/deaf')])
      for (const answer of answers) expect([answer.status, answer.fields.get('x-squid-error')?.split(' ')[0]]).toEqual([504, 'ERR_CONNECT_FAIL'])
      for (const record of await gateway.about('/deaf', 2)) expect(record).toMatchObject({ status: 504, result: 'TCP_MISS_TIMEDOUT' })
    } finally {
      await lab.origin.must('nft', 'delete', 'table', 'inet', 'deaf')
    }
  })

  it('afterwards everybody is served, nobody is held, and no fault of ours was written down', async () => {
    expect((await page()).content).toBe('page')
    expect(await gateway.record(record => record.client === client.ipv4 && record.status === 200)).not.toBeNull()
    await expect.poll(() => descriptorCount(gateway.proxy.pid), { timeout: 10_000 }).toBeLessThanOrEqual(descriptors + 2)
    expect(gateway.cacheLog).not.toMatch(/fault of ours|TypeError/)
  })
})
