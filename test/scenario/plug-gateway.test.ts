// What a plug can be told to do, on a gateway with real kernel rules: stacking, chainers of other kinds, limits, and what an
// operator sees and ends. session_log and the command line of the running daemon say what the proxy did.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { confPath, curl, Gateway, glassquid, program, sessionLog, sessionOf, sessionsOf } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft')
const { client, gateway: lan, origin } = labAddresses
const other = '198.51.100.77'

const conf = `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
session_log ${sessionLog}
hosts_file /run/glassquid/hosts
http_access allow all
http_port 3128
connect_timeout 50 seconds
forward_timeout 60 seconds

listener 3130 tproxy rules name=gate
receiver 3130 tproxy service=framed name=datagrams
router theirs transparent forge_addr=on
service plain plug router=theirs idle_timeout=2s
service scanned plug router=theirs stack=scanner
stack scanner program="read line; case $line in *EICAR*) echo SETVERDICT reject virus >&3 ;; *) echo $line; cat ;; esac" direction=to_server
service beside plug router=theirs chainer=sideways
chainer sideways side_stack right=plug
service framed plug router=theirs chainer=stream
chainer stream connect protocol=tcp framing=dns
service one plug router=theirs max_sessions=1
service each plug router=theirs max_sessions_per_client=1
service alike plug router=theirs secondary_sessions=2 secondary_mask=0xC
service over plug router=pair chainer=failing
service over-too plug router=pair-too chainer=failing
router pair directed ${origin.ipv4}:7300 ${origin.ipv4}:7301
router pair-too directed ${origin.ipv4}:7301 ${origin.ipv4}:7300
chainer failing failover timeout_state=60s
rule dst_port=7001 service=plain
rule dst_port=7002 service=scanned
rule dst_port=7003 service=beside
rule dst_port=7004 service=one
rule dst_port=7005 service=each
rule dst_port=7006 service=alike
rule dst_port=7007 service=over
rule dst_port=7008 service=over-too
`

interface Said {
  readonly got?: string
  readonly localPort?: number
  readonly error?: string
}

describe.skipIf(cannot !== null)(`plugs on a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let server: Running

  beforeAll(async () => {
    lab = await openNetwork()
    await lab.client.script(`ip address add ${other}/24 dev eth0`)
    writeFileSync(join(lab.gateway.root, 'run/glassquid/hosts'), `${origin.ipv6} both.example\n${origin.ipv4} both.example\n`)
    server = lab.origin.spawn(process.execPath, [program('echo-server'), ...['7001', '7002', '7003', '7004', '7005', '7006', '7301', '53']])
    await server.heard('listening')
    await Gateway.open(lab, { conf, rules: ['nft', '--interface', 'lan', '--take', '7001-7008=gate', '--take', '53/udp=datagrams'] })
  })
  afterAll(() => lab.close())

  const words = (port: number, text: string, more: object) => [program('tcp-client'), JSON.stringify({ host: origin.ipv4, port, text, ...more })]

  const connect = async (port: number, { text = 'hello', ...more }: { text?: string; localAddress?: string } = {}): Promise<Said> =>
    JSON.parse((await lab.client.run(process.execPath, ...words(port, text, more))).stdout)

  const hold = async (port: number, more: object = {}): Promise<{ running: Running; said: Said }> => {
    const running = lab.client.spawn(process.execPath, words(port, 'hello', { ...more, hold: true }))
    return { running, said: JSON.parse(await running.heard(/^\{.*\}$/m)) }
  }

  const recordOf = ({ localPort }: Said, from: string = client.ipv4) => sessionOf(lab, { client: `${from}:${localPort}` })
  const heard = (place: number): number => server.said.split(`"place":"${place}"`).length - 1

  const running = async (service: string): Promise<readonly Record<string, unknown>[]> =>
    JSON.parse((await lab.gateway.must(glassquid, 'sessions', '-f', confPath, '--json', '--service', service))).sessions

  const refused = async (service: string): Promise<readonly Record<string, unknown>[]> => {
    await sessionOf(lab, { service, verdict: 'DENIED_BY_LIMIT' })
    return sessionsOf(lab).filter(record => record['service'] === service && record['verdict'] === 'DENIED_BY_LIMIT')
  }

  it('each half ends by itself, and the record counts what the client counted', async () => {
    const text = 'x'.repeat(60_000)
    const said = await connect(7001, { text })
    expect(said.got).toBe(text)
    expect(await recordOf(said)).toMatchObject({
      verdict: 'ACCEPTED', service: 'plain', taken: 'tproxy', destination: `${origin.ipv4}:7001`, server: `${origin.ipv4}:7001`,
      serverLocal: expect.stringContaining(`${client.ipv4}:`), bytesFromClient: text.length, bytesToClient: text.length,
    })
  })

  it('a session in which nothing moves ends after idle_timeout', async () => {
    const { said } = await hold(7001)
    expect(await recordOf(said)).toMatchObject({ end: 'timeout', bytesFromClient: 5, bytesToClient: 5 })
  })

  it('a program refuses before the server has got a byte, and lets the rest pass', async () => {
    const infected = await connect(7002, { text: 'EICAR test\n' })
    expect([infected.got ?? '', infected.error]).toEqual(['', 'ECONNRESET'])
    expect(await sessionOf(lab, { service: 'scanned', verdict: 'DENIED_BY_POLICY' })).toMatchObject({ bytesToClient: 0 })
    const clean = await connect(7002, { text: 'clean\nall of it\n' })
    expect(clean.got).toBe('clean\nall of it\n')
    expect(await recordOf(clean)).toMatchObject({ verdict: 'ACCEPTED' })
  })

  it('sideways through a second proxy: the bytes are the same, and the server hears the client', async () => {
    const said = await connect(7003, { text: 'y'.repeat(50_000) })
    expect(said.got).toBe('y'.repeat(50_000))
    expect(await recordOf(said)).toMatchObject({ service: 'beside', server: `${origin.ipv4}:7003`, serverLocal: expect.stringContaining(client.ipv4) })
    expect(server.said).toContain(`"place":"7003","port":7003,"peer":"${client.ipv4}"`)
  })

  it('datagrams to a server that has a stream: messages with their length there, the answer from its address', async () => {
    const wish = { sends: [{ to: origin.ipv4, port: 53, text: 'question' }], answers: 1 }
    const { got } = JSON.parse(await lab.client.must(process.execPath, program('udp-client'), JSON.stringify(wish)))
    expect(got).toEqual([{ text: 'question', bytes: 8, from: origin.ipv4, port: 53 }])
    expect(heard(53)).toBe(1)
  })

  it('max_sessions: one more is turned away; when the first has left there is room', async () => {
    const first = await hold(7004)
    expect(first.said.got).toBe('hello')
    expect((await connect(7004, { localAddress: other })).got ?? '').toBe('')
    expect(await refused('one')).toMatchObject([{ client: expect.stringContaining(other) }])
    await first.running.stop()
    await recordOf(first.said)
    expect((await connect(7004, { localAddress: other })).got).toBe('hello')
    expect(heard(7004)).toBe(2)
  })

  it('max_sessions_per_client: each client has its own', async () => {
    const first = await hold(7005)
    expect((await connect(7005)).got ?? '').toBe('')
    expect((await connect(7005, { localAddress: other })).got).toBe('hello')
    expect(await refused('each')).toMatchObject([{ client: expect.stringContaining(client.ipv4) }])
    await first.running.stop()
  })

  it('secondary_mask=0xC: what goes to the same server is one instance, up to the limit', async () => {
    const held = [await hold(7006), await hold(7006, { localAddress: other }), await hold(7006), await hold(7006)]
    expect((await running('alike')).map(({ id }) => id)).toEqual(['svc/alike:1', 'svc/alike:1+1', 'svc/alike:1+2', 'svc/alike:2'])
    for (const one of held) await one.running.stop()
    await expect.poll(() => running('alike'), { timeout: 5000 }).toEqual([])
    expect(heard(7006)).toBe(4)
  })

  it('a dead port says nothing of the other port of that host, for other services as well', async () => {
    expect((await connect(7007)).got).toBe('hello')
    expect((await connect(7008)).got).toBe('hello')
    expect((await connect(7007)).got).toBe('hello')
    expect(sessionsOf(lab).filter(record => String(record['service']).startsWith('over') && record['verdict'] !== 'ACCEPTED')).toEqual([])
    expect(heard(7301)).toBe(3)
  })

  it('the operator sees a session and ends it, with the command line', async () => {
    const { running: held, said } = await hold(7006)
    // what the server has sent back counts when the relay has been told of it
    await expect.poll(async () => (await running('alike'))[0]?.['bytesToClient'], { timeout: 10_000 }).toBe(5)
    const [shown] = await running('alike')
    expect(shown).toMatchObject({ client: `${client.ipv4}:${said.localPort}`, server: `${origin.ipv4}:7006`, bytesFromClient: 5, bytesToClient: 5 })
    const stop = (id: unknown) => lab.gateway.run(glassquid, 'sessions', '-f', confPath, '--stop', String(id))
    expect(await stop(shown?.['id'])).toMatchObject({ code: 0, stdout: expect.stringContaining('is ended') })
    expect(await recordOf(said)).toMatchObject({ bytesFromClient: 5, bytesToClient: 5 })
    expect(await running('alike')).toEqual([])
    expect(await stop(shown?.['id'])).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no session') })
    await held.stop()
  })

  it('a server whose IPv6 goes nowhere is reached by IPv4, long before connect_timeout', async () => {
    const web = lab.origin.spawn(process.execPath, [program('counting-origin'), '8000'])
    await web.heard('listening')
    await lab.origin.script(`nft add table ip6 hole
nft 'add chain ip6 hole in { type filter hook input priority 0; }'
nft add rule ip6 hole in tcp dport 8000 counter drop`)
    const { status } = await curl(lab, '--proxytunnel', '--proxy', `http://${lan.ipv4}:3128`, 'http://both.example:8000/by-four')
    expect(status).toBe(200)
    expect(await sessionOf(lab, { listener: '3128' })).toMatchObject({ server: `${origin.ipv4}:8000` })
    expect(await lab.origin.must('nft', 'list', 'chain', 'ip6', 'hole', 'in')).toMatch(/counter packets [1-9]/)
  })
})
