import { addressOfWords, addressWords, masked, type Outcome } from '../base/index.ts'

// client_netmask: logs and figures know a network instead of a client. Decisions are made with the whole address.

/** Bits of an IPv6 address that are kept where IPv4 addresses are cut: what lies behind them is one household's machine. */
const bitsOfIPv6 = 64

/** `bits`: of IPv4 addresses, less than 32. */
export const clientMask = (bits: number): ((address: string) => string) => {
  let last = ''
  let lastMasked = ''
  return address => {
    if (address === last) return lastMasked
    const words = addressWords(address)
    last = address
    lastMasked = words === null ? address : addressOfWords(masked(words, words.length === 1 ? bits : bitsOfIPv6))
    return lastMasked
  }
}

/** The same record, as it may be told. A server saw the client's own address where that was used towards it. */
export const maskedOutcome = (outcome: Outcome, mask: (address: string) => string): Outcome => {
  const { client, serverLocal, forged } = outcome
  return {
    ...outcome,
    client: { ...client, address: mask(client.address) },
    serverLocal: forged && serverLocal !== null ? { ...serverLocal, address: mask(serverLocal.address) } : serverLocal,
  }
}
