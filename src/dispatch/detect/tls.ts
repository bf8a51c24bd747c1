import { readClientHello } from '../../tls/index.ts'
import type { Look } from './detector.ts'

/** A client hello; with domains, one that names one of them. `.x` is x and all below it. */
export const looksLikeTls = (domains: readonly string[]): Look => bytes => {
  const hello = readClientHello(bytes)
  if (hello.kind === 'none') return 'no'
  if (hello.kind === 'partial') return 'undecided'
  if (domains.length === 0) return 'match'
  const name = hello.serverName
  return name !== null && domains.some(domain => covers(domain, name)) ? 'match' : 'no'
}

const covers = (domain: string, name: string): boolean =>
  domain.startsWith('.') ? name === domain.slice(1) || name.endsWith(domain) : name === domain
