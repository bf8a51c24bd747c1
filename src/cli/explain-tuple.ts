import { createComm } from '../../comm/index.ts'
import type { Zone } from '../acl/index.ts'
import { canonicalAddress, type Endpoint, endpoint, endpointText, systemClock } from '../base/index.ts'
import type { ServiceConfig } from '../conf/index.ts'
import {
  type Arrival, type InterfaceFacts, interfaceFacts, type Rule, type ScoreParts, scoreOf, scoreParts, type Tuple, tupleOf,
} from '../dispatch/index.ts'
import type { Common } from './command/command.ts'
import type { TupleWish } from './command/explain.ts'
import { type LoadedConf, loadConf } from './load-conf.ts'

// `glassquid explain --tuple`: what the rules of a conf say of a connection that is only described. The same set decides
// as in the proxy; nothing is asked of a proxy that runs. Host names of zones are not resolved here, which is said.

export const explainTuple = (wish: TupleWish & Common): number => {
  const arrival = readTuple(wish.tuple)
  if (arrival === null) {
    process.stderr.write(`glassquid explain: --tuple '${wish.tuple}': write it as in ${tupleExample}\n`)
    return 1
  }
  const loaded = loadConf(wish, text => {
    if (/^(?:FATAL|ERROR)/.test(text)) process.stderr.write(`${text}\n`)
  })
  if (loaded === null) return 1
  const comm = createComm({ clock: systemClock })
  const told = explainArrival(loaded, arrival, interfaceFacts(() => comm.interfaces))
  comm.close()
  process.stdout.write(wish.json ? `${JSON.stringify(told)}\n` : textOf(told))
  return told.rule === null ? 1 : 0
}

const tupleExample = "'tcp 10.0.0.5:1234 -> 192.0.2.1:80 iface eth0'"

/** Null: it is none. The part behind the addresses may be left out, or stand in brackets. */
export const readTuple = (text: string): Arrival | null => {
  const found = /^\s*(tcp|udp)\s+(\S+)\s*->\s*(\S+)(?:\s+\[?\s*iface\s+([^\s\]]+)\s*\]?)?\s*$/.exec(text)
  const src = readEnd(found?.[2] ?? '')
  const dst = readEnd(found?.[3] ?? '')
  if (found === null || src === null || dst === null || src.family !== dst.family) return null
  const proto = found[1] === 'udp' ? 'udp' : 'tcp'
  return { proto, src, dst, iface: found[4] ?? null, portName: '', now: systemClock.wall() }
}

const readEnd = (text: string): Endpoint | null => {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, colon)
  const address = host.startsWith('[') === host.includes(':') ? canonicalAddress(host) : null
  const port = /^\d{1,5}$/.test(text.slice(colon + 1)) ? Number(text.slice(colon + 1)) : 65536
  return address === null || colon < 0 || port > 65535 ? null : endpoint(address, port)
}

export interface ToldRule {
  readonly id: number
  readonly service: string
  readonly at: string
  readonly text: string
  readonly score: ScoreParts
}

/** The answer, as --json prints it. */
export interface ToldTuple {
  readonly tuple: string
  /** Names from the zone up to its topmost parent; empty = in none. */
  readonly clientZones: readonly string[]
  readonly serverZones: readonly string[]
  readonly rule: ToldRule | null
  readonly service: { readonly name: string; readonly proxy: string; readonly detect: Rule['detect']; readonly denied: string } | null
  /** Other rules that match, the best first. */
  readonly others: readonly ToldRule[]
  readonly remarks: readonly string[]
}

const othersMax = 10

export const explainArrival = ({ config, policy }: LoadedConf, arrival: Arrival, interfaces: InterfaceFacts): ToldTuple => {
  const tuple = tupleOf(arrival, policy.zones, interfaces)
  const rule = policy.rules.decide(tuple)
  const matching = policy.rules.rules
    .filter(other => other !== rule && scoreOf(other, tuple) >= 0 && (other.condition?.holds(tuple.facts()) ?? true))
    .toSorted((a, b) => scoreOf(b, tuple) - scoreOf(a, tuple) || a.id - b.id)
  const remarks: string[] = []
  if (policy.zoneHosts.length > 0) remarks.push(`host names in zones are not resolved here: ${policy.zoneHosts.map(({ name }) => name).join(', ')}`)
  if (arrival.iface === null && policy.rules.speaksOfIngress) remarks.push("some rules ask by which interface it came, which was not said: add 'iface NAME'")
  return {
    tuple: tupleText(arrival),
    clientZones: lineOf(tuple.srcZone),
    serverZones: lineOf(tuple.dstZone),
    rule: rule === null ? null : told(rule, tuple),
    service: rule === null ? null : serviceOf(rule, tuple, config.service, policy),
    others: matching.slice(0, othersMax).map(other => told(other, tuple)),
    remarks,
  }
}

const serviceOf = (rule: Rule, { srcZone }: Tuple, lines: readonly ServiceConfig[], { zones }: LoadedConf['policy']): ToldTuple['service'] => {
  const line = lines.find(({ name }) => name.toLowerCase() === rule.service.toLowerCase())
  const allowed = zones.permits(srcZone, 'outbound', rule.service)
  const denied = allowed ? '' : `clients in ${srcZone === null ? 'no zone' : `zone ${srcZone.name}`} may not use it (outbound=)`
  return { name: line?.name ?? rule.service, proxy: line?.proxy ?? '', detect: rule.detect, denied }
}

const told = (rule: Rule, tuple: Tuple): ToldRule => ({
  id: rule.id,
  service: rule.service,
  at: `${rule.at.file}:${rule.at.line}`,
  text: rule.text,
  score: scoreParts(scoreOf(rule, tuple)),
})

const lineOf = (zone: Zone | null): string[] => {
  const names: string[] = []
  for (let at = zone; at !== null; at = at.parent) names.push(at.name)
  return names
}

const tupleText = ({ proto, src, dst, iface }: Arrival): string =>
  `${proto} ${endpointText(src)} -> ${endpointText(dst)}${iface === null ? '' : ` iface ${iface}`}`

// --- words for people ---

const textOf = ({ tuple, clientZones, serverZones, rule, service, others, remarks }: ToldTuple): string => {
  const zone = (names: readonly string[]) => (names.length === 0 ? 'none' : names.join(', in '))
  const lines = [tuple, `client zone   ${zone(clientZones)}`, `server zone   ${zone(serverZones)}`]
  if (rule === null || service === null) lines.push('rule          none matches: the connection is closed, or left to the next listener there')
  else {
    lines.push(`rule          ${rule.id}, ${rule.at}: ${rule.text}`, `score         ${scoreText(rule.score)}`)
    lines.push(`service       ${service.name} (${service.proxy})${service.denied === '' ? '' : `, refused: ${service.denied}`}`)
    for (const { detector, service: other } of service.detect) lines.push(`              ${other}, if ${detector} detects it`)
  }
  for (const other of others) lines.push(`less exact    ${other.id}, ${other.at}: ${scoreText(other.score)}: ${other.service}`)
  for (const remark of remarks) lines.push(`note          ${remark}`)
  return `${lines.join('\n')}\n`
}

const scoreText = ({ ingress, proto, srcPort, dstPort, source, destination, acl }: ScoreParts): string => {
  const parts = [
    interfaceText('came by', ingress),
    proto > 0 ? 'protocol' : '',
    portText('source port', srcPort),
    portText('port', dstPort),
    source.prefix >= 0 ? `source in a /${source.prefix}` : '',
    source.zoneDepth > 0 ? `source in a zone of depth ${source.zoneDepth}` : '',
    destination.prefix >= 0 ? `destination in a /${destination.prefix}` : '',
    interfaceText('destination is an address of', destination.interface),
    destination.zoneDepth > 0 ? `destination in a zone of depth ${destination.zoneDepth}` : '',
    acl > 0 ? 'acl' : '',
  ].filter(part => part !== '')
  return parts.length === 0 ? 'it says nothing, and so matches everything' : parts.join('; ')
}

const interfaceText = (what: string, bits: number): string =>
  bits === 0 ? '' : `${what} ${bits === 3 ? 'an interface and its group' : bits === 2 ? 'an interface' : 'a group'}`

const portText = (what: string, score: number): string => (score === 0 ? '' : `${what} ${score === 2 ? 'itself' : 'in a range'}`)
