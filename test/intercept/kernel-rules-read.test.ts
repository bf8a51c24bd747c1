// What the doctor understands of other people's packet filters: the text nft and iptables-save print, and how a packet
// fares in it. Where a rule asks something the doctor does not know, it must say so and not guess.

import { describe, expect, it } from 'vitest'
import { type HookChain, type Packet, walkChain } from '../../src/intercept/doctor/kernel-rule.ts'
import { readIptables } from '../../src/intercept/doctor/read-iptables.ts'
import { readNft } from '../../src/intercept/doctor/read-nft.ts'

const syn: Packet = { family: 4, protocol: 'tcp', port: 80, incoming: 'lan', outgoing: '', mark: 0, socket: 'none', syn: true }

const iptables = (...rules: readonly string[]): HookChain => {
  const [chain] = readIptables(['*filter', ':INPUT DROP [0:0]', ':OURS - [0:0]', ...rules, 'COMMIT'].join('\n'), 4)
  if (chain === undefined) throw new Error('no chain')
  return chain
}

const nftChain = (...rules: readonly unknown[][]): HookChain => {
  const table = { family: 'inet', table: 't' }
  const read = readNft(
    JSON.stringify({
      nftables: [
        { chain: { ...table, name: 'in', hook: 'input', prio: 0, policy: 'drop' } },
        ...rules.map(expr => ({ rule: { ...table, chain: 'in', expr } })),
      ],
    }),
  )
  const chain = read?.chains[0]
  if (chain === undefined) throw new Error('no chain')
  return chain
}

const match = (left: unknown, right: unknown, op = '==') => ({ match: { op, left, right } })
const dport = { payload: { protocol: 'tcp', field: 'dport' } }
const accept = { accept: null }

describe('a packet in a chain of iptables', () => {
  it.each<[string, readonly string[], Partial<Packet>, string]>([
    ['the policy decides where no rule does', [], {}, 'drop'],
    ['a rule for its port', ['-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT'], {}, 'accept'],
    ['a rule for another port', ['-A INPUT -p tcp -m tcp --dport 81 -j ACCEPT'], {}, 'drop'],
    ['a range', ['-A INPUT -p tcp -m multiport --dports 70:90,443 -j ACCEPT'], {}, 'accept'],
    ['another interface', ['-A INPUT -i wan -j ACCEPT'], {}, 'drop'],
    ['every interface but one', ['-A INPUT ! -i wan -j ACCEPT'], {}, 'accept'],
    ['interfaces by their beginning', ['-A INPUT -i la+ -j ACCEPT'], {}, 'accept'],
    ['its mark', ['-A INPUT -m mark --mark 0x100/0x100 -j ACCEPT'], { mark: 0x300 }, 'accept'],
    ['not its mark', ['-A INPUT -m mark ! --mark 0x100/0x100 -j ACCEPT'], { mark: 0x300 }, 'drop'],
    ['a chain it jumps to', ['-A INPUT -p tcp -j OURS', '-A OURS -i lan -j ACCEPT'], {}, 'accept'],
    ['a chain it returns from', ['-A INPUT -j OURS', '-A INPUT -j ACCEPT', '-A OURS -j RETURN', '-A OURS -j DROP'], {}, 'accept'],
    ['something that is not known', ['-A INPUT -m conntrack --ctstate NEW -j ACCEPT'], {}, 'perhaps'],
    ['something not known that ends as the policy does', ['-A INPUT -m recent --name x -j DROP'], {}, 'drop'],
    ['a certain rule before the unknown one', ['-A INPUT -i lan -j ACCEPT', '-A INPUT -m recent --name x -j DROP'], {}, 'accept'],
    ['a comment is no condition', ['-A INPUT -m comment --comment "ports of ours" -i lan -j ACCEPT'], {}, 'accept'],
  ])('%s', (_, rules, packet, end) => {
    expect(walkChain(iptables(...rules), { ...syn, ...packet }).end).toBe(end)
  })

  it('its socket match leaves listeners on every address out unless told otherwise', () => {
    const rule = (more: string) => iptables(`-A INPUT -p tcp -m socket --transparent ${more} -j ACCEPT`.replace(/ +/g, ' '))
    expect(walkChain(rule(''), { ...syn, socket: 'wildcard' }).end).toBe('drop')
    expect(walkChain(rule('--nowildcard'), { ...syn, socket: 'wildcard' }).end).toBe('accept')
    expect(walkChain(rule(''), { ...syn, socket: 'exact' }).end).toBe('accept')
  })
})

describe('a packet in a chain of nft', () => {
  it.each<[string, readonly unknown[][], Partial<Packet>, string]>([
    ['a set with a range', [[match(dport, { set: [22, { range: [79, 81] }] }), accept]], {}, 'accept'],
    ['another family', [[match({ meta: { key: 'nfproto' } }, 'ipv6'), accept]], {}, 'drop'],
    ['a source network', [[match({ payload: { protocol: 'ip', field: 'saddr' } }, { prefix: { addr: '10.0.0.0', len: 8 } }), accept]], {}, 'perhaps'],
    ['a bit of its mark', [[match({ '&': [{ meta: { key: 'mark' } }, 256] }, 256), accept]], { mark: 256 }, 'accept'],
    ['a listener on every address', [[match({ socket: { key: 'wildcard' } }, 1), accept]], { socket: 'wildcard' }, 'accept'],
    ['no listener on every address', [[match({ socket: { key: 'wildcard' } }, 1), accept]], { socket: 'exact' }, 'drop'],
    ['the first packet of a connection', [[match({ '&': [{ payload: { protocol: 'tcp', field: 'flags' } }, ['syn', 'ack']] }, 'syn'), accept]], {}, 'accept'],
    ['no first packet', [[match({ '&': [{ payload: { protocol: 'tcp', field: 'flags' } }, ['syn', 'ack']] }, 'syn'), accept]], { syn: false }, 'drop'],
    ['a rate limit', [[{ limit: { rate: 10, per: 'second' } }, accept]], {}, 'perhaps'],
  ])('%s', (_, rules, packet, end) => {
    expect(walkChain(nftChain(...rules), { ...syn, ...packet }).end).toBe(end)
  })

  it('knows the interfaces of flowtables', () => {
    const flowtable = { family: 'inet', name: 'f', table: 't', hook: 'ingress', prio: 0, dev: ['lan', 'wan'] }
    expect(readNft(JSON.stringify({ nftables: [{ flowtable }] }))?.flowtableDevices).toEqual(['lan', 'wan'])
  })

  it('leaves tables of iptables-nft to iptables-save', () => {
    const table = { family: 'ip', table: 'mangle' }
    const chain = { ...table, name: 'PREROUTING', hook: 'prerouting', prio: -150, policy: 'accept' }
    const rule = { ...table, chain: 'PREROUTING', expr: [{ xt: { type: 'target', name: 'TPROXY' } }] }
    expect(readNft(JSON.stringify({ nftables: [{ chain }, { rule }] }))?.chains).toEqual([])
  })

  it.each(['', 'nonsense', '[]', '{"nftables":1}'])('answers nothing to what nft does not print: %j', text => {
    expect(readNft(text)).toBeNull()
  })
})
