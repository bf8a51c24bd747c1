import { spawnSync } from 'node:child_process'
import { holdNamespace, type Namespace } from './namespace.ts'

// Three machines in one process tree, for newcomers to look at and for our tests to work in. No root needed: all of it
// lives in a user namespace of its own, and nothing outside can be reached from it or sees it.
//
//   client  eth0 ──────────── lan  gateway  wan ──────────── eth0  origin
//   198.51.100.2       198.51.100.1      203.0.113.1       203.0.113.10
//   2001:db8:c::2      2001:db8:c::1     2001:db8:f::1     2001:db8:f::10
//
// The origin has no route but through the gateway, so it can answer a forged client address, and everything passes the
// gateway's rules. The addresses are those reserved for documentation (RFC 5737, RFC 3849).

export const labAddresses = {
  client: { ipv4: '198.51.100.2', ipv6: '2001:db8:c::2' },
  gateway: { ipv4: '198.51.100.1', ipv6: '2001:db8:c::1' },
  /** The gateway's other leg, what origins see of connections it makes in its own name. */
  gatewayWan: { ipv4: '203.0.113.1', ipv6: '2001:db8:f::1' },
  origin: { ipv4: '203.0.113.10', ipv6: '2001:db8:f::10' },
  /** The origin machine's second name and address, for whoever wants to be taken for it. */
  bank: { ipv4: '203.0.113.11', ipv6: '2001:db8:f::11' },
} as const

export const labInterfaces = { lan: 'lan', wan: 'wan' } as const

/** Names every machine of the lab knows through its hosts file. */
export const labNames: Readonly<Record<string, readonly string[]>> = {
  'client.lab': Object.values(labAddresses.client),
  'gateway.lab': Object.values(labAddresses.gateway),
  'origin.lab': Object.values(labAddresses.origin),
  'bank.lab': Object.values(labAddresses.bank),
}

export interface Network {
  readonly client: Namespace
  readonly gateway: Namespace
  readonly origin: Namespace
  close(): Promise<void>
}

/** Null, or the sentence that tells why namespaces cannot be had here and what to do. Cheap enough to ask before. */
export const whyNoNetwork = (): string | null => {
  for (const tool of ['unshare', 'nsenter', 'setpriv', 'ip']) {
    if (spawnSync(tool, ['-V'], { stdio: 'ignore' }).error !== undefined) {
      const debian = tool === 'ip' ? 'iproute2' : 'util-linux'
      return `The lab needs '${tool}': apt-get install ${debian}.`
    }
  }
  const way = ownNamespaces()
  if (way.ok) return null
  return (
    `This system gives us no network namespaces (${way.said}); containers and some hardened kernels forbid them. Allow user namespaces ` +
    '(sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0), or run as root outside the container.'
  )
}

type Way = { readonly ok: true; readonly options: '-nm' | '-Urnm' } | { readonly ok: false; readonly said: string }

/** Root needs no user namespace, except where it is root in name only. */
const ownNamespaces = (): Way => {
  let said = ''
  for (const options of process.getuid?.() === 0 ? (['-nm', '-Urnm'] as const) : (['-Urnm'] as const)) {
    const tried = spawnSync('unshare', [options, 'true'], { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
    if (tried.status === 0) return { ok: true, options }
    said = tried.error?.message ?? tried.stderr.trim()
  }
  return { ok: false, said }
}

export const openNetwork = async (): Promise<Network> => {
  const way = ownNamespaces()
  if (!way.ok) throw new Error(whyNoNetwork() ?? way.said)
  const ofUser = way.options === '-Urnm'
  const opened: Namespace[] = []
  const close = async () => {
    for (const namespace of opened.toReversed()) await namespace.close()
  }
  try {
    const hold = async (name: string, command: readonly string[]) => {
      const namespace = await holdNamespace(name, command, prepare, ofUser)
      opened.push(namespace)
      return namespace
    }
    const gateway = await hold('gateway', ['unshare', way.options])
    const beside = [...gateway.enter.filter(word => word !== '-n' && word !== '-m'), '--', 'unshare', '-nm']
    const client = await hold('client', ofUser ? beside : ['unshare', way.options])
    const origin = await hold('origin', ofUser ? beside : ['unshare', way.options])
    await gateway.script(gatewayScript(client.pid, origin.pid))
    await Promise.all([client.script(leafScript('client')), origin.script(leafScript('origin'))])
    return { client, gateway, origin, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** A network for the length of one call; everything in it is stopped and gone afterwards, whatever happened. */
export const withNetwork = async <T>(use: (network: Network) => Promise<T>): Promise<T> => {
  const network = await openNetwork()
  try {
    return await use(network)
  } finally {
    await network.close()
  }
}

const hostsFile = (): string => {
  const lines = ['127.0.0.1 localhost', '::1 localhost']
  for (const [name, addresses] of Object.entries(labNames)) for (const address of addresses) lines.push(`${address} ${name}`)
  return lines.join('\n')
}

/** What a machine sees as its own: an empty /run, the lab's names, and nobody who knows other ones. */
const prepare = `
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/glassquid
cat >/run/hosts <<END
${hostsFile()}
END
mount --bind /run/hosts /etc/hosts
cat >/run/resolv.conf <<END
nameserver ${labAddresses.origin.ipv4}
options timeout:2 attempts:1
END
# resolv.conf is often a link into /run, which has just been emptied
names=$(readlink -f /etc/resolv.conf)
case $names in /run/*) mkdir -p "\${names%/*}"; touch "$names" ;; esac
mount --bind /run/resolv.conf "$names"
ip link set lo up
# fresh addresses are used at once: nobody else is on these wires (duplicate address detection takes a second)
sysctl() { echo "$2" >"/proc/sys/net/$1" 2>/dev/null || true; }
sysctl ipv6/conf/default/accept_dad 0
sysctl ipv6/conf/all/accept_dad 0
sysctl ipv4/conf/all/rp_filter 0
sysctl ipv4/conf/default/rp_filter 0
`

const gatewayScript = (client: number, origin: number): string => `
ip link add lan type veth peer name eth0 netns ${client}
ip link add wan type veth peer name eth0 netns ${origin}
ip addr add ${labAddresses.gateway.ipv4}/24 dev lan
ip addr add ${labAddresses.gatewayWan.ipv4}/24 dev wan
ip -6 addr add ${labAddresses.gateway.ipv6}/64 dev lan nodad
ip -6 addr add ${labAddresses.gatewayWan.ipv6}/64 dev wan nodad
ip link set lan up
ip link set wan up
# what no rule takes is forwarded, as on a real gateway
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
`

const leafScript = (name: 'client' | 'origin'): string => {
  const gateway = name === 'client' ? labAddresses.gateway : labAddresses.gatewayWan
  return `
ip addr add ${labAddresses[name].ipv4}/24 dev eth0
ip -6 addr add ${labAddresses[name].ipv6}/64 dev eth0 nodad
${
  name === 'origin'
    ? `ip addr add ${labAddresses.bank.ipv4}/24 dev eth0\nip -6 addr add ${labAddresses.bank.ipv6}/64 dev eth0 nodad`
    : ''
}
ip link set eth0 up
ip route add default via ${gateway.ipv4}
ip -6 route add default via ${gateway.ipv6}
`
}
