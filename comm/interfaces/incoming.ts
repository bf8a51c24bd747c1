import { type Addon, setOption } from '../../native/index.ts'
import type { Connection } from '../connection.ts'
import { Flow } from '../datagram/flow.ts'

// By which interface a connection came. Of TCP the kernel keeps it with the socket since the handshake, also for a connection
// that a rule has turned to another port, and tells it as the packet information of a stream that was asked to have some:
// IP_PKTOPTIONS after IP_PKTINFO (ip_sockglue.c), IPV6_2292PKTOPTIONS after IPV6_RECVPKTINFO (ipv6_sockglue.c). Two calls,
// made when a rule wants to know.
//
//   cmsghdr  length u64 | level i32 | type i32, then in_pktinfo (index i32 first) or in6_pktinfo (16 bytes, index u32)

const ip = { level: 0, pktInfo: 8, pktOptions: 9 } as const
const ipv6 = { level: 41, receivePktInfo: 49, pktInfo: 50, pktOptions: 6 } as const
const headBytes = 16

/** 0: not told. Of datagrams each tells it by itself (IP_PKTINFO), and a flow keeps what its first one told. */
export const incomingIndex = (addon: Addon, connection: Connection): number => {
  if (connection instanceof Flow) return connection.incoming
  const { fd, peer, protocol } = connection
  if (fd < 0 || protocol === 'udp') return 0
  // IPv4 on a socket for both families is known on the IPv4 side
  const four = peer.family === 4
  const set = four ? setOption(addon, fd, ip.level, ip.pktInfo, 1) : setOption(addon, fd, ipv6.level, ipv6.receivePktInfo, 1)
  if (set < 0) return 0
  const told = Buffer.alloc(256)
  const length = addon.getOption(fd, four ? ip.level : ipv6.level, four ? ip.pktOptions : ipv6.pktOptions, told)
  return length < 0 ? 0 : indexIn(told.subarray(0, length))
}

const indexIn = (told: Buffer): number => {
  for (let at = 0; at + headBytes <= told.length;) {
    const bytes = Number(told.readBigUInt64LE(at))
    if (bytes < headBytes || at + bytes > told.length) return 0
    const [level, type] = [told.readInt32LE(at + 8), told.readInt32LE(at + 12)]
    if (level === ip.level && type === ip.pktInfo) return told.readInt32LE(at + headBytes)
    if (level === ipv6.level && type === ipv6.pktInfo) return told.readUInt32LE(at + headBytes + 16)
    at += (bytes + 7) & ~7
  }
  return 0
}
