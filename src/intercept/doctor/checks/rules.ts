import type { PortRange, RuleFamily } from '../../rules/plan.ts'
import { bad, type Check, type Finding, good, notHere, unknown } from '../check.ts'
import { chainsAt, clientSyn, type Facts, familiesTaken, forgedAnswer, isDivert, rulesAt, type Taking, tproxyRules } from '../facts.ts'
import { doesKind, type KernelRule, markBits, matches, walkChain } from '../kernel-rule.ts'

// The packet filter's rules: who is taken, what belongs to sockets of ours, what else stands in the way.

const ourRules = 'glassquid rules nft --apply'

const readable: Check = {
  id: 'D14',
  severity: 'fatal',
  title: 'taken connections find a listener of ours',
  look(facts) {
    if (facts.rulesUnread !== '') return unknown(`the rules could not be read: ${facts.rulesUnread}`)
    const findings = [...facts.taking.flatMap(taking => listenerOf(taking, facts)), ...confPortsWithoutRule(facts)]
    if (findings.length > 0) return findings
    return facts.ports?.some(isInterceptor) ? good('no interception port is wanting') : notHere('no interception port and no rule')
  },
}

const isInterceptor = (port: { readonly mode: string }): boolean => port.mode === 'tproxy' || port.mode === 'intercept'

interface Socket {
  readonly address: string
  readonly port: number
  readonly families: readonly RuleFamily[]
  readonly transparent: boolean
}

/** A line of `ss -HtlnO --inet-sockopt`: state, queues, local, peer, options. */
const listening = (facts: Facts): Socket[] | null => {
  const ran = facts.look.run('ss', '-HtlnO', '--inet-sockopt')
  if (ran === null || ran.code !== 0) return null
  return ran.stdout.split('\n').flatMap(line => {
    const local = line.trim().split(/\s+/)[3] ?? ''
    const match = /^\[?([^\]]*?)\]?(?:%\w+)?:(\d+)$/.exec(local)
    if (match === null) return []
    const [, address = '', port = ''] = match
    const families: readonly RuleFamily[] = address === '*' ? [4, 6] : address.includes(':') ? [6] : [4]
    return { address, port: Number(port), families, transparent: /\btransparent\b/.test(line) }
  })
}

const listenerOf = (taking: Taking, facts: Facts): Finding[] => {
  const sockets = listening(facts)
  if (sockets === null) return [unknown("'ss' is not installed (iproute2)")]
  return taking.rule.families.map(family => {
    const here = sockets.filter(socket => socket.port === taking.port && socket.families.includes(family))
    const what = `${portsText(taking.ports)} of IPv${family} to port ${taking.port}`
    if (here.length === 0) {
      return taking.kind === 'tproxy'
        ? bad(`${what}: nobody listens there`, 'connections go to their origins directly, round the proxy (bypass)', 'start the proxy: glassquid -f FILE')
        : bad(`${what}: nobody listens there`, 'clients’ connections are refused', 'start the proxy: glassquid -f FILE')
    }
    if (taking.kind === 'tproxy' && !here.some(socket => socket.transparent)) {
      return bad(
        `${what}: the listener has no IP_TRANSPARENT`,
        'TPROXY passes it over: connections go to their origins directly (bypass)',
        `write http_port ${taking.port} tproxy (not intercept, not a plain port)`,
      )
    }
    return good(`${what}: a listener takes them`)
  })
}

const portsText = (ports: readonly PortRange[]): string =>
  ports.length === 1 && ports[0]?.first === 1 && ports[0].last === 65535
    ? 'every port'
    : `ports ${ports.map(({ first, last }) => (first === last ? first : `${first}-${last}`)).join(',')}`

const confPortsWithoutRule = (facts: Facts): Finding[] =>
  (facts.ports ?? []).filter(isInterceptor).flatMap(port => {
    const wanted = port.mode === 'tproxy' ? 'tproxy' : 'redirect'
    const found = facts.taking.some(taking => taking.port === port.port && (taking.kind === 'tproxy') === (port.mode === 'tproxy'))
    if (found) return []
    const other = facts.taking.find(taking => taking.port === port.port)
    if (other !== undefined) {
      return [
        bad(
          `${other.rule.text}, but the conf says http_port ${port.port} ${port.mode}`,
          port.mode === 'intercept' ? 'the destination was not rewritten, so it is not looked up' : 'the destination was rewritten: clients’ addresses are not kept',
          `make them agree: http_port ${port.port} ${other.kind === 'tproxy' ? 'tproxy' : 'intercept'}, or ${ourRules}`,
        ),
      ]
    }
    return [bad(`no ${wanted} rule sends anything to http_port ${port.port} ${port.mode}`, 'nothing reaches it: clients go to their origins directly', ourRules)]
  })

// --- sockets of ours ---

const divert: Check = {
  id: 'D10',
  severity: 'fatal',
  title: 'what belongs to our sockets is delivered to them',
  look: facts => perTproxyFamily(facts, family => {
    const packet = forgedAnswer(facts, family)
    const marking = rulesAt(facts, 'prerouting', family).find(rule => isDivert(rule) && matches(rule, packet) !== 'no' && markBits(rule) !== 0)
    if (marking === undefined) {
      return bad(
        `IPv${family}: no rule for packets of transparent sockets ('socket transparent 1' or '-m socket --transparent')`,
        'what origins answer to clients’ addresses is forwarded to the clients: every fetch with a client’s address times out',
        ourRules,
      )
    }
    if ((markBits(marking) & facts.takenMark) === 0) {
      return bad(
        `IPv${family}: ${marking.text} sets 0x${markBits(marking).toString(16)}, TPROXY sets 0x${facts.takenMark.toString(16)}`,
        'the routing does not know the mark: origins’ answers go to the clients',
        ourRules,
      )
    }
    const rules = rulesAt(facts, 'prerouting', family)
    const first = rules.findIndex(rule => rule.does.some(({ kind }) => kind === 'tproxy') && matches(rule, { ...packet, port: 80, socket: 'exact' }) !== 'no')
    if (first >= 0 && rules.indexOf(marking) > first) {
      return bad(
        `IPv${family}: ${marking.text} comes after ${rules[first]?.text}`,
        'packets of established connections are given to the listener: connections break off',
        ourRules,
      )
    }
    return good(`IPv${family}: ${marking.text}`)
  }),
}

const divertIcmp: Check = {
  id: 'D11',
  severity: 'warning',
  title: 'ICMP about our connections reaches us',
  look: facts => perTproxyFamily(facts, family => {
    const packet = { ...forgedAnswer(facts, family), protocol: family === 4 ? 'icmp' : 'icmpv6' }
    const rule = rulesAt(facts, 'prerouting', family).find(one => isDivert(one) && matches(one, packet) !== 'no')
    if (rule !== undefined) return good(`IPv${family}: ${rule.text}`)
    return bad(
      `IPv${family}: the rule for transparent sockets leaves ${packet.protocol} out`,
      '"packet too big" about a connection with a client’s address goes to the client: transfers stall on paths with a small MTU',
      ourRules,
    )
  }),
}

const wildcardHole: Check = {
  id: 'D12',
  severity: 'warning',
  title: 'strangers’ packets do not match our listeners',
  look: facts => perTproxyFamily(facts, family => {
    const stray = { ...clientSyn(facts, family, facts.taking[0]?.port ?? 3130), socket: 'wildcard' as const }
    for (const chain of chainsAt(facts, 'prerouting', family)) {
      for (const packet of [stray, { ...stray, syn: false }]) {
        const { by } = walkChain(chain, packet)
        if (by !== null && isDivert(by)) {
          return bad(
            `${by.text}: it also finds listeners on every address`,
            `whatever is sent to port ${stray.port} of any address comes to the proxy's port`,
            `${ourRules} (or add 'socket wildcard 1 return' before it)`,
          )
        }
      }
    }
    return good(`IPv${family}: only sockets on just that address`)
  }),
}

const wildcardMisuse: Check = {
  id: 'D13',
  severity: 'warning',
  title: 'handshakes are not cut off by a wildcard test',
  look: facts => perTproxyFamily(facts, family => {
    // the kernel cannot ask a connection in its handshake for its address: `socket wildcard` then does not match at all
    const withoutAnswer = (rule: KernelRule): boolean => rule.tool === 'nft' && rule.asks.wildcard !== null
    const packet = forgedAnswer(facts, family)
    const rules = rulesAt(facts, 'prerouting', family).filter(rule => isDivert(rule) && markBits(rule) !== 0 && matches(rule, packet) !== 'no')
    const culprit = rules.find(withoutAnswer)
    if (culprit === undefined || rules.some(rule => !withoutAnswer(rule))) return good(`IPv${family}: acknowledgements reach their handshake`)
    return bad(
      `IPv${family}: ${culprit.text} asks for 'socket wildcard' of packets that are no SYN`,
      'connections in their handshake do not match: those that no tproxy rule takes as well (data connections of FTP) never complete',
      ourRules,
    )
  }),
}

const perTproxyFamily = (facts: Facts, look: (family: RuleFamily) => Finding): Finding | Finding[] => {
  const families = familiesTaken(facts, 'tproxy')
  return families.length === 0 ? notHere('no tproxy rule') : families.map(look)
}

// --- what else is in the way ---

const whenDown: Check = {
  id: 'D15',
  severity: 'info',
  title: 'what becomes of clients while the proxy is down',
  look: facts => perTproxyFamily(facts, family => {
    const port = tproxyRules(facts, family)[0]?.ports[0]?.first ?? 80
    const packet = clientSyn(facts, family, port)
    const closed = chainsAt(facts, 'prerouting', family).some(chain => {
      const untaken = { ...chain, rules: chain.rules.filter(rule => !doesKind(rule, 'tproxy')) }
      return walkChain(untaken, packet).end === 'drop'
    })
    return good(closed ? `IPv${family}: fail-closed, they are dropped` : `IPv${family}: fail-open, they reach their origins directly (glassquid rules --fail-closed changes that)`)
  }),
}

const sourceNat: Check = {
  id: 'D19',
  severity: 'warning',
  title: 'clients’ addresses survive the way out',
  look(facts) {
    const families = familiesTaken(facts, 'tproxy')
    if (families.length === 0) return notHere('no tproxy rule')
    const outside = facts.links.map(link => link.name).filter(name => name !== 'lo' && !facts.clientSides.includes(name))
    return families.map(family => {
      for (const outgoing of outside.length > 0 ? outside : ['']) {
        const packet = { ...clientSyn(facts, family, 80), incoming: '', outgoing, mark: facts.ownMark }
        for (const chain of chainsAt(facts, 'postrouting', family)) {
          const hit = chain.rules.find(rule => matches(rule, packet) !== 'no' && (doesKind(rule, 'source-nat') || doesKind(rule, 'accept')))
          if (hit === undefined || !doesKind(hit, 'source-nat')) continue
          return bad(
            `${hit.text}${outgoing === '' ? '' : ` (towards ${outgoing})`}`,
            'origins see the gateway, not the client: what the proxy sends with a client’s address is masqueraded too',
            `let clients’ web traffic out before it: ${chain.tool === 'nft' ? `nft insert rule ${chain.name} tcp dport 80 accept` : 'iptables -t nat -I POSTROUTING -p tcp --dport 80 -j ACCEPT'}`,
          )
        }
      }
      return good(`IPv${family}: no source NAT on the way to origins`)
    })
  },
}

const inputFilter: Check = {
  id: 'D24',
  severity: 'fatal',
  title: 'the input filter lets taken connections in',
  look(facts) {
    const families = familiesTaken(facts)
    if (families.length === 0) return notHere('nothing is taken')
    return families.flatMap(family =>
      facts.taking
        .filter(taking => taking.rule.families.includes(family))
        .map((taking): Finding => {
          // TPROXY keeps the destination's port, REDIRECT has put ours in
          const port = taking.kind === 'tproxy' ? (taking.ports[0]?.first ?? 80) : taking.port
          const packet = {
            ...clientSyn(facts, family, port),
            ...(taking.kind === 'tproxy' ? { mark: facts.takenMark, socket: 'wildcard' as const } : { socket: 'wildcard' as const }),
          }
          for (const chain of chainsAt(facts, 'input', family)) {
            const { end, by } = walkChain(chain, packet)
            const what = by === null ? `${chain.name} has policy ${chain.policy}` : by.text
            if (end === 'drop') {
              return bad(
                `IPv${family}: ${what}: a connection to port ${port} from ${packet.incoming} is dropped`,
                'clients’ SYNs are taken and then thrown away: clients hang',
                chain.tool === 'nft'
                  ? `nft insert rule ${chain.name} meta mark and 0x${facts.takenMark.toString(16)} != 0 accept`
                  : `ip${family === 6 ? '6' : ''}tables -I INPUT -p tcp --dport ${port} -j ACCEPT`,
              )
            }
            if (end === 'perhaps') return unknown(`IPv${family}: ${what}: it may or may not let port ${port} in`)
          }
          return good(`IPv${family}: port ${port} from ${packet.incoming} gets in`)
        }),
    )
  },
}

const loop: Check = {
  id: 'D25',
  severity: 'fatal',
  title: 'what the proxy itself sends is not taken',
  look(facts) {
    const families = familiesTaken(facts)
    if (families.length === 0) return notHere('nothing is taken')
    const findings = families.flatMap((family): Finding[] => {
      const rules = rulesAt(facts, 'output', family)
      const packet = { ...clientSyn(facts, family, facts.taking[0]?.ports[0]?.first ?? 80), incoming: '', mark: 0 }
      const takes = (rule: KernelRule): boolean =>
        doesKind(rule, 'redirect', 'dnat') || (markBits(rule) & facts.takenMark) !== 0
      const at = rules.findIndex(rule => takes(rule) && matches(rule, packet) !== 'no')
      if (at < 0) return []
      const exempt = rules.slice(0, at).some(rule => (rule.asks.user || rule.asks.mark !== null) && doesKind(rule, 'accept', 'return'))
      if (exempt || rules[at]?.asks.user) return [good(`IPv${family}: this machine's own connections are taken, but not the proxy's`)]
      return [
        bad(
          `IPv${family}: ${rules[at]?.text}: it takes the proxy's own connections as well`,
          'each request comes back to the proxy until it is refused as a loop: nothing works',
          `glassquid rules ${rules[at]?.tool ?? 'nft'} --local --apply`,
        ),
      ]
    })
    return findings.length > 0 ? findings : good('connections of this machine itself are not taken')
  },
}

const offload: Check = {
  id: 'D29',
  severity: 'warning',
  title: 'no flow offload where clients come from',
  look(facts) {
    const devices = facts.flowtableDevices.filter(name => facts.clientSides.includes(name))
    if (devices.length === 0) return good('no flowtable holds an interface of clients')
    return bad(
      `a flowtable holds ${devices.join(', ')}`,
      'established connections pass by all rules: what was not taken at its start never is, and counters stand still',
      'leave web ports out of the rule with `flow add`, or nft delete flowtable ...',
    )
  },
}

const interfaceNames: Check = {
  id: 'D33',
  severity: 'warning',
  title: 'the interfaces that rules name exist',
  look(facts) {
    const named = new Set(facts.taking.flatMap(({ rule: { asks } }) => asks.incoming?.names ?? []))
    if (named.size === 0) return notHere('no rule names an interface')
    const missing = [...named].filter(
      name => !facts.links.some(link => (name.endsWith('*') ? link.name.startsWith(name.slice(0, -1)) : link.name === name)),
    )
    if (missing.length === 0) return good([...named].join(', '))
    return bad(`there is no interface ${missing.join(', ')}`, 'the rule never matches: clients go to their origins directly', `${ourRules} --interface NAME (ip link shows the names)`)
  },
}

const ownTraffic: Check = {
  id: 'D34',
  severity: 'info',
  title: 'connections of this machine itself',
  look(facts) {
    if (familiesTaken(facts).length === 0) return notHere('nothing is taken')
    const taken = ([4, 6] as const).some(family =>
      rulesAt(facts, 'output', family).some(rule => doesKind(rule, 'redirect') || (markBits(rule) & facts.takenMark) !== 0),
    )
    return good(taken ? 'they are taken too' : 'they are not taken (glassquid rules --local would)')
  },
}


export const ruleChecks: readonly Check[] = [
  divert, divertIcmp, wildcardHole, wildcardMisuse, readable, whenDown, sourceNat, inputFilter, loop, offload, interfaceNames, ownTraffic,
]

