import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import {
  COMM_NONBLOCKING,
  COMM_REUSEADDR,
  COMM_REUSEPORT,
  createComm,
  type Connection,
} from '../../comm/index.ts'
import { getOption } from '../../native/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'
import { Arrivals, connectMs, connectOptions, listenOptions } from '../support/comm-kit.ts'
import { labAddresses, noLabWith, withLab } from '../support/net-lab.ts'
import { addon, noAddon } from './present.ts'

// Every option that is asked for is set, and before the call it matters for.

const SOL_IP = 0
const SOL_SOCKET = 1
const IPPROTO_TCP = 6
const IPPROTO_IPV6 = 41
const SO_REUSEADDR = 2
const SO_REUSEPORT = 15
const TCP_NODELAY = 1
const IP_TOS = 1
const IPV6_V6ONLY = 26
const IPV6_TCLASS = 67

const withComm = async (use: (comm: ReturnType<typeof createComm>) => Promise<void>): Promise<void> => {
  const comm = createComm({ engine: 'native', clock: systemClock })
  try {
    await use(comm)
  } finally {
    comm.close()
  }
}

describe.skipIf(noAddon !== null)(`options, read back ${noAddon ?? ''}`, () => {
  const read = (fd: number, level: number, name: number) => getOption(addon(), fd, level, name)

  it('listeners', () =>
    withComm(async comm => {
      const plain = comm.listen(listenOptions({ flags: COMM_NONBLOCKING }), () => {})
      expect(read(plain.fd, SOL_SOCKET, SO_REUSEADDR)).toBe(0)
      const reused = comm.listen(listenOptions({ flags: COMM_REUSEADDR }), () => {})
      expect(read(reused.fd, SOL_SOCKET, SO_REUSEADDR)).toBe(1)
      expect(read(reused.fd, SOL_SOCKET, SO_REUSEPORT)).toBe(0)
      const shared = comm.listen(listenOptions({ flags: COMM_REUSEPORT }), () => {})
      expect(read(shared.fd, SOL_SOCKET, SO_REUSEADDR)).toBe(1)
      expect(read(shared.fd, SOL_SOCKET, SO_REUSEPORT)).toBe(1)
      const again = comm.listen(listenOptions({ flags: COMM_REUSEPORT, endpoint: shared.endpoint }), () => {})
      expect(again.endpoint).toEqual(shared.endpoint)
      const six = comm.listen(listenOptions({ endpoint: endpoint('::', 0) }), () => {})
      expect(read(six.fd, IPPROTO_IPV6, IPV6_V6ONLY)).toBe(1)
      const dual = comm.listen(listenOptions({ endpoint: endpoint('::', 0), dualStack: true }), () => {})
      expect(read(dual.fd, IPPROTO_IPV6, IPV6_V6ONLY)).toBe(0)
    }))

  it('connections, accepted ones too, send small parts at once', () =>
    withComm(async comm => {
      const arrivals = new Arrivals(comm)
      const client = await comm.connect(connectOptions(arrivals.listener.endpoint, { tos: 0x28 }), connectMs)
      const server = await arrivals.next()
      for (const { fd } of [client, server]) expect(read(fd, IPPROTO_TCP, TCP_NODELAY)).toBe(1)
      expect(read(client.fd, SOL_IP, IP_TOS)).toBe(0x28)
    }))

  it('IPv6 connections have a traffic class', () =>
    withComm(async comm => {
      const arrivals = new Arrivals(comm, { endpoint: endpoint('::1', 0) })
      const client: Connection = await comm.connect(connectOptions(arrivals.listener.endpoint, { tos: 0xb8 }), connectMs)
      expect(read(client.fd, IPPROTO_IPV6, IPV6_TCLASS)).toBe(0xb8)
    }))

  it('none is left open to a program we start', () =>
    withComm(async comm => {
      const { listener } = new Arrivals(comm)
      const client = await comm.connect(connectOptions(listener.endpoint), connectMs)
      const { stdout } = spawnSync('sh', ['-c', 'ls /proc/self/fd'], { encoding: 'utf8' })
      const open = stdout.split('\n')
      expect(open).not.toContain(String(listener.fd))
      expect(open).not.toContain(String(client.fd))
    }))
})

const noTrace = noAddon ?? noLabWith('strace')

describe.skipIf(noTrace !== null)(`options, in order ${noTrace ?? ''}`, () => {
  /** The calls of the first socket the program opens, each with the option it sets. */
  const traced = (wishes: object): Promise<string[]> =>
    withLab(async lab => {
      const program = new URL('./gateway.ts', import.meta.url).pathname
      const calls = 'trace=socket,setsockopt,bind,listen,connect,fcntl,ioctl'
      const ran = await lab.gateway.runWith(
        { input: '', deadlineMs: 20_000 },
        'strace',
        ...['-f', '-qq', '-e', calls, process.execPath, program, JSON.stringify(wishes)],
      )
      const lines = ran.stderr.split('\n')
      const first = lines.findIndex(line => /socket\(AF_INET6?, SOCK_STREAM\|SOCK_CLOEXEC\|SOCK_NONBLOCK/.test(line))
      const fd = / = (\d+)$/.exec(lines[first] ?? '')?.[1] ?? 'none'
      const later = new RegExp(`(setsockopt|bind|listen|connect|fcntl|ioctl)\\(${fd}, (?:(SOL_\\w+, \\w+))?`)
      return lines.slice(first + 1).flatMap(line => {
        const [, call, option] = later.exec(line) ?? []
        return call === undefined ? [] : [option === undefined ? call : `${call} ${option}`]
      })
    })

  it('a listener that may be foreign', async () => {
    const calls = await traced({
      listen: [{ name: 'x', address: '::', port: 3130, dualStack: true, natBackend: 'getsockname', foreign: true }],
    })
    expect(calls).toEqual([
      'setsockopt SOL_IPV6, IPV6_V6ONLY',
      'setsockopt SOL_SOCKET, SO_REUSEADDR',
      'setsockopt SOL_IPV6, IPV6_TRANSPARENT',
      'bind',
      'setsockopt SOL_TCP, TCP_NODELAY',
      'listen',
    ])
  })

  it('a forged connect with everything', async () => {
    const { client, origin } = labAddresses
    const wish = { target: [origin.ipv4, 80], source: [client.ipv4, 0], mark: 7, tos: 16, device: 'wan' }
    const calls = await traced({ connect: [{ ...wish, foreign: true, times: 1, timeoutMs: 1 }] })
    expect(calls.slice(0, 8)).toEqual([
      'setsockopt SOL_SOCKET, SO_BINDTODEVICE',
      'setsockopt SOL_SOCKET, SO_MARK',
      'setsockopt SOL_IP, IP_TOS',
      'setsockopt SOL_IP, IP_TRANSPARENT',
      'setsockopt SOL_IP, IP_BIND_ADDRESS_NO_PORT',
      'bind',
      'setsockopt SOL_TCP, TCP_NODELAY',
      'connect',
    ])
  })
})
