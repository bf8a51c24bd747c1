// A gateway whose servers refuse, hang, reset, end first, take nothing, or vanish with their link; that is told to read its
// conf again and again while a thousand connections pass; and whose workers are killed. What TCP promised arrives: every
// byte of who was served, an error for who was not. Afterwards the proxy holds what it held before.

import { readdirSync, readlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { descriptorCount, Gateway, inspected, mib, program, sessionLog, sessionsOf } from '../support/gateway.ts'
import { labAddresses, type Namespace, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'pgrep')
const { origin } = labAddresses

const conf = (more = ''): string => `
visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
cache_log /run/glassquid/cache.log
access_log none
session_log ${sessionLog}
shutdown_lifetime 0 seconds
connect_timeout 1 second
forward_timeout 2 seconds
listener 3130 tproxy service=any name=gate
router theirs transparent forge_addr=on
service any plug router=theirs idle_timeout=3s
${more}`

const ports = { echo: 7001, reset: 7002, silent: 7003, first: 7004, deaf: 7005, refused: 7006, hanging: 7007 } as const
const rules = ['nft', '--interface', 'lan', '--take', '7001-7007=gate']

type Ends = Readonly<Record<string, number>>

const clients = (lab: Network, port: number, count: number, more: object = {}): Running =>
  lab.client.spawn(process.execPath, [program('many-clients'), JSON.stringify({ host: origin.ipv4, port, count, atOnce: 50, bytes: 20_000, ...more })])

const endsOf = async (running: Running): Promise<Ends> => JSON.parse(await running.heard(/^\{.*\}$/m))

/** Sockets a process holds. Pipes are not counted: a relay's are kept for the next one, a bounded number of them. */
const socketCount = (pid: number): number => {
  const links = readdirSync(`/proc/${pid}/fd`).map(fd => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`)
    } catch {
      return '' // closed meanwhile
    }
  })
  return links.filter(link => link.startsWith('socket:')).length
}

/** A relay's pipes that wait for the next one: both ends of each, in both directions. */
const pipesKeptMax = 2 * 32 + 4

const servers = async (machine: Namespace): Promise<Running> => {
  const words = Object.entries(ports).filter(([how]) => how !== 'refused' && how !== 'hanging').map(([how, port]) => `${port}=${how}`)
  const server = machine.spawn(process.execPath, [program('ill-server'), ...words])
  await server.heard('listening')
  await machine.script(`nft add table inet hole
nft 'add chain inet hole in { type filter hook input priority 0; }'
nft add rule inet hole in tcp dport ${ports.hanging} drop`)
  return server
}

describe.skipIf(cannot !== null)(`a gateway whose servers are ill ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let server: Running
  let before = { sockets: 0, descriptors: 0 }

  beforeAll(async () => {
    lab = await openNetwork()
    server = await servers(lab.origin)
    gateway = await Gateway.open(lab, { conf: conf(), rules, env: inspected })
    before = { sockets: socketCount(gateway.proxy.pid), descriptors: descriptorCount(gateway.proxy.pid) }
  })
  afterAll(() => lab.close())

  it('each client is told what became of its server, and who is well is served meanwhile', async () => {
    const well = clients(lab, ports.echo, 1000)
    const ill = (['reset', 'silent', 'first', 'deaf', 'refused', 'hanging'] as const).map(async how => [how, await endsOf(clients(lab, ports[how], 100))] as const)
    const ends = Object.fromEntries(await Promise.all(ill))
    expect(await endsOf(well)).toEqual({ whole: 1000 })
    expect(ends).toEqual({
      reset: { ECONNRESET: 100 },
      silent: { ECONNRESET: 100 },
      first: { bye: 100 },
      deaf: { ECONNRESET: 100 },
      refused: { ECONNRESET: 100 },
      hanging: { ECONNRESET: 100 },
    })
    // what the clients had said after the server's end arrived there
    await expect.poll(() => server.said.match(/^got 20000$/gm)?.length, { timeout: 5000 }).toBe(100)
  })

  it('a server that vanishes with its link: when it is back soon nothing is lost, else everybody is told', async () => {
    const soon = clients(lab, ports.echo, 50, { holdMs: 1500 })
    await soon.heard('begun')
    await lab.origin.script('ip link set eth0 down')
    await lab.origin.script(`ip link set eth0 up
ip route add default via ${labAddresses.gatewayWan.ipv4}`)
    expect(await endsOf(soon)).toEqual({ whole: 50 })

    const never = clients(lab, ports.echo, 50, { holdMs: 1500 })
    await never.heard('begun')
    await lab.origin.script('ip link set eth0 down')
    expect(await endsOf(never)).toEqual({ ECONNRESET: 50 })
    await lab.origin.script(`ip link set eth0 up
ip route add default via ${labAddresses.gatewayWan.ipv4}`)
    expect(await endsOf(clients(lab, ports.echo, 100))).toEqual({ whole: 100 })
  })

  /** How a thousand ended, and how often the conf was read meanwhile. */
  const reloadedAround = async (): Promise<{ ends: Ends; reloads: number }> => {
    const passing = endsOf(clients(lab, ports.echo, 1000, { holdMs: 100 }))
    let over = false
    void passing.finally(() => {
      over = true
    })
    const readings = () => gateway.cacheLog.split('Reconfigured').length - 1
    const atFirst = readings()
    let reloads = 0
    const reload = async (more: string): Promise<void> => {
      gateway.use(conf(more))
      gateway.proxy.signal('SIGHUP')
      await expect.poll(readings, { timeout: 10_000, interval: 10 }).toBe(atFirst + ++reloads)
    }
    while (!over) await reload(`listener ${3131 + (reloads % 2)} tproxy service=any name=more\n`)
    await reload('')
    return { ends: await passing, reloads }
  }

  it('a conf that is read again and again while a thousand connections pass costs none of them, nor memory', async () => {
    const held: number[] = []
    for (let round = 0; round < 3; round++) {
      const { ends, reloads } = await reloadedAround()
      expect(ends).toEqual({ whole: 1000 })
      expect(reloads).toBeGreaterThan(3)
      held.push(await gateway.aliveBytes())
    }
    // it stays the same within one (fourteen rounds); a kilobyte and a half more of each session would be three
    expect((held.at(-1) ?? 0) - (held[0] ?? 0), held.map(mib).join(', ')).toBeLessThan(3 * 1024 * 1024)
  })

  it('afterwards it holds what it held before, and every session has its record', async () => {
    const { pid } = gateway.proxy
    await expect.poll(() => socketCount(pid), { timeout: 10_000 }).toBe(before.sockets)
    expect(descriptorCount(pid)).toBeLessThanOrEqual(before.descriptors + pipesKeptMax)
    // 1000 + 600, 50 + 50 + 100, 3000
    await expect.poll(() => sessionsOf(lab).length, { timeout: 5000 }).toBe(4800)
    expect(sessionsOf(lab).filter(({ verdict }) => verdict === 'DENIED_BY_UNKNOWN_FAIL')).toEqual([])
    expect(gateway.cacheLog).not.toContain('fault of ours')
  })
})

describe.skipIf(cannot !== null)(`a gateway with two workers ${cannot ?? ''}`, () => {
  it('loses with a worker that is killed the connections of that worker, and no others', async () => {
    const lab = await openNetwork()
    try {
      await servers(lab.origin)
      const gateway = await Gateway.open(lab, { conf: `workers 2\n${conf()}`, rules })
      const workers = async () => (await lab.gateway.must('pgrep', '-P', String(gateway.proxy.pid))).trim().split('\n').map(Number)
      const [killed = 0, other = 0] = await workers()
      const before = socketCount(other)

      const held = clients(lab, ports.echo, 200, { atOnce: 200, holdMs: 1500 })
      await held.heard('begun')
      await lab.gateway.must('kill', '-9', String(killed))
      const { whole = 0, ...broken } = await endsOf(held)
      expect([whole > 20, whole < 180]).toEqual([true, true])
      // the kernel ends what the dead had: by a reset, or, where everything had been read, in the ordinary way
      expect(Object.keys(broken).filter(how => how !== 'ECONNRESET' && how !== 'cut')).toEqual([])
      expect(await endsOf(clients(lab, ports.echo, 300))).toEqual({ whole: 300 })

      await expect.poll(() => gateway.cacheLog, { timeout: 10_000 }).toMatch(/worker kid\d runs again/)
      expect(await workers()).toHaveLength(2)
      expect(await endsOf(clients(lab, ports.echo, 300))).toEqual({ whole: 300 })
      await expect.poll(() => socketCount(other), { timeout: 10_000 }).toBe(before)
    } finally {
      await lab.close()
    }
  }, 60_000)
})
