import { readFileSync } from 'node:fs'
import { canonicalAddress } from '../src/base/index.ts'
import { canonicalName } from './name.ts'

// hosts(5): `address name name ... # comment`. A name may stand in several lines; all its addresses count.

export type Hosts = ReadonlyMap<string, readonly string[]>

export const noHosts: Hosts = new Map()

/**
 * Lines that make no sense are passed over, as every resolver does: such files are shared with other programs. Names without a
 * dot stand for those with `appendDomain` behind them, too, which come first: that is what clients who say them are taken to mean.
 */
export const parseHosts = (text: string, appendDomain = ''): Hosts => {
  const hosts = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [first, ...names] = (line.split('#', 1)[0] ?? '').split(/\s+/).filter(word => word !== '')
    const address = first === undefined ? null : canonicalAddress(first)
    if (address === null) continue
    for (const word of names) {
      if (appendDomain !== '' && isShort(word)) addTo(hosts, canonicalName(`${word}${appendDomain}`), address)
      addTo(hosts, canonicalName(word), address)
    }
  }
  return hosts
}

const isShort = (name: string): boolean => !name.includes('.') && name.toLowerCase() !== 'localhost'

const addTo = (hosts: Map<string, string[]>, name: string | null, address: string): void => {
  if (name === null) return
  const addresses = hosts.get(name)
  if (addresses === undefined) hosts.set(name, [address])
  else if (!addresses.includes(address)) addresses.push(address)
}

/** Throws Node's error where the file cannot be read. */
export const readHosts = (path: string, appendDomain = ''): Hosts => parseHosts(readFileSync(path, 'latin1'), appendDomain)
