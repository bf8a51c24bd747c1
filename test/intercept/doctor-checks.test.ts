// The doctor's checks that no gateway of ours can be broken for: what the running proxy counted, what stands in files of
// the system, other operating systems. A machine is made up for them, file by file and command by command.

import { describe, expect, it } from 'vitest'
import { collectFacts, examine, type FactsWish, type Look, type RunningCounters } from '../../src/intercept/index.ts'

const machine = (files: Readonly<Record<string, string>>, commands: Readonly<Record<string, string>> = {}): Look => ({
  file: path => files[path] ?? null,
  run: (...words) => {
    const stdout = commands[words.join(' ')]
    return stdout === undefined ? null : { code: 0, stdout, stderr: '' }
  },
})

const findingOf = (id: string, wish: Partial<FactsWish>) =>
  examine(
    collectFacts({
      look: machine({}),
      platform: 'linux',
      ports: null,
      pid: null,
      user: null,
      openFilesMax: 0,
      interfaces: [],
      probe: { foreignBind: () => '', natLookup: () => '' },
      counters: null,
      ...wish,
    }),
  ).find(one => one.id === id)?.finding

const counted = (counters: Partial<RunningCounters>): RunningCounters => ({ connections: 0, directHits: 0, requests: 0, hostMismatches: 0, ...counters })

describe('what the running proxy counted', () => {
  it.each([
    [{ connections: 99, directHits: 99 }, 'good'],
    [{ connections: 1000, directHits: 49 }, 'good'],
    [{ connections: 1000, directHits: 50 }, 'bad'],
  ])('destinations that are lost: %j', (counters, kind) => {
    expect(findingOf('D26', { pid: 1, counters: counted(counters) })?.kind).toBe(kind)
  })

  it.each([
    [{ requests: 99, hostMismatches: 99 }, 'good'],
    [{ requests: 1000, hostMismatches: 9 }, 'good'],
    [{ requests: 1000, hostMismatches: 10 }, 'bad'],
  ])('names that clients get other answers for: %j', (counters, kind) => {
    expect(findingOf('D28', { pid: 1, counters: counted(counters) })?.kind).toBe(kind)
  })

  it('is not known of a proxy that does not tell, and nothing where none runs', () => {
    expect(findingOf('D26', { pid: 1 })?.kind).toBe('unknown')
    expect(findingOf('D28', {})?.kind).toBe('not-here')
  })
})

describe('the system around it', () => {
  it('SELinux that was not told', () => {
    const look = (answer: string) => machine({ '/sys/fs/selinux/enforce': '1' }, { 'getsebool squid_use_tproxy': answer })
    expect(findingOf('D31', { look: look('squid_use_tproxy --> off') })).toMatchObject({ kind: 'bad', repair: expect.stringContaining('setsebool') })
    expect(findingOf('D31', { look: look('squid_use_tproxy --> on') })?.kind).toBe('good')
  })

  it('a profile of AppArmor', () => {
    const look = machine({ '/proc/7/attr/current': '/usr/bin/glassquid (enforce)' })
    expect(findingOf('D31', { pid: 7, look })).toMatchObject({ kind: 'bad', repair: expect.stringContaining('aa-complain /usr/bin/glassquid') })
  })

  it.each([
    ['RestrictAddressFamilies=AF_INET AF_INET6\nPrivateNetwork=no', 'bad'],
    ['RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK\nPrivateNetwork=no', 'good'],
    ['RestrictAddressFamilies=\nPrivateNetwork=yes', 'bad'],
    ['RestrictAddressFamilies=\nPrivateNetwork=no', 'good'],
  ])('a systemd unit: %j', (shown, kind) => {
    const look = machine(
      { '/proc/7/cgroup': '0::/system.slice/glassquid.service' },
      { 'systemctl show glassquid.service -p RestrictAddressFamilies -p PrivateNetwork': shown },
    )
    expect(findingOf('D32', { pid: 7, look })?.kind).toBe(kind)
  })

  it('a proxy in another network namespace', () => {
    const look = (own: string) => machine({}, { 'readlink /proc/7/ns/net': 'net:[1]\n', 'readlink /proc/self/ns/net': `net:[${own}]\n` })
    expect(findingOf('D30', { pid: 7, look: look('1') })?.kind).toBe('good')
    expect(findingOf('D30', { pid: 7, look: look('2') })).toMatchObject({ kind: 'bad', repair: 'nsenter -t 7 -n glassquid doctor' })
  })

  it('a connection table that is nearly full', () => {
    const look = (count: string) => machine({ '/proc/sys/net/netfilter/nf_conntrack_count': count, '/proc/sys/net/netfilter/nf_conntrack_max': '100' })
    expect(findingOf('D17', { look: look('80') })?.kind).toBe('good')
    expect(findingOf('D17', { look: look('81') })?.kind).toBe('bad')
  })

  it('PF and IPFilter where they are at home', () => {
    const probe = { foreignBind: () => '', natLookup: () => 'EACCES' }
    expect(findingOf('D35', { platform: 'freebsd', probe })).toMatchObject({ kind: 'bad', fact: '/dev/pf: EACCES' })
    expect(findingOf('D35', { platform: 'linux', probe })?.kind).toBe('not-here')
    expect(findingOf('D36', { platform: 'sunos', probe })?.kind).toBe('bad')
    expect(findingOf('D37', { platform: 'openbsd', look: machine({}, { 'pfctl -s info': 'Status: Disabled' }) })?.kind).toBe('bad')
    expect(findingOf('D37', { platform: 'openbsd', look: machine({}, { 'pfctl -s info': 'Status: Enabled for 1 days' }) })?.kind).toBe('good')
  })

  it('bridges whose packets pass the rules', () => {
    const files = { '/proc/sys/net/bridge/bridge-nf-call-iptables': '1' }
    const rules = JSON.stringify({
      nftables: [
        { chain: { family: 'inet', table: 't', name: 'p', hook: 'prerouting', prio: -150, policy: 'accept' } },
        { rule: { family: 'inet', table: 't', chain: 'p', expr: [{ tproxy: { port: 3130 } }] } },
      ],
    })
    const commands = { 'nft -j list ruleset': rules, 'ip -j addr': '[]' }
    expect(findingOf('D20', { look: machine(files, { ...commands, 'ip -j link show type bridge': '[{"ifname":"br0"}]' }) })?.kind).toBe('bad')
    expect(findingOf('D20', { look: machine(files, { ...commands, 'ip -j link show type bridge': '[{}]' }) })?.kind).toBe('not-here')
  })

  it('flow offload on the clients’ side', () => {
    const ruleset = JSON.stringify({ nftables: [{ flowtable: { family: 'inet', name: 'f', table: 't', hook: 'ingress', prio: 0, dev: ['lan'] } }] })
    const addresses = JSON.stringify([{ ifname: 'lan', addr_info: [] }])
    expect(findingOf('D29', { look: machine({}, { 'nft -j list ruleset': ruleset, 'ip -j addr': addresses }) })?.kind).toBe('bad')
  })

  it('a check that cannot see says what it wanted', () => {
    expect(findingOf('D21', {})).toMatchObject({ kind: 'unknown', fact: expect.stringContaining('ip_local_port_range') })
    expect(findingOf('D03', {})?.kind).toBe('unknown')
  })
})
