import { bad, type Check, type Finding, good, notHere, unknown } from '../check.ts'
import { type Facts, familiesTaken, interfaceSetting, likelyClient, natRules } from '../facts.ts'
import { jsonList, number } from '../look.ts'

// Switches and limits of the kernel.

const features: Check = {
  id: 'D03',
  severity: 'fatal',
  title: 'the kernel knows TPROXY and socket matches',
  look(facts) {
    const asked = facts.look.run('nft', '-c', probeRules)
    if (asked !== null && asked.code === 0) return good('nft would load tproxy and socket rules')
    if (asked !== null && !/permitted|denied/i.test(asked.stderr)) {
      return bad(
        `nft refuses tproxy or socket rules: ${asked.stderr.trim().split('\n')[0]}`,
        'rules with TPROXY cannot be loaded',
        'modprobe -a nft_tproxy nft_socket (or install the kernel that has them)',
      )
    }
    const [targets, tests] = ['targets', 'matches'].map(what => facts.look.file(`/proc/net/ip_tables_${what}`))
    if (targets?.includes('TPROXY') && tests?.includes('socket')) return good('iptables has TPROXY and socket')
    return unknown(asked === null ? 'nft is not installed' : 'asking nft needs root (CAP_NET_ADMIN)')
  },
}

const probeRules =
  'table inet glassquid_doctor { chain c { type filter hook prerouting priority mangle; socket transparent 1 meta mark set 1; meta l4proto tcp tproxy to :1; }; }'

/** Settings that must be 0, the greater of all and the interface's own. */
const sourceMark: Check = {
  id: 'D06',
  severity: 'fatal',
  title: 'the mark is left out of the source check',
  look(facts) {
    if (familiesTaken(facts, 'tproxy').length === 0) return notHere('no tproxy rule')
    const findings = [...facts.clientSides, 'lo'].flatMap((name): Finding[] => {
      const value = interfaceSetting(facts, name, 'src_valid_mark')
      if (value === null || value === 0) return []
      return [
        bad(
          `src_valid_mark is 1 for ${name}`,
          'the kernel looks the client up by our mark, finds itself, and drops the packet as a martian: clients hang',
          `sysctl -w net.ipv4.conf.all.src_valid_mark=0 net.ipv4.conf.${name}.src_valid_mark=0 (wg-quick and tailscale set it)`,
        ),
      ]
    })
    return findings.length > 0 ? findings : good('src_valid_mark is 0')
  },
}

const reversePath: Check = {
  id: 'D07',
  severity: 'warning',
  title: 'the reverse path filter',
  look(facts) {
    const findings = facts.links.flatMap(({ name }): Finding[] => {
      if (name === 'lo' || interfaceSetting(facts, name, 'rp_filter') !== 1) return []
      const client = facts.clientSides.includes(name) ? likelyClient(facts, name, 4) : null
      const back = client === null ? null : jsonList(facts.look.run('ip', '-j', '-4', 'route', 'get', client))[0]?.dev
      if (back === null || back === name) return []
      return [
        bad(
          `rp_filter is 1 for ${name}, and ${client} is routed by ${String(back)}`,
          'packets of clients behind it are dropped',
          `sysctl -w net.ipv4.conf.${name}.rp_filter=2`,
        ),
      ]
    })
    return findings.length > 0 ? findings : good('no strict filter on a path that is not symmetric')
  },
}

const fwmarkAccept: Check = {
  id: 'D08',
  severity: 'fatal',
  title: 'accepted connections do not inherit the mark',
  look(facts) {
    if (familiesTaken(facts, 'tproxy').length === 0) return notHere('no tproxy rule')
    const value = facts.look.file('/proc/sys/net/ipv4/tcp_fwmark_accept')
    if (value === null) return unknown('/proc/sys/net/ipv4/tcp_fwmark_accept cannot be read')
    if (value === '0') return good('tcp_fwmark_accept is 0')
    return bad(
      'tcp_fwmark_accept is 1',
      'the answer to a client’s SYN carries our mark and is routed back to ourselves: handshakes hang',
      'sysctl -w net.ipv4.tcp_fwmark_accept=0',
    )
  },
}

const fwmarkReflect: Check = {
  id: 'D09',
  severity: 'warning',
  title: 'the kernel’s own replies do not carry the mark',
  look(facts) {
    if (familiesTaken(facts, 'tproxy').length === 0) return notHere('no tproxy rule')
    const on = ([4, 6] as const).filter(family => facts.look.file(`/proc/sys/net/ipv${family}/fwmark_reflect`) === '1')
    if (on.length === 0) return good('fwmark_reflect is 0')
    return bad(
      `fwmark_reflect is 1 (IPv${on.join(' and IPv')})`,
      'resets and ICMP errors to clients come back to ourselves',
      `sysctl -w ${on.map(family => `net.ipv${family}.fwmark_reflect=0`).join(' ')}`,
    )
  },
}

const trackingTable: Check = {
  id: 'D17',
  severity: 'warning',
  title: 'room in the connection tracking table',
  look(facts) {
    const [count, max] = ['count', 'max'].map(what => number(facts.look.file(`/proc/sys/net/netfilter/nf_conntrack_${what}`)))
    if (typeof count !== 'number' || typeof max !== 'number') return notHere('connections are not tracked')
    if (count <= max * 0.8) return good(`${count} of ${max} connections tracked`)
    return bad(`${count} of ${max} connections tracked`, 'new connections are dropped when it is full', `sysctl -w net.netfilter.nf_conntrack_max=${max * 4}`)
  },
}

const bridgeFilter: Check = {
  id: 'D20',
  severity: 'warning',
  title: 'bridged packets and packet filters',
  look(facts) {
    const on = ['iptables', 'ip6tables'].filter(tool => facts.look.file(`/proc/sys/net/bridge/bridge-nf-call-${tool}`) === '1')
    const bridges = jsonList(facts.look.run('ip', '-j', 'link', 'show', 'type', 'bridge')).filter(link => typeof link.ifname === 'string')
    if (bridges.length === 0) return notHere('no bridge')
    if (on.length === 0 || familiesTaken(facts, 'tproxy').length === 0) return good('bridged packets do not pass the rules')
    return bad(
      'bridge-nf-call-iptables is 1 (Docker turns it on)',
      'bridged packets pass the rules twice; containers and guests lose their network when TPROXY takes them',
      `sysctl -w ${on.map(tool => `net.bridge.bridge-nf-call-${tool}=0`).join(' ')}`,
    )
  },
}

/** Below this busy proxies run out towards one origin (reference: 28232 is the kernel's default). */
const localPortsMin = 20_000

const localPorts: Check = {
  id: 'D21',
  severity: 'warning',
  title: 'ports for connections to origins',
  look(facts) {
    const range = facts.look.file('/proc/sys/net/ipv4/ip_local_port_range')?.split(/\s+/).map(Number) ?? []
    const [first = 0, last = 0] = range
    if (range.length !== 2) return unknown('/proc/sys/net/ipv4/ip_local_port_range cannot be read')
    const size = last - first + 1
    if (size > localPortsMin) return good(`${size} local ports (${first}-${last})`)
    return bad(
      `only ${size} local ports (${first}-${last})`,
      'connections to one busy origin fail with EADDRNOTAVAIL or EADDRINUSE',
      'sysctl -w net.ipv4.ip_local_port_range="10000 65535"',
    )
  },
}

const descriptorsMin = 4096
const backlogMin = 1024

const limits: Check = {
  id: 'D22',
  severity: 'warning',
  title: 'descriptors and backlogs',
  look(facts) {
    const who = facts.pid ?? 'self'
    const line = /^Max open files\s+(\d+|unlimited)/m.exec(facts.look.file(`/proc/${who}/limits`) ?? '')?.[1]
    const files = line === undefined ? null : line === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line)
    const findings: Finding[] = []
    const wanted = Math.max(descriptorsMin, facts.openFilesMax)
    if (files !== null && files < wanted) {
      findings.push(
        bad(
          `${files} open files allowed, ${wanted} are wanted`,
          'every connection needs two: beyond it clients wait in the backlog',
          `LimitNOFILE=${wanted * 4} in the unit, or ulimit -n ${wanted * 4} before the start`,
        ),
      )
    }
    for (const [name, path] of backlogs) {
      const value = number(facts.look.file(path))
      if (value !== null && value < backlogMin) {
        findings.push(bad(`${name} is ${value}`, 'bursts of new connections are dropped', `sysctl -w ${name}=4096`))
      }
    }
    return findings.length > 0 ? findings : good(`${files ?? 'unknown'} open files, backlogs of ${backlogMin} and more`)
  },
}

const backlogs = [
  ['net.core.somaxconn', '/proc/sys/net/core/somaxconn'],
  ['net.ipv4.tcp_max_syn_backlog', '/proc/sys/net/ipv4/tcp_max_syn_backlog'],
] as const

const tracking: Check = {
  id: 'D16',
  severity: 'fatal',
  title: 'redirected connections are tracked',
  look(facts) {
    const redirects = natRules(facts)
    if (redirects.length === 0) return notHere('no redirect rule')
    const hidden = facts.chains
      .filter(chain => chain.hook === 'prerouting')
      .flatMap(chain => chain.rules)
      .find(rule => rule.does.some(({ kind }) => kind === 'notrack' || kind === 'zone') && redirects.some(({ ports }) => touches(ports, rule.asks.ports)))
    if (hidden !== undefined) {
      return bad(
        hidden.text,
        'where the connection was going cannot be looked up in the default zone (SO_ORIGINAL_DST: ENOENT); every request is refused',
        'leave these ports out of that rule, or take them by TPROXY, which needs no tracking: http_port 3130 tproxy',
      )
    }
    if (facts.look.file('/proc/sys/net/netfilter/nf_conntrack_max') === null) {
      return bad('connections are not tracked by this kernel', 'redirected connections have no original destination', 'modprobe nf_conntrack')
    }
    return good('nothing keeps redirected connections out of the table')
  },
}

const touches = (a: Facts['taking'][number]['ports'], b: Facts['taking'][number]['ports'] | null): boolean =>
  b === null || a.some(x => b.some(y => x.first <= y.last && y.first <= x.last))

export const kernelChecks: readonly Check[] = [
  features, sourceMark, reversePath, fwmarkAccept, fwmarkReflect, tracking, trackingTable, bridgeFilter, localPorts, limits,
]
