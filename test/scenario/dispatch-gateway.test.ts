// Who gets a connection, on a gateway with real kernel rules: by the address it came to, by priority, by falling through
// and by refusal. session_log says which service had it and how that ended; the server says whether it ever heard of it.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { Gateway, program, sessionLog, sessionOf, sessionsOf } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft')
const { client, gateway: lan, gatewayWan: wan, origin } = labAddresses

const conf = (last: string): string => `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
session_log ${sessionLog}

listener ${lan.ipv4}:4001 service=one name=at-four
listener [${lan.ipv6}]:4001 service=two name=at-six
listener ${wan.ipv4}:4001 service=three name=at-wan
router to-one directed ${origin.ipv4}:7101
router to-two directed ${origin.ipv4}:7102
service one plug router=to-one
service two plug router=to-two
service three deny kind=close

listener 3130 tproxy rules priority=0 name=first
${last}
router theirs transparent forge_addr=on
service ruled plug router=theirs
service rest plug router=theirs
service nobody deny
service webbed plug router=theirs
service sealed plug router=theirs
service shell plug router=theirs
service other plug router=theirs
detector web http timeout=60s
detector ssl tls timeout=60s
detector ssh ssh timeout=60s
rule id=1 dst_port=7001 service=ruled
rule id=3 dst_port=7003 service=nobody
rule id=4 dst_port=7004 detect=web:webbed,ssl:sealed,ssh:shell service=other
`
const last = 'listener 3130 tproxy service=rest name=last'

interface Said {
  readonly got?: string
  readonly localPort?: number
  readonly error?: string
}

describe.skipIf(cannot !== null)(`the dispatcher on a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let server: Running

  beforeAll(async () => {
    lab = await openNetwork()
    server = lab.origin.spawn(process.execPath, [program('echo-server'), '7001', '7002', '7003', '7004', '7101', '7102'])
    await server.heard('listening')
    gateway = await Gateway.open(lab, { conf: conf(last), rules: ['nft', '--interface', 'lan', '--take', '7001-7004=first'] })
  })
  afterAll(() => lab.close())

  const words = (host: string, port: number, text: string, more: object) => [program('tcp-client'), JSON.stringify({ host, port, text, ...more })]

  const connect = async (port: number, { host = origin.ipv4 as string, text = 'hello', ...more } = {}): Promise<Said> =>
    JSON.parse((await lab.client.run(process.execPath, ...words(host, port, text, more))).stdout)

  const recordOf = ({ localPort }: Said, from: string = client.ipv4) =>
    sessionOf(lab, { client: from.includes(':') ? `[${from}]:${localPort}` : `${from}:${localPort}` })

  const heard = (place: number): number => server.said.split(`"place":"${place}"`).length - 1

  it('each address has the service of its listener, and only that', async () => {
    const four = await connect(4001, { host: lan.ipv4 })
    const six = await connect(4001, { host: lan.ipv6 })
    const denied = await connect(4001, { host: wan.ipv4 })
    expect([four.got, six.got, denied.got]).toEqual(['hello', 'hello', ''])
    expect(await recordOf(four)).toMatchObject({ service: 'one', listener: 'at-four', taken: 'direct', server: `${origin.ipv4}:7101` })
    expect(await recordOf(six, client.ipv6)).toMatchObject({ service: 'two', listener: 'at-six', server: `${origin.ipv4}:7102` })
    expect(await recordOf(denied)).toMatchObject({ service: 'three', listener: 'at-wan', verdict: 'DENIED_BY_POLICY' })
    expect([heard(7101), heard(7102)]).toEqual([1, 1])
  })

  it('of two on one port the lower priority number is asked first; what it declines the other gets', async () => {
    expect(await recordOf(await connect(7001))).toMatchObject({ service: 'ruled', listener: 'first', rule: 1, verdict: 'ACCEPTED' })
    expect(await recordOf(await connect(7002))).toMatchObject({ service: 'rest', listener: 'last', rule: null, verdict: 'ACCEPTED' })
  })

  it('a refusal is a taking: nobody below is asked', async () => {
    // a reset may come before the client has looked: then it does not know its own port
    expect((await connect(7003)).error).toBe('ECONNRESET')
    const destination = `${origin.ipv4}:7003`
    expect(await sessionOf(lab, { destination })).toMatchObject({ service: 'nobody', listener: 'first', verdict: 'DENIED_BY_POLICY' })
    expect(sessionsOf(lab).filter(record => record['destination'] === destination)).toHaveLength(1)
    expect(heard(7003)).toBe(0)
  })

  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n', 'webbed'],
    ['SSH', 'SSH-2.0-OpenSSH_9.9\r\n', 'shell'],
    ['something else', 'EHLO client.example\r\n', 'other'],
  ])('a detector knows %s by its first bytes, and they arrive', async (_, text, service) => {
    const said = await connect(7004, { text })
    expect(said.got).toBe(text)
    expect(await recordOf(said)).toMatchObject({ service, rule: 4, bytesFromClient: text.length, bytesToClient: text.length })
  })

  it('while one on a port is being thought about, others there are served', async () => {
    const silent = lab.client.spawn(process.execPath, words(origin.ipv4, 7004, '', { hold: true }))
    // the gateway holds it: the other end of the client's connection is a socket of the proxy
    await expect.poll(async () => (await lab.client.must('ss', '-Htn', 'state', 'established', 'dport = :7004')).trim()).not.toBe('')
    for (let i = 0; i < 3; i++) expect((await connect(7004, { text: 'GET / HTTP/1.1\r\n\r\n' })).got).toBe('GET / HTTP/1.1\r\n\r\n')
    expect((await lab.client.must('ss', '-Htn', 'state', 'established', 'dport = :7004')).trim().split('\n')).toHaveLength(1)
    await silent.stop()
  })

  it('without the other listener what the first declines is closed, and said', async () => {
    gateway.use(conf(''))
    expect((await gateway.control('reconfigure')).code).toBe(0)
    await expect.poll(async () => (await connect(7002)).got, { timeout: 10_000 }).not.toBe('hello')
    await expect.poll(() => gateway.cacheLog).toMatch(new RegExp(`connection from ${client.ipv4}:\\d+ to .*3130 refused: nobody waits for it`))
    const during = heard(7002)
    expect((await connect(7002)).got).toBe('')
    expect(heard(7002)).toBe(during)
    expect(await recordOf(await connect(7001))).toMatchObject({ service: 'ruled' })
  })
})
