import { describe, expect, test } from 'vitest'
import { explainArrival, readTuple } from '../../src/cli/explain-tuple.ts'
import { compiled } from '../../src/cli/load-conf.ts'
import { parseConf, systemWorld } from '../../src/conf/index.ts'
import { interfacesOf } from '../dispatch/rule-kit.ts'

// `glassquid explain --tuple`: how a connection is described, and what is told of it.

describe('a description', () => {
  test.each([
    ['tcp 10.0.0.5:1234 -> 192.0.2.1:80', 'tcp', '10.0.0.5', 1234, '192.0.2.1', 80, null],
    ['udp [2001:db8::1]:53 -> [::1]:53 iface eth0', 'udp', '2001:db8::1', 53, '::1', 53, 'eth0'],
    ['  tcp 1.2.3.4:0->5.6.7.8:65535 [iface veth-x.1]', 'tcp', '1.2.3.4', 0, '5.6.7.8', 65535, 'veth-x.1'],
  ])('%s', (text, proto, src, srcPort, dst, dstPort, iface) =>
    expect(readTuple(text)).toMatchObject({ proto, src: { address: src, port: srcPort }, dst: { address: dst, port: dstPort }, iface }))

  test.each([
    '', 'tcp', 'icmp 1.2.3.4:1 -> 1.2.3.4:2', 'tcp 1.2.3.4 -> 1.2.3.4:2', 'tcp 1.2.3.4:1 -> 1.2.3.4:65536', 'tcp 1.2.3:1 -> 1.2.3.4:2',
    'tcp ::1:1 -> [::1]:2', 'tcp [1.2.3.4]:1 -> 1.2.3.4:2', 'tcp 1.2.3.4:1 -> [::1]:2', 'tcp 1.2.3.4:1 -> 1.2.3.4:2 eth0', 'tcp 1.2.3.4:1 > 1.2.3.4:2',
  ])('%j is none', text => expect(readTuple(text)).toBeNull())
})

const load = (conf: string) => {
  const parsed = parseConf({ file: 'x.conf', text: `listener 3130 tproxy rules\n${conf}` }, systemWorld())
  const told: string[] = []
  const loaded = compiled(parsed, text => told.push(text))
  if (loaded === null) throw new Error(told.join('\n'))
  return loaded
}

const explained = (conf: string, text: string) => {
  const arrival = readTuple(text)
  if (arrival === null) throw new Error('no tuple')
  return explainArrival(load(conf), arrival, interfacesOf({ eth0: [3, '192.0.2.1'] }))
}

const conf = `zone site 10.0.0.0/8
zone dmz parent=site outbound=mail 10.9.0.0/24 host:mail.example
service mail plug
service web plug
detector http http
rule id=7 dst_port=25 src_zone=site service=mail
rule src_zone=dmz service=web
rule src_iface=eth0 src_group=3 dst_iface=eth0 detect=http:mail service=web
`

test('tells the rule, its score, the service, the zones up to their topmost, and what else matches', () => {
  expect(explained(conf, 'tcp 10.9.0.5:1234 -> 192.0.2.9:25')).toMatchObject({
    tuple: 'tcp 10.9.0.5:1234 -> 192.0.2.9:25',
    clientZones: ['dmz', 'site'],
    serverZones: [],
    rule: { id: 7, at: 'x.conf:7', service: 'mail', score: { dstPort: 2, source: { prefix: -1, zoneDepth: 1 } } },
    service: { name: 'mail', proxy: 'plug', detect: [], denied: '' },
    others: [{ id: 1, service: 'web', score: { source: { zoneDepth: 2 } } }],
    remarks: ['host names in zones are not resolved here: mail.example', "some rules ask by which interface it came, which was not said: add 'iface NAME'"],
  })
})

test('knows interfaces, detectors, and zones that may not use a service', () => {
  expect(explained(conf, 'tcp 8.8.8.8:1 -> 192.0.2.1:80 iface eth0')).toMatchObject({
    rule: { id: 2, score: { ingress: 3, destination: { interface: 2 } } },
    service: { name: 'web', detect: [{ detector: 'http', service: 'mail' }], denied: 'clients in no zone may not use it (outbound=)' },
  })
  expect(explained(conf, 'tcp 8.8.8.8:1 -> 192.0.2.9:80')).toMatchObject({ rule: null, service: null, others: [] })
})
