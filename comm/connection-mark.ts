import { addressToBytes, type Endpoint } from '../src/base/index.ts'
import type { Addon } from '../native/index.ts'
import { errnoName } from './error.ts'
import { attribute, eachAttribute, NetlinkSocket, protocols, requestFlags } from './netlink.ts'

// The mark of a connection as the kernel tracks it (linux/netfilter/nfnetlink_conntrack.h): bits that rules see on every
// packet of it, both ways, unlike those of a socket. The entry is found by the connection's ends as it was begun, before any
// NAT. Needs CAP_NET_ADMIN, and rules that make the kernel track connections at all.

export interface ConnectionMarks {
  /** Sets the bits of `mask`; null, or why not. */
  set(from: Endpoint, to: Endpoint, value: number, mask: number): string | null
  /** The mark, or why it cannot be told: ENOENT = the kernel tracks no such connection. */
  get(from: Endpoint, to: Endpoint): number | string
  close(): void
}

/** IPCTNL_MSG_CT_NEW of the conntrack subsystem; without NLM_F_CREATE it changes what is there. CT_GET is answered by one. */
const change = (1 << 8) | 0
const look = (1 << 8) | 1
/** nfgenmsg, which the attributes stand behind. */
const familyBytes = 4
const nested = 0x8000
const families = { 4: 2, 6: 10 } as const
const top = { tuple: 1, mark: 8, markMask: 21 } as const
const tuple = { ip: 1, protocol: 2 } as const
const ip = { 4: { source: 1, target: 2 }, 6: { source: 3, target: 4 } } as const
const protocol = { number: 1, sourcePort: 2, targetPort: 3 } as const
const tcp = 6

/** Throws where there is no netlink. */
export const createConnectionMarks = (addon: Addon): ConnectionMarks => {
  const socket = new NetlinkSocket(addon, protocols.netfilter, 0)
  return {
    set(from, to, value, mask) {
      const errno = socket.ask(change, requestFlags.ack, changeBody(from, to, value, mask), () => {})
      return errno === 0 ? null : errnoName(errno)
    },
    get(from, to) {
      let mark = 0 // newer kernels leave a mark of 0 out
      const errno = socket.ask(look, 0, tupleBody(from, to), (type, body, start, end) => {
        if (type !== change) return
        eachAttribute(body, start + familyBytes, end, (attribute, at) => {
          if (attribute === top.mark) mark = body.readUInt32BE(at)
        })
      })
      return errno === 0 ? mark : errnoName(errno)
    },
    close: () => socket.close(),
  }
}

const changeBody = (from: Endpoint, to: Endpoint, value: number, mask: number): Buffer =>
  Buffer.concat([tupleBody(from, to), attribute(top.mark, bigEndian(value, 4)), attribute(top.markMask, bigEndian(mask, 4))])

const tupleBody = (from: Endpoint, to: Endpoint): Buffer => {
  const { family } = from
  const addresses = Buffer.concat([attribute(ip[family].source, addressBytes(from)), attribute(ip[family].target, addressBytes(to))])
  const ports = Buffer.concat([
    attribute(protocol.number, Buffer.from([tcp])),
    attribute(protocol.sourcePort, bigEndian(from.port, 2)),
    attribute(protocol.targetPort, bigEndian(to.port, 2)),
  ])
  return Buffer.concat([
    Buffer.from([families[family], 0, 0, 0]),
    attribute(top.tuple | nested, Buffer.concat([attribute(tuple.ip | nested, addresses), attribute(tuple.protocol | nested, ports)])),
  ])
}

const addressBytes = ({ family, address }: Endpoint): Buffer => {
  const bytes = Buffer.alloc(family === 4 ? 4 : 16)
  addressToBytes(address, bytes, 0)
  return bytes
}

const bigEndian = (value: number, width: 2 | 4): Buffer => {
  const bytes = Buffer.alloc(width)
  bytes.writeUIntBE(value, 0, width)
  return bytes
}
