import type { Example } from './example.ts'
import { labAddresses } from './network.ts'

// The examples of conf/examples, each with the traffic that shows it at work.

const { client, gateway, gatewayWan, origin, bank } = labAddresses

const place = (transport: string, address: string, port: number): string => `${transport}:${address}:${port}`

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

export const examples: readonly Example[] = [failover, ftpReady]
