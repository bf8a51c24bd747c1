import {
  addressOfWords, type AddressWords, addressWords, type Endpoint, masked, type Prefix, prefixHolds,
} from '../../base/index.ts'
import { embed, extract } from './embed.ts'
import { type Mapped, type NatPair, type NatUse, subjectOf } from './policy.ts'

// One function per kind of Zorp's NAT.py. Each answers for one address; what happens where none of its mappings applies
// is the policy's `otherwise`.

/** `unmapped` becomes what the policy's default says. */
export type Answer = { readonly address: string; readonly port: number } | 'unmapped'

export type Kind = (use: NatUse, pair: NatPair) => Answer

/** A general mapping: where both nets match, the address moves into `into`. Null matches everything. */
export interface GeneralMapping {
  readonly source: Prefix | null
  readonly target: Prefix | null
  readonly into: Prefix
}

/** First mapping that matches. An end that is not an address of the net's family does not match. */
export const general = (mappings: readonly GeneralMapping[]): Kind => (use, pair) => {
  const source = wordsOf(pair.source)
  const target = wordsOf(pair.target)
  for (const mapping of mappings) {
    if (!matches(mapping.source, source) || !matches(mapping.target, target)) continue
    return answer(intoNet(mapping.into, use === 'snat' ? source : target))
  }
  return 'unmapped'
}

/** Always this address; its port, if it has one, replaces the other. */
export const fixed = (to: Endpoint): Kind => () => ({ address: to.address, port: to.port })

/** Zorp's OneToOne and OneToOneMulti: nets of one size, the host part stays. */
export const oneToOne = (pairs: readonly { readonly from: Prefix; readonly to: Prefix }[]): Kind => (use, pair) => {
  const address = wordsOf(subjectOf(use, pair))
  const found = pairs.find(({ from }) => prefixHolds(from, address))
  return found === undefined ? 'unmapped' : answer(intoNet(found.to, address))
}

/** Any of them, of the wanted family where there is one. `random` gives numbers in [0, 1). */
export const anyOf = (addresses: readonly string[], random: () => number): Kind => {
  const four = addresses.filter(address => !address.includes(':'))
  const six = addresses.filter(address => address.includes(':'))
  return (_use, pair) => {
    const fitting = pair.wanted === 4 ? four : six
    const list = fitting.length > 0 ? fitting : addresses
    const address = list[Math.floor(random() * list.length)]
    return address === undefined ? 'unmapped' : { address, port: 0 }
  }
}

/** A table of single addresses, canonical. */
export const table = (entries: ReadonlyMap<string, string>): Kind => (use, pair) => {
  const address = entries.get(subjectOf(use, pair).address)
  return address === undefined ? 'unmapped' : { address, port: 0 }
}

/** IPv6 with an IPv4 address inside → that address. */
export const nat64 = (prefix: Prefix): Kind => (use, pair) => {
  const address = wordsOf(subjectOf(use, pair))
  return prefixHolds(prefix, address) ? answer(extract(prefix, address)) : 'unmapped'
}

/** IPv4 → IPv6 with it inside. */
export const nat46 = (prefix: Prefix): Kind => (use, pair) => {
  const address = wordsOf(subjectOf(use, pair))
  return address.length === 1 ? answer(embed(prefix, address)) : 'unmapped'
}

/** The client's own address, any port. */
export const forgeClient: Kind = (use, pair) => (use === 'snat' ? { address: pair.client.address, port: 0 } : 'unmapped')

/** What an unmapped address becomes. */
export const orElse = (kind: Kind, otherwise: 'reject' | 'accept') => (use: NatUse, pair: NatPair): Mapped => {
  const found = kind(use, pair)
  return found !== 'unmapped' ? found : otherwise === 'reject' ? 'rejected' : 'unchanged'
}

const wordsOf = (end: Endpoint): AddressWords => addressWords(end.address) ?? []

const answer = (words: AddressWords): Answer => ({ address: addressOfWords(words), port: 0 })

const matches = (net: Prefix | null, address: AddressWords): boolean => net === null || prefixHolds(net, address)

/** The net, and behind its mask the bits the address has there: 11.255.255.255 into 192.168.0.0/24 is 192.168.0.255. */
const intoNet = (net: Prefix, address: AddressWords): AddressWords => {
  // another family has its host bits elsewhere: counted from the end
  const bits = net.words.map((_, i) => address[address.length - net.words.length + i] ?? 0)
  const hosts = masked(bits, net.length)
  return net.words.map((word, i) => (word | ((bits[i] ?? 0) ^ (hosts[i] ?? 0))) >>> 0)
}
