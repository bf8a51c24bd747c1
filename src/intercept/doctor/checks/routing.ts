import type { RuleFamily } from '../../rules/plan.ts'
import { bad, type Check, type Finding, good, notHere, unknown } from '../check.ts'
import { type Facts, familiesTaken, likelyClient, natRules } from '../facts.ts'
import { jsonList } from '../look.ts'

// The way of packets: policy routing for TPROXY, and that answers come back through this machine.

const hex = (mark: number): string => `0x${mark.toString(16)}`

type RoutingRule = Readonly<Record<string, unknown>>

const policyRule: Check = {
  id: 'D04',
  severity: 'fatal',
  title: 'marked packets have a routing table of their own',
  look: facts => forTproxy(facts, family => {
    const mark = hex(facts.takenMark)
    const rules = jsonList(facts.look.run('ip', '-j', `-${family}`, 'rule'))
    if (rules.length === 0) return unknown(`'ip -j -${family} rule' said nothing (iproute2 is needed)`)
    const repair = `ip -${family} rule add pref 100 fwmark ${mark}/${mark} lookup 100`
    const at = rules.findIndex(rule => catches(rule, facts.takenMark) && rule.fwmark !== undefined && !('not' in rule))
    const main = rules.findIndex(rule => rule.table === 'main' && rule.fwmark === undefined)
    if (at < 0) {
      return bad(`IPv${family}: no rule looks for the mark ${mark}`, 'taken packets are forwarded instead of delivered: clients hang', repair)
    }
    const found = `pref ${rules[at]?.priority} fwmark ${rules[at]?.fwmark} lookup ${rules[at]?.table}`
    if (main >= 0 && main < at) {
      return bad(`IPv${family}: '${found}' comes after the main table`, 'the main table answers first: clients hang', `ip -${family} rule del pref ${rules[at]?.priority}; ${repair}`)
    }
    const earlier = rules.slice(0, at).find(rule => rule.table !== 'local' && catches(rule, facts.takenMark))
    if (earlier !== undefined) {
      return bad(
        `IPv${family}: 'pref ${earlier.priority} lookup ${earlier.table}' comes before '${found}' and fits the mark too`,
        'another program (a VPN?) takes our packets elsewhere: clients hang',
        `ip -${family} rule del pref ${rules[at]?.priority}; ip -${family} rule add pref ${Math.max(1, Number(earlier.priority) - 1)} fwmark ${mark}/${mark} lookup ${rules[at]?.table}`,
      )
    }
    return good(`IPv${family}: ${found}`)
  }),
}

/** Whether the rule's selectors let a packet with this mark in. What else it asks for may be true. */
const catches = (rule: RoutingRule, mark: number): boolean => {
  if (rule.fwmark === undefined) return rule.src === 'all' && rule.iif === undefined && rule.oif === undefined && rule.dst === undefined
  const value = Number(rule.fwmark) >>> 0
  const mask = rule.fwmask === undefined ? 0xffffffff : Number(rule.fwmask) >>> 0
  return ((mark & mask) >>> 0 === value) !== 'not' in rule
}

const localRoute: Check = {
  id: 'D05',
  severity: 'fatal',
  title: 'marked packets are delivered on this machine',
  look: facts => forTproxy(facts, family => {
    const anywhere = family === 4 ? '192.0.2.80' : '2001:db8:ffff::80' // reserved for documentation: nobody's
    const mark = hex(facts.takenMark)
    const side = facts.clientSides[0]
    const client = side === undefined ? null : likelyClient(facts, side, family)
    const plain = ['route', 'get', anywhere, 'mark', mark]
    const asClient = client === null || side === undefined ? plain : ['route', 'get', anywhere, 'from', client, 'iif', side, 'mark', mark]
    // the source check may refuse the client's question where the table is right: that is D06's and D07's business
    let asked = asClient
    let ran = facts.look.run('ip', '-j', `-${family}`, ...asked)
    if (ran === null) return unknown("'ip' is not installed (iproute2)")
    if (ran.code !== 0) {
      asked = plain
      ran = facts.look.run('ip', '-j', `-${family}`, ...asked) ?? ran
    }
    const route = jsonList(ran)[0]
    if (route?.type === 'local') return good(`IPv${family}: ${anywhere} with mark ${mark} is local`)
    return bad(
      `IPv${family}: 'ip -${family} ${asked.join(' ')}' answers ${route === undefined ? ran.stderr.trim() || 'nothing' : `${route.type ?? 'unicast'} dev ${route.dev}`}`,
      'taken packets are forwarded or dropped instead of delivered: clients hang',
      `ip -${family} route replace local ${family === 4 ? '0.0.0.0/0' : '::/0'} dev lo table 100`,
    )
  }),
}

const forTproxy = (facts: Facts, look: (family: RuleFamily) => Finding): Finding | Finding[] => {
  const families = familiesTaken(facts, 'tproxy')
  return families.length === 0 ? notHere('no tproxy rule') : families.map(look)
}

const routeLocalnet: Check = {
  id: 'D18',
  severity: 'fatal',
  title: 'DNAT to the loopback network',
  look(facts) {
    const rule = natRules(facts).find(taking => taking.address?.startsWith('127.'))
    if (rule === undefined) return notHere('no rule sends connections to 127.0.0.0/8')
    const closed = facts.clientSides.find(name => {
      const values = ['all', name].map(which => facts.look.file(`/proc/sys/net/ipv4/conf/${which}/route_localnet`))
      return !values.includes('1')
    })
    if (closed === undefined) return good('route_localnet is 1 where clients come from')
    return bad(
      `${rule.rule.text}, but route_localnet is 0 on ${closed}`,
      'the kernel drops what comes from outside for 127.0.0.0/8: clients hang',
      'write REDIRECT instead of DNAT to 127.0.0.1: glassquid rules nft --apply',
    )
  },
}

const ipv6Parity: Check = {
  id: 'D23',
  severity: 'warning',
  title: 'IPv6 is taken as IPv4 is',
  look(facts) {
    const taken = familiesTaken(facts)
    if (taken.length === 0) return notHere('nothing is taken')
    const sides = facts.links.filter(link => facts.clientSides.includes(link.name))
    const has6 = sides.find(link => link.addresses.some(({ family, address }) => family === 6 && !address.startsWith('fe80')))
    const findings: Finding[] = []
    if (has6 !== undefined && !taken.includes(6)) {
      findings.push(
        bad(
          `${has6.name} has IPv6, and no rule takes IPv6`,
          'clients that have IPv6 go round the proxy',
          'an interception port without an address takes both: http_port 3130 tproxy; then glassquid rules nft --apply',
        ),
      )
    }
    const forwarding = facts.look.file('/proc/sys/net/ipv6/conf/all/forwarding') === '1'
    const byRouter = jsonList(facts.look.run('ip', '-j', '-6', 'route', 'show', 'default')).find(route => route.protocol === 'ra')
    if (forwarding && byRouter !== undefined && facts.look.file(`/proc/sys/net/ipv6/conf/${byRouter.dev}/accept_ra`) !== '2') {
      findings.push(
        bad(
          `the IPv6 default route of ${byRouter.dev} came from a router advertisement, forwarding is on and accept_ra is not 2`,
          'the route runs out, and then no IPv6 origin is reached',
          `sysctl -w net.ipv6.conf.${byRouter.dev}.accept_ra=2`,
        ),
      )
    }
    if (findings.length > 0) return findings
    return good(has6 === undefined ? 'clients’ interfaces have no IPv6' : 'both families are taken')
  },
}

const returnPath: Check = {
  id: 'D27',
  severity: 'fatal',
  title: 'answers to clients leave where clients come from',
  look(facts) {
    if (familiesTaken(facts).length === 0) return notHere('nothing is taken')
    const findings = facts.clientSides.flatMap(side =>
      ([4, 6] as const).flatMap((family): Finding[] => {
        const client = likelyClient(facts, side, family)
        if (client === null || !familiesTaken(facts).includes(family)) return []
        const route = jsonList(facts.look.run('ip', '-j', `-${family}`, 'route', 'get', client))[0]
        if (route?.dev === side) return [good(`${client} is reached by ${side}`)]
        return [
          bad(
            `${client}, an address of ${side}'s network, is reached by ${String(route?.dev ?? 'nothing')}`,
            'what the proxy answers clients goes elsewhere',
            `ip -${family} route show; then give ${side}'s network its route back`,
          ),
        ]
      }),
    )
    return findings.length > 0 ? findings : unknown('no interface of clients has a network to ask about')
  },
}

export const routingChecks: readonly Check[] = [policyRule, localRoute, routeLocalnet, ipv6Parity, returnPath]
