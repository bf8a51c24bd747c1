import { prefixText } from '../../base/index.ts'
import type { PortRange, KernelDecision, KernelDecisionKind, RuleFamily, Transport } from './plan.ts'

// What the kernel decides by itself, said in nft. It stands in prerouting, before the packet would be taken; `reject` may
// stand there since Linux 5.9. Of TCP only what opens a connection is refused: those that run had been let in. What is
// forwarded is all of a connection's packets; those of one that the proxy has are its sockets', and have been taken before.

/** The ends of rules, behind the interface and the ports that are taken; several where networks of both families are named. */
export const decisionRules = (decision: KernelDecision, transport: Transport, families: readonly RuleFamily[]): string[] => {
  const { src, dst, srcPorts, dstPorts, kind } = decision
  const opening = transport === 'tcp' && kind !== 'forward' ? 'tcp flags & (fin|syn|rst|ack) == syn ' : ''
  const ports = (name: string, ranges: readonly PortRange[]) => (ranges.length === 0 ? '' : `${transport} ${name} ${portSet(ranges)} `)
  const named = [src, dst].filter(nets => nets.length > 0)
  return families
    .filter(family => named.every(nets => nets.some(net => net.family === family)))
    .map(family => {
      const nets = (name: string, all: KernelDecision['src']) => {
        const own = all.filter(net => net.family === family).map(prefixText)
        return own.length === 0 ? '' : `${family === 4 ? 'ip' : 'ip6'} ${name} { ${[...new Set(own)].join(', ')} } `
      }
      return `meta nfproto ipv${family} ${ports('sport', srcPorts)}${ports('dport', dstPorts)}${nets('saddr', src)}${nets('daddr', dst)}${opening}`
    })
    .flatMap(rule => ingress(decision).map(way => `${way}${rule}counter ${verdict(kind, transport)}`))
}

/** Interface or group: one is enough. */
const ingress = ({ interfaces, groups }: KernelDecision): string[] =>
  interfaces.length + groups.length === 0 ? [''] : [...interfaces.map(name => `iifname "${name}" `), ...groups.map(number => `iifgroup ${number} `)]

/** Nothing but TCP knows a reset. */
const verdict = (kind: KernelDecisionKind, transport: Transport): string => {
  switch (kind) {
    case 'forward':
      return 'accept'
    case 'drop':
      return 'drop'
    case 'tcp_reset':
      return transport === 'tcp' ? 'reject with tcp reset' : 'drop'
    case 'net_unreachable':
      return 'reject with icmpx type no-route'
    case 'host_unreachable':
      return 'reject with icmpx type host-unreachable'
    case 'port_unreachable':
      return 'reject with icmpx type port-unreachable'
    case 'admin_prohibited':
      return 'reject with icmpx type admin-prohibited'
  }
}

/** A set of single ports and ranges. */
export const portSet = (ports: readonly PortRange[]): string => {
  const words = ports.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
  return `{ ${[...new Set(words)].join(', ')} }`
}
