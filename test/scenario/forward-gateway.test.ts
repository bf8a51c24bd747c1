// What a service leaves to the kernel, on a gateway: the connection passes with both ends' addresses and the proxy has no
// session of it; what the kernel cannot be told of the proxy passes on in the client's name. By TPROXY and by NAT, streams
// and datagrams.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { confPath, Gateway, glassquid, sessionLog, sessionOf, sessionsOf } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'python3')
const { client, origin } = labAddresses

const conf = `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
access_log none
session_log ${sessionLog}
zone servers 203.0.113.0/24
listener 3130 tproxy rules name=gate
receiver 3130 tproxy rules name=names
listener 3129 intercept rules name=nat
router theirs transparent forge_addr=on
service plain plug router=theirs
service pass forward
rule id=1 service=plain
rule id=10 dst_port=7001,7003,7004 service=pass
rule id=11 dst_port=7002 dst_zone=servers service=pass
`

const ask = `
import socket, sys
host, port, proto = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_STREAM if proto == 'tcp' else socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((host, port))
for i in range(3):
    s.send(b'hello')
    print(s.recv(100).decode(), s.getsockname()[1])
`

const echo = `
import socket, threading
ready = threading.Barrier(11)
def tcp(family, port):
    s = socket.socket(family, socket.SOCK_STREAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(('', port)); s.listen(); ready.wait()
    while True:
        c, who = s.accept()
        def talk(c, who):
            while c.recv(100): c.send(('%s %d' % who[:2]).encode())
            c.close()
        threading.Thread(target=talk, args=(c, who), daemon=True).start()
def udp(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', port)); ready.wait()
    while True:
        m, who = s.recvfrom(100)
        s.sendto(('%s %d' % who).encode(), who)
for port in (7001, 7002, 7003, 7005):
    for family in (socket.AF_INET, socket.AF_INET6): threading.Thread(target=tcp, args=(family, port), daemon=True).start()
for port in (7004, 7005): threading.Thread(target=udp, args=(port,), daemon=True).start()
ready.wait(); print('listening', flush=True); threading.Event().wait()
`

describe.skipIf(cannot !== null)(`forwarding by the kernel ${cannot ?? ''}`, () => {
  let lab: Network
  let server: Running
  const words = ['nft', '--interface', 'lan', '--take', '7001-7002=gate', '--take', '7005=gate', '--take', '7003=nat', '--take', '7004-7005/udp=names']

  beforeAll(async () => {
    lab = await openNetwork()
    server = lab.origin.spawn('python3', ['-c', echo])
    await server.heard('listening')
    await Gateway.open(lab, { conf, rules: words })
  })
  afterAll(() => lab.close())

  /** Whom the server saw, three times on one connection, and the port the client had. */
  const asked = async (host: string, port: number, proto: 'tcp' | 'udp' = 'tcp') => {
    const lines = (await lab.client.must('python3', '-c', ask, host, String(port), proto)).trim().split('\n')
    expect(new Set(lines).size).toBe(1)
    const [address = '', seen, own] = (lines[0] ?? '').split(' ')
    return { address, samePort: seen === own }
  }

  it.each([
    ['TPROXY', origin.ipv4, 7001, 'tcp', client.ipv4],
    ['TPROXY', origin.ipv6, 7001, 'tcp', client.ipv6],
    ['NAT', origin.ipv4, 7003, 'tcp', client.ipv4],
    ['NAT', origin.ipv6, 7003, 'tcp', client.ipv6],
    ['TPROXY', origin.ipv4, 7004, 'udp', client.ipv4],
  ] as const)('%s, %s port %i %s: the kernel passes it, address and port as they were', async (_way, host, port, proto, address) => {
    expect(await asked(host, port, proto)).toEqual({ address, samePort: true })
    expect(sessionsOf(lab).filter(({ destination }) => String(destination).endsWith(`:${port}`))).toEqual([])
    expect(await lab.gateway.must('nft', 'list', 'table', 'inet', 'glassquid')).toMatch(new RegExp(`dport \\{[^}]*${port}[^\\n]*counter packets [1-9]\\d* bytes \\d+ accept`))
  })

  it('what lies beside it has its session', async () => {
    expect((await asked(origin.ipv4, 7005)).address).toBe(client.ipv4)
    expect(await sessionOf(lab, { destination: `${origin.ipv4}:7005` })).toMatchObject({ rule: 1, service: 'plain', verdict: 'ACCEPTED' })
  })

  it('what the kernel cannot be told the proxy passes on in the client’s name, and that is said', async () => {
    expect((await asked(origin.ipv4, 7002)).address).toBe(client.ipv4)
    expect(await sessionOf(lab, { destination: `${origin.ipv4}:7002` })).toMatchObject({ rule: 11, service: 'pass', verdict: 'ACCEPTED' })
    const { stdout } = await lab.gateway.run(glassquid, 'rules', ...words, '-f', confPath)
    expect(stdout).toContain('rule 11 (forward) is left to the proxy, which passes it on: the kernel knows no zones.')
    expect(stdout).not.toContain('rule 10 (forward) is left')
    expect(stdout).toContain('# rule 10: pass forwards')
  })
})
