import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { native } from '../../native/index.ts'

// Guards netfilter's look-up against a real kernel: connections of a namespace to itself, redirected by rules on its
// output, for IPv4, IPv6 and both on one listener, with conntrack and without.

const script = fileURLToPath(new URL('../support/nat-kernel.ts', import.meta.url))
const inOwnNetwork = (command: string) =>
  spawnSync('unshare', ['-Urn', 'sh', '-ec', command], { encoding: 'utf8', timeout: 30_000 })

const network = `
  ip link set lo up
  ip addr add 10.11.0.1/32 dev lo
  ip route add 203.0.113.0/24 dev lo
  ip -6 addr add 2001:db8:11::1/128 dev lo nodad
  ip -6 route add 2001:db8:1::/64 dev lo
`
const rules = `
  nft -f - <<END
  table inet glassquid {
    chain output {
      type nat hook output priority -100; policy accept;
      ip daddr 203.0.113.0/24 tcp dport 80 dnat ip to 10.11.0.1:3129
      ip daddr 10.11.0.1 tcp dport 80 dnat ip to 10.11.0.1:3129
      ip6 daddr 2001:db8:1::/64 tcp dport 80 dnat ip6 to [2001:db8:11::1]:3129
    }
  }
END
`

const why = native.present
  ? inOwnNetwork(network + rules).status === 0
    ? null
    : 'no network namespace with nft (unshare -Urn, iproute2, nftables)'
  : native.why
if (why !== null) console.warn(`SKIPPED, netfilter on a live kernel: ${why}`)

describe.skipIf(why !== null)(`netfilter on a live kernel${why === null ? '' : ` (${why})`}`, () => {
  const ask = (setUp: string, ...triples: readonly string[]): unknown => {
    const ran = inOwnNetwork(`${network}${setUp}\nexec "${process.execPath}" "${script}" ${triples.join(' ')}`)
    expect(ran.stderr).toBe('')
    return JSON.parse(ran.stdout)
  }
  const seen = (answer: string, local: string) => ({ engine: answer, object: answer, local, proved: true })

  it('knows where redirected connections were going, and direct ones from them', () => {
    const triples = [
      '0.0.0.0 203.0.113.10 80',
      ':: 203.0.113.10 80',
      ':: 2001:db8:1::10 80',
      '0.0.0.0 10.11.0.1 80',
      '0.0.0.0 10.11.0.1 3129',
      ':: 10.11.0.1 3129',
      ':: 2001:db8:11::1 3129',
    ]
    expect(ask(rules, ...triples)).toEqual({
      '0.0.0.0 203.0.113.10:80': seen('nat 203.0.113.10:80', '10.11.0.1:3129'),
      ':: 203.0.113.10:80': seen('nat 203.0.113.10:80', '10.11.0.1:3129'),
      ':: [2001:db8:1::10]:80': seen('nat [2001:db8:1::10]:80', '[2001:db8:11::1]:3129'),
      '0.0.0.0 10.11.0.1:80': seen('nat 10.11.0.1:80', '10.11.0.1:3129'), // the port alone was changed
      '0.0.0.0 10.11.0.1:3129': seen('direct', '10.11.0.1:3129'),
      ':: 10.11.0.1:3129': seen('direct', '10.11.0.1:3129'),
      ':: [2001:db8:11::1]:3129': seen('direct', '[2001:db8:11::1]:3129'),
    })
  })

  it('says none where conntrack does not look', () => {
    expect(ask('', '0.0.0.0 10.11.0.1 3129', ':: 2001:db8:11::1 3129')).toEqual({
      '0.0.0.0 10.11.0.1:3129': seen('none ENOENT', '10.11.0.1:3129'),
      ':: [2001:db8:11::1]:3129': seen('none ENOENT', '[2001:db8:11::1]:3129'),
    })
  })
})
