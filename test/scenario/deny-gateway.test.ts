// What a service denies by the kernel's own means, on a gateway: each kind at the client, as an error of connect and as the
// message of ICMP that came, in both families; the proxy has no session of it. What the kernel cannot be told is the proxy's to deny,
// and `glassquid rules` says so.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { applyRules, confPath, Gateway, glassquid, program, sessionLog, sessionOf, sessionsOf } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'python3')
const { client, origin, bank } = labAddresses

const kinds = ['drop', 'tcp_reset', 'net_unreachable', 'host_unreachable', 'port_unreachable', 'admin_prohibited'] as const

const conf = `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
access_log none
session_log ${sessionLog}
zone servers 203.0.113.0/24
listener 3130 tproxy rules name=gate
receiver 3130 tproxy rules name=names
listener 3131 tproxy service=port_unreachable name=all
listener 3129 intercept service=host_unreachable name=nat
router theirs transparent forge_addr=on
service plain plug router=theirs
${kinds.map(kind => `service ${kind} deny kind=${kind}`).join('\n')}
rule id=1 service=plain
${kinds.map((kind, i) => `rule id=${10 + i} dst_port=${7001 + i} service=${kind}`).join('\n')}
rule id=20 dst_port=7020 dst=${bank.ipv4} service=host_unreachable
rule id=21 dst_port=7021 src_port=1-1024 service=port_unreachable
rule id=30 dst_port=7030 dst_zone=servers service=host_unreachable
rule id=31 dst_port=7031 service=host_unreachable
rule id=32 dst_port=7031 src=${client.ipv4} service=plain
`

/**
 * A first SYN is answered while connect() holds the socket, and an error may then be a soft one; the second, a second later,
 * decides. Connects, or sends a datagram and waits for what comes of it; tells the error, and each
 * message of ICMP meanwhile.
 */
const ask = `
import socket, sys, errno, select, time, json
host, port, proto, local = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
six = ':' in host
icmp = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM if proto == 'tcp' else socket.SOCK_DGRAM)
s.settimeout(1.8)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if local: s.bind(('::' if six else '0.0.0.0', local))
said = ''
try:
    s.connect((host, port))
    s.send(b'hello')
    said = s.recv(100).decode()
except socket.timeout: said = 'nothing'
except OSError as e: said = errno.errorcode[e.errno]
got = []
while select.select([icmp], [], [], 0.1)[0]:
    m = icmp.recv(2000)
    at = 0 if six else (m[0] & 15) * 4
    if m[at] in ((1,) if six else (3,)): got.append('%d/%d' % (m[at], m[at + 1]))
print(json.dumps({'said': said, 'icmp': sorted(set(got))}))
`

interface Answer {
  readonly said: string
  readonly icmp: readonly string[]
}

describe.skipIf(cannot !== null)(`denying by the kernel ${cannot ?? ''}`, () => {
  let lab: Network
  let server: Running
  const take = ['--take', '7001-7031=gate', '--take', '7001-7006/udp=names', '--take', '7040=all', '--take', '7041=nat']
  const words = ['nft', '--interface', 'lan', ...take]

  beforeAll(async () => {
    lab = await openNetwork()
    server = lab.origin.spawn(process.execPath, [program('echo-server'), ...[7001, 7007, 7020, 7021, 7030, 7031, 7040, 7041].map(String)])
    await server.heard('listening')
    // a machine may answer with a few messages a second only; here each is wanted
    await lab.gateway.script('echo 0 >/proc/sys/net/ipv4/icmp_ratemask; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit')
    await Gateway.open(lab, { conf, rules: words })
  })
  afterAll(() => lab.close())

  const asked = async (host: string, port: number, proto: 'tcp' | 'udp' = 'tcp', local = 0): Promise<Answer> =>
    JSON.parse(await lab.client.must('python3', '-c', ask, host, String(port), proto, String(local)))

  // RFC 792 and RFC 1812 5.2.7.1; RFC 4443 3.1
  const expected: readonly (readonly [kind: (typeof kinds)[number], four: Answer, six: Answer, datagram: Answer])[] = [
    ['drop', { said: 'nothing', icmp: [] }, { said: 'nothing', icmp: [] }, { said: 'nothing', icmp: [] }],
    ['tcp_reset', { said: 'ECONNREFUSED', icmp: [] }, { said: 'ECONNREFUSED', icmp: [] }, { said: 'nothing', icmp: [] }],
    ['net_unreachable', { said: 'ENETUNREACH', icmp: ['3/0'] }, { said: 'ENETUNREACH', icmp: ['1/0'] }, { said: 'nothing', icmp: ['3/0'] }],
    ['host_unreachable', { said: 'EHOSTUNREACH', icmp: ['3/1'] }, { said: 'EHOSTUNREACH', icmp: ['1/3'] }, { said: 'nothing', icmp: ['3/1'] }],
    ['port_unreachable', { said: 'ECONNREFUSED', icmp: ['3/3'] }, { said: 'ECONNREFUSED', icmp: ['1/4'] }, { said: 'ECONNREFUSED', icmp: ['3/3'] }],
    ['admin_prohibited', { said: 'EHOSTUNREACH', icmp: ['3/13'] }, { said: 'EACCES', icmp: ['1/1'] }, { said: 'EHOSTUNREACH', icmp: ['3/13'] }],
  ]

  it.each(expected)('%s', async (kind, four, six, datagram) => {
    const port = 7001 + kinds.indexOf(kind)
    // all three hear the same messages, if any
    const got = await Promise.all([asked(origin.ipv4, port), asked(origin.ipv6, port), asked(origin.ipv4, port, 'udp')])
    expect(got.map(({ icmp }) => icmp)).toEqual([four.icmp, six.icmp, datagram.icmp])
    expect(got.slice(0, 2).map(({ said }) => said)).toEqual([four.said, six.said])
    // of a datagram only what no other road could change is told to the sender (udp(7)); the message is what was asked for
    if (datagram.icmp.includes('3/3') || datagram.icmp.length === 0) expect(got[2]?.said).toBe(datagram.said)
    expect(sessionsOf(lab).filter(({ service }) => service === kind)).toEqual([])
  })

  it('a network and a port of the client: what lies beside them passes', async () => {
    expect(await asked(bank.ipv4, 7020)).toEqual({ said: 'EHOSTUNREACH', icmp: ['3/1'] })
    expect(await asked(origin.ipv4, 7020)).toMatchObject({ said: 'hello' })
    expect(await asked(origin.ipv4, 7021, 'tcp', 1000)).toEqual({ said: 'ECONNREFUSED', icmp: ['3/3'] })
    expect(await asked(origin.ipv4, 7021)).toMatchObject({ said: 'hello' })
    expect(await sessionOf(lab, { destination: `${origin.ipv4}:7021` })).toMatchObject({ rule: 1, verdict: 'ACCEPTED' })
  })

  it('all of a listener, by TPROXY and by NAT', async () => {
    expect(await asked(origin.ipv4, 7040)).toEqual({ said: 'ECONNREFUSED', icmp: ['3/3'] })
    expect(await asked(origin.ipv6, 7041)).toEqual({ said: 'EHOSTUNREACH', icmp: ['1/3'] })
  })

  it('what the kernel cannot be told the proxy denies, and that is said', async () => {
    expect(await asked(origin.ipv4, 7030)).toMatchObject({ said: 'ECONNRESET', icmp: [] })
    expect(await sessionOf(lab, { rule: 30 })).toMatchObject({ service: 'host_unreachable', verdict: 'DENIED_BY_POLICY' })
    expect(await asked(origin.ipv4, 7031)).toMatchObject({ said: 'hello' })
    expect(await asked(origin.ipv6, 7031)).toMatchObject({ said: 'ECONNRESET', icmp: [] })
    const { stdout } = await lab.gateway.run(glassquid, 'rules', ...words, '-f', confPath)
    expect(stdout).toContain('rule 30 (host_unreachable) is left to the proxy, which resets connections and drops datagrams: the kernel knows no zones.')
    expect(stdout).toContain('rule 31 (host_unreachable) is left to the proxy, which resets connections and drops datagrams: rule 32 may come before it.')
    expect(stdout).not.toMatch(/rule 1\d \(\w+\) is left/)
  })

  it('the iptables form leaves all of it to the proxy, and says so', async () => {
    const { stdout } = await lab.gateway.run(glassquid, 'rules', 'iptables', ...words.slice(1), '-f', confPath)
    expect(stdout).toContain('rule 12: net_unreachable denies (net_unreachable): left to the proxy; iptables cannot refuse what has not been routed yet, nft can.')
  })

  it('a connection that stands is not cut by rules that come later', async () => {
    const words7007 = JSON.stringify({ host: origin.ipv4, port: 7007, text: 'hello', hold: true })
    const held = lab.client.spawn(process.execPath, [program('tcp-client'), words7007])
    await held.heard('"got":"hello"')
    await lab.gateway.script(`sed -i 's/dst_port=7001 /dst_port=7001,7007 /' ${confPath}`)
    await applyRules(lab, ...words)
    expect(await asked(origin.ipv4, 7007)).toMatchObject({ said: 'nothing', icmp: [] })
    expect(held.ended).toBe(false)
    expect((await lab.client.must('ss', '-Htn', 'state', 'established', 'dport = :7007')).trim()).not.toBe('')
    await held.stop()
  })
})
