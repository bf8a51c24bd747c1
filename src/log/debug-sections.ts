// The sections of cache.log. Numbers are Squid's where it has the same part, so that `debug_options 28,3` means what it
// meant; rooms Squid does not have begin at 100.

export const debugSections = {
  main: { number: 1, doc: 'start, signals, stop' },
  conf: { number: 3, doc: 'reading the configuration' },
  comm: { number: 5, doc: 'sockets and connections' },
  disk: { number: 6, doc: 'files of the disk store' },
  ftp: { number: 9, doc: 'FTP' },
  http: { number: 11, doc: 'HTTP towards servers' },
  peer: { number: 15, doc: 'other proxies: cache_peer, ICP' },
  manager: { number: 16, doc: 'cache manager' },
  router: { number: 17, doc: 'where requests are sent' },
  cache: { number: 20, doc: 'stored responses' },
  refresh: { number: 22, doc: 'freshness' },
  uri: { number: 23, doc: 'target URIs' },
  tunnel: { number: 26, doc: 'CONNECT and Upgrade' },
  acl: { number: 28, doc: 'access control' },
  client: { number: 33, doc: 'HTTP towards clients' },
  log: { number: 46, doc: 'access log and log files' },
  descriptors: { number: 51, doc: 'file descriptors' },
  dns: { number: 78, doc: 'name look-ups' },
  tls: { number: 83, doc: 'TLS' },
  helper: { number: 84, doc: 'helper programs' },
  nat: { number: 89, doc: 'original destinations: NAT and TPROXY' },
  icap: { number: 93, doc: 'ICAP' },
  dispatch: { number: 100, doc: 'listeners, receivers, rules' },
  service: { number: 101, doc: 'services and sessions' },
  chainer: { number: 102, doc: 'connections to servers, NAT policies' },
  plug: { number: 103, doc: 'relayed TCP and UDP' },
  mail: { number: 104, doc: 'POP3 and SMTP' },
  radius: { number: 105, doc: 'RADIUS' },
  zone: { number: 106, doc: 'zones' },
} as const satisfies Record<string, { readonly number: number; readonly doc: string }>

export type DebugSection = keyof typeof debugSections

export type SectionLevels = readonly { readonly section: number | 'ALL'; readonly level: number }[]

/** A level for each section; a later word wins, `ALL` over everything before it. */
export const levelsOf = (options: SectionLevels): Record<DebugSection, number> => {
  const levels = {} as Record<DebugSection, number> // each section is written below
  for (const section of Object.keys(debugSections) as DebugSection[]) {
    const number = debugSections[section].number
    levels[section] = usualLevel
    for (const option of options) if (option.section === 'ALL' || option.section === number) levels[section] = option.level
  }
  return levels
}

/** What an operator should see without asking. */
export const usualLevel = 1
