import { labAddresses } from './network.ts'

// What the lab asks for, and what has to be true about each answer at the client, at the proxy and at the origin.

export interface Play {
  readonly what: string
  /** Arguments for curl on the client's machine. */
  readonly curl: readonly string[]
  readonly expect: Expectation
}

export interface Expectation {
  /** At the client and in the proxy's log. */
  readonly status: number
  /** The proxy's result code. */
  readonly result: string
  readonly taken: 'tproxy' | 'nat' | 'direct'
  /** Where the connection had been going, as the proxy found out. */
  readonly destination: string
  readonly destinationPort: number
  /** Whom the origin sees; null: it must not be asked. */
  readonly originSaw: string | null
  /** What the origin answers to the proxy, where it differs from what the client gets. */
  readonly originStatus?: number
  /** Somewhere in what the client gets. */
  readonly says?: string
}

/** Ports of the origin and how the gateway takes them: `glassquid rules --take 80,81=3130 --take 8080=3129`. */
export const tproxyPorts = { open: 80, closed: 81 } as const
export const natPort = 8080
export const listenPorts = { forward: 3128, intercept: 3129, tproxy: 3130 } as const

const { client, gateway, gatewayWan, origin, bank } = labAddresses

const v4 = { flag: '-4', client: client.ipv4, gateway: gateway.ipv4, gatewayWan: gatewayWan.ipv4, origin: origin.ipv4 }
const v6 = { flag: '-6', client: client.ipv6, gateway: gateway.ipv6, gatewayWan: gatewayWan.ipv6, origin: origin.ipv6 }

const hit = { result: 'TCP_MEM_HIT', originSaw: null } as const

/** A page nobody has fetched, then the same again: by TPROXY with the client's address, by NAT with the gateway's. */
const missThenHit = (family: typeof v4 | typeof v6, name: string): Play[] => {
  const tproxy = { status: 200, taken: 'tproxy', destination: family.origin, destinationPort: tproxyPorts.open } as const
  const nat = { status: 200, taken: 'nat', destination: family.origin, destinationPort: natPort } as const
  const forged = [family.flag, `http://origin.lab/fresh/${name}`]
  const plain = [family.flag, `http://origin.lab:${natPort}/fresh/${name}`]
  const sees = (address: string) => `The origin sees you as ${address}`
  return [
    {
      what: `${name}: a miss, asked with the client's address`,
      curl: forged,
      expect: { ...tproxy, result: 'TCP_MISS', originSaw: family.client, says: sees(family.client) },
    },
    { what: `${name}: a hit`, curl: forged, expect: { ...tproxy, ...hit, says: sees(family.client) } },
    {
      what: `${name} by NAT: a miss, asked with the gateway's address`,
      curl: plain,
      expect: { ...nat, result: 'TCP_MISS', originSaw: family.gatewayWan, says: sees(family.gatewayWan) },
    },
    { what: `${name} by NAT: a hit`, curl: plain, expect: { ...nat, ...hit, says: sees(family.gatewayWan) } },
  ]
}

const toOrigin = { taken: 'tproxy', destination: v4.origin, destinationPort: tproxyPorts.open } as const

export const plays: readonly Play[] = [
  ...missThenHit(v4, 'IPv4'),
  ...missThenHit(v6, 'IPv6'),
  {
    what: 'no-store: a miss',
    curl: ['-4', 'http://origin.lab/private'],
    expect: { ...toOrigin, status: 200, result: 'TCP_MISS', originSaw: v4.client },
  },
  {
    what: 'no-store: a miss again',
    curl: ['-4', 'http://origin.lab/private'],
    expect: { ...toOrigin, status: 200, result: 'TCP_MISS', originSaw: v4.client },
  },
  {
    what: 'no-cache with an ETag: stored',
    curl: ['-4', 'http://origin.lab/etag'],
    expect: { ...toOrigin, status: 200, result: 'TCP_MISS', originSaw: v4.client },
  },
  {
    what: 'validated: the origin says 304, the client gets the page',
    curl: ['-4', 'http://origin.lab/etag'],
    expect: { ...toOrigin, status: 200, result: 'TCP_REFRESH_UNMODIFIED', originSaw: v4.client, originStatus: 304, says: 'The origin sees' },
  },
  {
    what: 'the client has it: 304 from the cache',
    curl: ['-4', '-H', 'If-Modified-Since: Thu, 31 Dec 2099 23:59:59 GMT', 'http://origin.lab/fresh/IPv4'],
    expect: { ...toOrigin, status: 304, result: 'TCP_IMS_HIT', originSaw: null },
  },
  {
    what: 'content sent by the client',
    curl: ['-4', '--data-binary', 'through the glass', 'http://origin.lab/echo'],
    expect: { ...toOrigin, status: 200, result: 'TCP_MISS', originSaw: v4.client, says: 'through the glass' },
  },
  {
    what: 'spoof_client_ip deny: the gateway asks in its own name',
    curl: ['-4', 'http://origin.lab/private/unforged'],
    expect: { ...toOrigin, status: 200, result: 'TCP_MISS', originSaw: v4.gatewayWan },
  },
  {
    what: "a forged Host: answered from where the client went",
    curl: ['-4', '-H', 'Host: bank.lab', 'http://origin.lab/fresh/forged'],
    expect: { ...toOrigin, status: 200, result: 'TCP_MISS', originSaw: v4.client },
  },
  {
    what: 'and not stored under that name: the real one is asked',
    curl: ['-4', 'http://bank.lab/fresh/forged'],
    expect: { ...toOrigin, destination: bank.ipv4, status: 200, result: 'TCP_MISS', originSaw: v4.client },
  },
  {
    what: 'told of the proxy: forwarded in its own name',
    curl: ['-4', '-x', `http://${gateway.ipv4}:${listenPorts.forward}`, `http://${origin.ipv4}/private`],
    expect: {
      taken: 'direct',
      destination: gateway.ipv4,
      destinationPort: listenPorts.forward,
      status: 200,
      result: 'TCP_MISS',
      originSaw: v4.gatewayWan,
    },
  },
  {
    what: 'nobody listens at the origin',
    curl: ['-4', `http://origin.lab:${tproxyPorts.closed}/`],
    expect: { ...toOrigin, destinationPort: tproxyPorts.closed, status: 503, result: 'TCP_MISS', originSaw: null },
  },
  {
    what: 'straight to the tproxy port: refused',
    curl: ['-4', `http://gateway.lab:${listenPorts.tproxy}/`],
    expect: {
      taken: 'direct',
      destination: gateway.ipv4,
      destinationPort: listenPorts.tproxy,
      status: 403,
      result: 'TCP_DENIED',
      originSaw: null,
    },
  },
  {
    what: 'straight to the intercept port, IPv6: refused',
    curl: ['-6', `http://gateway.lab:${listenPorts.intercept}/`],
    expect: {
      taken: 'direct',
      destination: gateway.ipv6,
      destinationPort: listenPorts.intercept,
      status: 403,
      result: 'TCP_DENIED',
      originSaw: null,
    },
  },
  {
    what: 'has been here before (Via): refused',
    curl: ['-4', '-H', 'Via: 1.1 lab.glassquid (glassquid)', 'http://origin.lab/private'],
    expect: { ...toOrigin, status: 403, result: 'TCP_DENIED', originSaw: null },
  },
]
