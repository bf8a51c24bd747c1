import dgram from 'node:dgram'
import { addressFromBytes, type Clock, type Endpoint, endpoint, ms } from '../src/base/index.ts'
import type { AddressRecord, Query } from './resolver.ts'

// Names under .local, asked of whoever on the link has them (RFC 6762 5.1: one question from a port of our own, answers
// come to that port alone). dns_multicast_local.

export interface MulticastOptions {
  readonly clock: Clock
  /** Where questions go; those of RFC 6762 3 unless told. */
  readonly groups?: readonly Endpoint[]
}

const mdnsGroups: readonly Endpoint[] = [endpoint('224.0.0.251', 5353), endpoint('ff02::fb', 5353)]
/** Who is there answers within a fraction of a second; the question goes out twice. */
const waitMs = ms(2000)
const againMs = ms(500)
/** RFC 6762 6.7: what is told to a one-shot asker must not be kept for longer. */
const ttlMax = 10
const recordsMax = 16

/** Rejects as c-ares does: ENOTFOUND where nobody answers. */
export const multicastQuery = ({ clock, groups = mdnsGroups }: MulticastOptions): Query => (name, family) =>
  new Promise((resolve, reject) => {
    const question = questionOf(name, family)
    const sockets = groups.map(group => dgram.createSocket({ type: group.family === 6 ? 'udp6' : 'udp4' }))
    const send = (): void => {
      for (const [i, socket] of sockets.entries()) {
        const group = groups[i] as Endpoint // one socket each
        socket.send(question, group.port, group.address, () => {}) // a family this machine does not have is not asked
      }
    }
    const again = clock.after(againMs, send, { unref: true })
    const timer = clock.after(waitMs, () => end(null), { unref: true })
    const end = (records: readonly AddressRecord[] | null): void => {
      again.cancel()
      timer.cancel()
      for (const socket of sockets) socket.close()
      if (records === null) reject(Object.assign(new Error(`nobody on this link is ${name}`), { code: 'ENOTFOUND' }))
      else resolve(records)
    }
    let over = false
    for (const socket of sockets) {
      socket.on('error', () => {}) // the other one may still hear something
      socket.on('message', packet => {
        const records = over ? null : recordsOf(packet, name, family)
        if (records === null || records.length === 0) return
        over = true
        end(records)
      })
    }
    send()
  })

const types = { 4: 1, 6: 28 } as const

/** RFC 1035 4.1: a head with one question. Id 0, as RFC 6762 18.1 has it. */
const questionOf = (name: string, family: 4 | 6): Buffer => {
  const labels = name.split('.').map(label => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]))
  return Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), ...labels, Buffer.from([0, 0, types[family], 0, 1])])
}

/** Null: it is no answer that could be read. Records of other names and types are passed over. */
export const recordsOf = (packet: Buffer, name: string, family: 4 | 6): AddressRecord[] | null => {
  if (packet.length < 12 || (packet.readUInt8(2) & 0x80) === 0) return null
  const questions = packet.readUInt16BE(4)
  const answers = packet.readUInt16BE(6)
  const records: AddressRecord[] = []
  let at = 12
  for (let i = 0; i < questions && at > 0; i++) {
    const end = nameAt(packet, at).end
    at = end < 0 ? -1 : end + 4
  }
  for (let i = 0; i < answers && at > 0 && records.length < recordsMax; i++) {
    const { text, end } = nameAt(packet, at)
    if (end < 0 || end + 10 > packet.length) return null
    const length = packet.readUInt16BE(end + 8)
    const data = end + 10
    if (data + length > packet.length) return null
    const isAddress = packet.readUInt16BE(end) === types[family] && length === (family === 4 ? 4 : 16)
    const ttl = packet.readUInt32BE(end + 4)
    if (isAddress && text === name && ttl > 0) records.push({ address: addressFromBytes(packet, data, family), ttl: Math.min(ttl, ttlMax) })
    at = data + length
  }
  return at < 0 ? null : records
}

/** In lower case; `end` -1: it cannot be read. Pointers go backwards only, so that they end. */
const nameAt = (packet: Buffer, start: number): { readonly text: string; readonly end: number } => {
  const labels: string[] = []
  let at = start
  let end = -1
  let limit = start
  for (;;) {
    const length = packet[at]
    if (length === undefined || labels.length > 127) return { text: '', end: -1 }
    if (length === 0) return { text: labels.join('.').toLowerCase(), end: end < 0 ? at + 1 : end }
    if (length >= 0xc0) {
      const to = ((length & 0x3f) << 8) | (packet[at + 1] ?? 0xff)
      if (to >= limit || at + 1 >= packet.length) return { text: '', end: -1 }
      if (end < 0) end = at + 2
      at = limit = to
    } else if (length > 63 || at + 1 + length > packet.length) return { text: '', end: -1 }
    else {
      labels.push(packet.toString('latin1', at + 1, at + 1 + length))
      at += 1 + length
    }
  }
}
