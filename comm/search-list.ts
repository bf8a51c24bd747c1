import { readFileSync } from 'node:fs'
import { canonicalName } from './name.ts'

// resolv.conf(5): `search a.example b.example`, `domain a.example` and `options ndots:N`, of which the last line of each
// counts. What the resolver of libc does with them by itself, a proxy does only where dns_defnames says so.

export interface SearchList {
  /** In the order in which they are put behind a name. */
  readonly domains: readonly string[]
  /** Names with fewer dots are looked for in them. */
  readonly dots: number
}

export const noSearchList: SearchList = { domains: [], dots: 1 }

/** As many as libc takes. */
const domainsMax = 6

export const parseSearchList = (text: string): SearchList => {
  let list = noSearchList
  for (const line of text.split('\n')) {
    const [word, ...rest] = line.trim().split(/\s+/)
    if (word === 'search' || word === 'domain') {
      const domains = rest.slice(0, word === 'domain' ? 1 : domainsMax).flatMap(name => canonicalName(name) ?? [])
      list = { ...list, domains }
    }
    if (word !== 'options') continue
    for (const option of rest) {
      const dots = /^ndots:(\d{1,2})$/.exec(option)?.[1]
      if (dots !== undefined) list = { ...list, dots: Math.min(15, Number(dots)) }
    }
  }
  return list
}

/** Without a file that can be read there is no list. */
export const readSearchList = (path = '/etc/resolv.conf'): SearchList => {
  try {
    return parseSearchList(readFileSync(path, 'latin1'))
  } catch {
    return noSearchList
  }
}
