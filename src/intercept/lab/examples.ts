import type { Example, ExamplePlay } from './example.ts'
import { labAddresses } from './network.ts'

// The examples of conf/examples, each with the traffic that shows it at work.

const { client, gateway, gatewayWan, origin, bank } = labAddresses

const place = (transport: string, address: string, port: number): string => `${transport}:${address}:${port}`

const relay: Example = {
  name: 'relay',
  title: 'DNS and RADIUS for clients that know the gateway only',
  // nothing is taken; the rules lead the answers to forged addresses back
  rules: ['--interface', 'lan'],
  servers: {
    origin: [
      ...['udp', 'tcp'].flatMap(transport => [place(transport, origin.ipv4, 53), place(transport, bank.ipv4, 53)]),
      ...[1812, 1813].map(port => place('udp', origin.ipv4, port)),
    ],
  },
  plays: [
    {
      what: 'a name is asked for: the server sees the gateway',
      from: 'client',
      ask: { transport: 'udp', host: gateway.ipv4, port: 53 },
      answers: place('udp', origin.ipv4, 53),
      sees: gatewayWan.ipv4,
      logged: { taken: 'direct', client: client.ipv4, destination: gateway.ipv4, destinationPort: 53 },
    },
    {
      what: 'the same over TCP',
      from: 'client',
      ask: { transport: 'tcp', host: gateway.ipv4, port: 53 },
      answers: place('tcp', origin.ipv4, 53),
      sees: gatewayWan.ipv4,
      logged: { taken: 'direct', destination: gateway.ipv4, destinationPort: 53, serverLocal: gatewayWan.ipv4 },
    },
    {
      what: 'the first name server is down: the second one is asked',
      before: { machine: 'origin', tell: `close ${place('tcp', origin.ipv4, 53)}` },
      from: 'client',
      ask: { transport: 'tcp', host: gateway.ipv4, port: 53 },
      answers: place('tcp', bank.ipv4, 53),
      sees: gatewayWan.ipv4,
      logged: { taken: 'direct', destination: gateway.ipv4, destinationPort: 53, serverLocal: gatewayWan.ipv4 },
    },
    ...[1812, 1813].map(
      (port): ExamplePlay => ({
        what: `RADIUS (${port}): the server sees the client`,
        from: 'client',
        ask: { transport: 'udp', host: gateway.ipv4, port },
        answers: place('udp', origin.ipv4, port),
        sees: client.ipv4,
        logged: { taken: 'direct', destination: gateway.ipv4, destinationPort: port, serverLocal: client.ipv4 },
      }),
    ),
  ],
}

const toMail = { taken: 'direct', client: client.ipv4, destination: gateway.ipv4, destinationPort: 25, serverLocal: gatewayWan.ipv4 } as const

const failover: Example = {
  name: 'failover',
  title: 'one address, two servers',
  rules: null,
  servers: { origin: [place('tcp', origin.ipv4, 25), place('tcp', bank.ipv4, 25)] },
  plays: [
    {
      what: 'the first server answers',
      from: 'client',
      ask: { transport: 'tcp', host: gateway.ipv4, port: 25 },
      answers: place('tcp', origin.ipv4, 25),
      sees: gatewayWan.ipv4,
      logged: toMail,
    },
    {
      what: 'it is down: the second one',
      before: { machine: 'origin', tell: `close ${place('tcp', origin.ipv4, 25)}` },
      from: 'client',
      ask: { transport: 'tcp', host: gateway.ipv4, port: 25 },
      answers: place('tcp', bank.ipv4, 25),
      sees: gatewayWan.ipv4,
      logged: toMail,
    },
    {
      what: 'it is up again, and still passed over',
      before: { machine: 'origin', tell: `open ${place('tcp', origin.ipv4, 25)}` },
      from: 'client',
      ask: { transport: 'tcp', host: gateway.ipv4, port: 25 },
      answers: place('tcp', bank.ipv4, 25),
      sees: gatewayWan.ipv4,
      logged: toMail,
    },
    {
      what: 'from the other side nobody listens',
      from: 'origin',
      ask: { transport: 'tcp', host: gatewayWan.ipv4, port: 25 },
      answers: null,
      sees: null,
      logged: null,
    },
  ],
}

const ftpReady: Example = {
  name: 'ftp-ready',
  title: 'the way of FTP',
  rules: ['--interface', 'lan', '--take', '21=3121'],
  servers: {
    origin: [place('tcp', origin.ipv4, 21), place('tcp', origin.ipv6, 21), place('tcp', origin.ipv4, 20_500)],
    client: [place('tcp', client.ipv4, 20_021)],
  },
  plays: [
    {
      what: 'the control connection: the server sees the client',
      from: 'client',
      ask: { transport: 'tcp', host: origin.ipv4, port: 21 },
      answers: place('tcp', origin.ipv4, 21),
      sees: client.ipv4,
      logged: { taken: 'tproxy', destination: origin.ipv4, destinationPort: 21, serverLocal: client.ipv4 },
    },
    {
      what: 'the same, IPv6',
      from: 'client',
      ask: { transport: 'tcp', host: origin.ipv6, port: 21 },
      answers: place('tcp', origin.ipv6, 21),
      sees: client.ipv6,
      logged: { taken: 'tproxy', destination: origin.ipv6, destinationPort: 21, serverLocal: client.ipv6 },
    },
    {
      what: 'passive data: from end to end',
      from: 'client',
      ask: { transport: 'tcp', host: origin.ipv4, port: 20_500 },
      answers: place('tcp', origin.ipv4, 20_500),
      sees: client.ipv4,
      logged: null,
    },
    {
      what: 'active data: the server connects to the client, and nobody waits for it there but the client',
      from: 'origin',
      ask: { transport: 'tcp', host: client.ipv4, port: 20_021, by: origin.ipv4 },
      answers: place('tcp', client.ipv4, 20_021),
      sees: origin.ipv4,
      logged: null,
    },
  ],
}

const families = [
  { client: client.ipv4, origin: origin.ipv4, family: 'IPv4' },
  { client: client.ipv6, origin: origin.ipv6, family: 'IPv6' },
] as const

const everything: Example = {
  name: 'everything',
  title: 'everything that passes the gateway',
  rules: ['--interface', 'lan', '--take', '80=3129', '--take', '1-79,81-65535=3130', '--take', '1-65535/udp=3130'],
  servers: {
    origin: families.flatMap(({ origin: address }) => [
      ...[80, 22, 31_000].map(port => place('tcp', address, port)),
      ...[53, 31_000].map(port => place('udp', address, port)),
    ]),
  },
  plays: families.flatMap(({ client: from, origin: to, family }) => [
    {
      what: `web, ${family}`,
      from: 'client',
      ask: { transport: 'http', host: to, port: 80 },
      answers: place('tcp', to, 80),
      sees: from,
      logged: { taken: 'tproxy', destination: to, destinationPort: 80, result: 'TCP_MISS', status: 200, serverLocal: from },
    } as const,
    ...[22, 31_000].map(
      (port): ExamplePlay => ({
        what: `TCP ${port}, ${family}`,
        from: 'client',
        ask: { transport: 'tcp', host: to, port },
        answers: place('tcp', to, port),
        sees: from,
        logged: { taken: 'tproxy', destination: to, destinationPort: port, result: 'TCP_TUNNEL', serverLocal: from },
      }),
    ),
    ...[53, 31_000].map(
      (port): ExamplePlay => ({
        what: `UDP ${port}, ${family}`,
        from: 'client',
        ask: { transport: 'udp', host: to, port },
        answers: place('udp', to, port),
        sees: from,
        logged: { taken: 'tproxy', destination: to, destinationPort: port, serverLocal: from },
      }),
    ),
  ]),
}

const publicMail = '192.0.2.25'
const dmzMail = '198.51.100.25'

const dmz: Example = {
  name: 'dmz',
  title: 'a DMZ with public addresses of its own, SNAT and DNAT',
  rules: ['--interface', 'lan', '--interface', 'wan', '--take', '1-65535=3130'],
  setUp: { client: `ip addr add ${dmzMail}/24 dev eth0` },
  servers: {
    client: [place('tcp', dmzMail, 25), place('tcp', dmzMail, 22)],
    origin: [place('tcp', origin.ipv4, 443)],
  },
  plays: [
    {
      what: 'the world sends mail to the public address: the server sees who it is',
      from: 'origin',
      ask: { transport: 'tcp', host: publicMail, port: 25, by: origin.ipv4 },
      answers: place('tcp', dmzMail, 25),
      sees: origin.ipv4,
      logged: { taken: 'tproxy', client: origin.ipv4, destination: publicMail, destinationPort: 25, serverLocal: origin.ipv4 },
    },
    {
      what: 'a port that is not published',
      from: 'origin',
      ask: { transport: 'tcp', host: publicMail, port: 22, by: origin.ipv4 },
      answers: null,
      sees: null,
      logged: null,
      session: { service: 'nothing', verdict: 'DENIED_BY_POLICY', destination: `${publicMail}:22`, clientZone: null },
    },
    {
      what: 'round the public address: refused as well',
      from: 'origin',
      ask: { transport: 'tcp', host: dmzMail, port: 25, by: origin.ipv4 },
      answers: null,
      sees: null,
      logged: null,
      session: { service: 'nothing', verdict: 'DENIED_BY_POLICY', destination: `${dmzMail}:25`, clientZone: null },
    },
    {
      what: 'the server goes out: the world sees its public address',
      from: 'client',
      ask: { transport: 'tcp', host: origin.ipv4, port: 443, by: dmzMail },
      answers: place('tcp', origin.ipv4, 443),
      sees: publicMail,
      logged: { taken: 'tproxy', client: dmzMail, destination: origin.ipv4, destinationPort: 443, serverLocal: publicMail },
    },
  ],
}

export const examples: readonly Example[] = [dmz, relay, failover, ftpReady, everything]
