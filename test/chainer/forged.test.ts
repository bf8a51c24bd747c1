// Foreign sources, by a real kernel: each client's requests reach the origin from that client's address, over kept
// connections that no other client shares, in IPv4 and IPv6; without the power to forge there is an error and nothing
// reaches the origin. Seen by an origin in a network namespace that answers with the address it was asked from.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { engines } from './kit.ts'

const probe = fileURLToPath(new URL('./forged-probe.ts', import.meta.url))
const inOwnNetwork = (command: string) =>
  spawnSync('unshare', ['-Urn', 'sh', '-ec', command], { encoding: 'utf8', timeout: 30_000 })
const noNetwork = inOwnNetwork('ip link set lo up && ip route add local 192.0.2.0/24 dev lo').status !== 0
const reason = noNetwork
  ? 'no network namespace of our own (unshare -Urn, iproute2)'
  : engines.includes('native')
    ? ''
    : 'no native engine here'
if (reason !== '') console.warn(`SKIPPED, forged sources: ${reason}`)

const run = (engine: string): { seen: string[]; connections: number[] } => {
  const ran = inOwnNetwork(`
    ip link set lo up
    ip route add local 192.0.2.0/24 dev lo
    ip -6 route add local 2001:db8:5::/64 dev lo
    exec "${process.execPath}" "${probe}" ${engine}
  `)
  expect(ran.stderr).toBe('')
  return JSON.parse(ran.stdout)
}

describe.skipIf(reason !== '')(`forged sources${reason && ` (${reason})`}`, () => {
  it('reach the origin as the clients they belong to, two requests of one over one connection', () => {
    expect(run('native')).toMatchObject({
      seen: ['192.0.2.1', '192.0.2.2', '127.0.0.1', '192.0.2.1', '2001:db8:5::1', '2001:db8:5::2'],
      connections: [3, 2],
    })
  })

  it('that cannot be had are an error; nothing is sent from an address of ours instead', () => {
    const { seen, connections } = run('node')
    expect(seen.filter((_, i) => i !== 2)).toEqual(Array(5).fill('spoof-failed ENOTSUP'))
    expect(connections).toEqual([0, 0])
  })
})
