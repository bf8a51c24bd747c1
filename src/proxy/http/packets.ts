import type { HierarchyCode, Outcome, PacketMarks } from '../../base/index.ts'
import type { HttpClient } from './client.ts'
import type { Guarded } from './policy.ts'
import type { Transaction } from './transaction.ts'

// clientside_tos, mark_client_packet, mark_client_connection and qos_flows: what packets to clients carry for routers on their way. The first two
// are about the request and said when it is known what it is, qos_flows about where its response comes from, and counts
// more then. Socket options: what has been written and still waits carries them, too.

export interface Mark {
  readonly value: number
  readonly mask: number
}

/** By where a response comes from; null = as it was. */
export interface Flows<T> {
  readonly localHit: T | null
  readonly siblingHit: T | null
  readonly parentHit: T | null
  readonly miss: T | null
}

export interface PacketRules {
  readonly tos: readonly Guarded<number>[]
  readonly marks: readonly Guarded<Mark>[]
  /** Of the connection as the kernel tracks it. */
  readonly connections: readonly Guarded<Mark>[]
  /** Null: no qos_flows line of the kind. */
  readonly tosFlows: Flows<number> | null
  readonly markFlows: Flows<Mark> | null
}

/** What a client's socket has been set to. */
export interface PacketState {
  tos: number
  mark: Mark | null
  connection: Mark | null
}

/** The request is known. What no line wants is taken back from the request before. */
export const markRequest = (t: Transaction, rules: PacketRules): void => {
  const { facts } = t
  if (rules.tos.length > 0 || rules.tosFlows !== null) setTos(t.client, rules.tos.find(line => line.when.holds(facts))?.value ?? 0)
  const connection = rules.connections.find(line => line.when.holds(facts))
  if (connection !== undefined) markConnection(t, connection.value)
  if (rules.marks.length > 0 || rules.markFlows !== null) setMark(t.client, rules.marks.find(line => line.when.holds(facts))?.value ?? null)
}

/** It stays until another line says otherwise, as in Squid: rules may have looked at it. */
const markConnection = ({ client }: Transaction, mark: Mark): void => {
  const state = stateOf(client)
  if (state.connection === mark) return
  state.connection = mark
  const { peer } = client.session.client
  const why = client.session.client.introduced ? 'a balancer stands between' : client.deps.markConnection(peer, client.session.destination, mark.value, mark.mask)
  client.facts.forgetConnectionMark()
  if (why !== null) client.deps.notices.packets(`connections of clients cannot be marked (${why}): that needs CAP_NET_ADMIN, and rules that track connections`)
}

/** Its response is: stored here, or from where `hierarchy` says. */
export const markResponse = (t: Transaction, rules: PacketRules, hierarchy: HierarchyCode | 'stored'): void => {
  const tos = rules.tosFlows === null ? null : flowOf(rules.tosFlows, hierarchy)
  if (tos !== null) setTos(t.client, tos)
  const mark = rules.markFlows === null ? null : flowOf(rules.markFlows, hierarchy)
  if (mark !== null) setMark(t.client, mark)
}

const flowOf = <T>({ localHit, siblingHit, parentHit, miss }: Flows<T>, from: string): T | null => {
  if (from === 'stored') return localHit
  if (from.includes('SIBLING_HIT')) return siblingHit ?? miss
  return from.includes('PARENT_HIT') ? (parentHit ?? miss) : miss
}

/** For the record: what the client's packets carry at its end. */
export const tellClientMarks = (o: Outcome, { tos, mark, connection }: PacketState): void => {
  const marks = marksOf(o)
  marks.clientTos = tos
  marks.clientMark = (mark ?? connection)?.value ?? 0
}

/** For the record: what the server's carry. */
export const tellServerMarks = (o: Outcome, { tos, mark }: { readonly tos: number | undefined; readonly mark: number | undefined }): void => {
  if (tos === undefined && mark === undefined) return
  const marks = marksOf(o)
  marks.serverTos = tos ?? 0
  marks.serverMark = mark ?? 0
}

const marksOf = (o: Outcome): PacketMarks => (o.packets ??= { clientTos: 0, clientMark: 0, serverTos: 0, serverMark: 0 })

const stateOf = (client: HttpClient): PacketState => (client.packets ??= { tos: 0, mark: null, connection: null })

const setTos = (client: HttpClient, tos: number): void => {
  const state = stateOf(client)
  if (state.tos === tos) return
  state.tos = tos
  if (client.session.client.tune?.({ tos }) !== true) client.deps.notices.packets('the type of service of packets to clients cannot be set')
}

const setMark = (client: HttpClient, mark: Mark | null): void => {
  const state = stateOf(client)
  if (state.mark === mark) return
  const wanted = mark ?? { value: 0, mask: state.mark?.mask ?? 0 }
  state.mark = mark
  if (client.session.client.tune?.({ mark: wanted }) !== true) client.deps.notices.packets('packets to clients cannot be marked: that needs CAP_NET_ADMIN')
}
