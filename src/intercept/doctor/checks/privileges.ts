import { bad, type Check, good, notHere, unknown } from '../check.ts'
import { type Facts, familiesTaken } from '../facts.ts'

// What the process may do: capabilities, foreign addresses, and what else in the system forbids it.

const capabilities: Check = {
  id: 'D01',
  severity: 'fatal',
  title: 'the right to speak with foreign addresses',
  look(facts) {
    if (!wantsTransparency(facts)) return notHere('no tproxy port and no tproxy rule')
    const who = facts.pid === null ? 'this process' : `the proxy (process ${facts.pid})`
    const status = facts.look.file(`/proc/${facts.pid ?? 'self'}/status`)
    const held = /^CapEff:\s*([0-9a-f]+)/m.exec(status ?? '')?.[1]
    if (held === undefined) return unknown(`/proc/${facts.pid ?? 'self'}/status cannot be read`)
    const bits = BigInt(`0x${held}`)
    const has = [netAdmin, netRaw].filter(([bit]) => (bits & (1n << bit)) !== 0n).map(([, name]) => name)
    if (has.length > 0) return good(`${who} has ${has.join(' and ')}`)
    return bad(
      `${who} has neither CAP_NET_RAW nor CAP_NET_ADMIN`,
      'IP_TRANSPARENT is refused (EPERM): tproxy ports do not open, clients’ addresses cannot be used',
      'start it as root with cache_effective_user, or under systemd with AmbientCapabilities=CAP_NET_RAW CAP_NET_BIND_SERVICE',
    )
  },
}

const netAdmin = [12n, 'CAP_NET_ADMIN'] as const
const netRaw = [13n, 'CAP_NET_RAW'] as const

const foreignBind: Check = {
  id: 'D02',
  severity: 'fatal',
  title: 'a socket on an address that is not ours',
  look(facts) {
    if (!wantsTransparency(facts)) return notHere('no tproxy port and no tproxy rule')
    return ([4, 6] as const).flatMap(family => {
      if (family === 6 && facts.look.file('/proc/net/if_inet6') === null) return notHere('IPv6 is not in this kernel')
      const address = family === 4 ? '192.0.2.1' : '2001:db8::1'
      const why = facts.probe.foreignBind(address)
      if (why === '') return good(`IPv${family}: a listener on ${address} was opened and closed again`)
      return bad(
        `IPv${family}: a listener on ${address} is refused: ${why}`,
        why.includes('EPERM') ? 'the right is missing (see D01): nothing can be intercepted by TPROXY' : 'this kernel or container forbids it',
        'run the doctor as the proxy’s user with its capabilities: systemctl start, or sudo',
      )
    })
  },
}

const wantsTransparency = (facts: Facts): boolean =>
  (facts.ports?.some(port => port.mode === 'tproxy') ?? false) || familiesTaken(facts, 'tproxy').length > 0

const securityModule: Check = {
  id: 'D31',
  severity: 'warning',
  title: 'SELinux and AppArmor',
  look(facts) {
    if (facts.look.file('/sys/fs/selinux/enforce') === '1') {
      const boolean = facts.look.run('getsebool', 'squid_use_tproxy')?.stdout ?? ''
      if (/--> on/.test(boolean)) return good('SELinux enforces, squid_use_tproxy is on')
      return bad(
        'SELinux enforces, and squid_use_tproxy is not on',
        'a confined proxy gets EACCES for sockets and files it needs',
        'setsebool -P squid_use_tproxy 1 (or give glassquid a policy of its own)',
      )
    }
    const profile = facts.look.file(`/proc/${facts.pid ?? 'self'}/attr/current`)
    if (profile !== null && profile.includes('(enforce)')) {
      return bad(
        `AppArmor holds the proxy to the profile ${profile.replaceAll('\0', '').trim()}`,
        'what the profile does not name is refused with EACCES',
        `aa-complain ${profile.split(' ')[0]}; then look at the kernel log for "apparmor=ALLOWED"`,
      )
    }
    return good('nothing of the kind confines the proxy')
  },
}

const systemdUnit: Check = {
  id: 'D32',
  severity: 'warning',
  title: 'the systemd unit',
  look(facts) {
    const unit = /\/([^/\n]+\.service)/.exec(facts.look.file(`/proc/${facts.pid ?? 'self'}/cgroup`) ?? '')?.[1]
    if (facts.pid === null || unit === undefined) return notHere('the proxy does not run under a systemd service')
    const shown = facts.look.run('systemctl', 'show', unit, '-p', 'RestrictAddressFamilies', '-p', 'PrivateNetwork')
    if (shown === null || shown.code !== 0) return unknown(`systemctl show ${unit} did not answer`)
    const families = /^RestrictAddressFamilies=(.*)$/m.exec(shown.stdout)?.[1] ?? ''
    if (/^PrivateNetwork=yes$/m.test(shown.stdout)) {
      return bad(`${unit} has PrivateNetwork=yes`, 'it sees no interface but lo', `systemctl edit ${unit}: PrivateNetwork=no`)
    }
    if (families !== '' && !families.includes('AF_NETLINK')) {
      return bad(
        `${unit} has RestrictAddressFamilies=${families}`,
        'without AF_NETLINK addresses of this machine cannot be followed',
        `systemctl edit ${unit}: RestrictAddressFamilies=${families} AF_NETLINK`,
      )
    }
    return good(`${unit} takes nothing away that is needed`)
  },
}

const sameNamespace: Check = {
  id: 'D30',
  severity: 'info',
  title: 'the proxy and its rules share a network namespace',
  look(facts) {
    if (facts.pid === null) return notHere('no proxy runs under this conf')
    const links = [facts.pid, 'self'].map(who => facts.look.run('readlink', `/proc/${who}/ns/net`)?.stdout.trim() ?? '')
    if (links.includes('')) return unknown(`/proc/${facts.pid}/ns/net cannot be read`)
    if (links[0] === links[1]) return good(`the proxy runs where the doctor looks (${links[0]})`)
    return bad(
      'the proxy runs in another network namespace (a container?)',
      'rules and routes seen here do not concern it',
      `nsenter -t ${facts.pid} -n glassquid doctor`,
    )
  },
}

export const privilegeChecks: readonly Check[] = [capabilities, foreignBind, sameNamespace, securityModule, systemdUnit]
