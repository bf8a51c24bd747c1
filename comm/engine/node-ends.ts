import type net from 'node:net'
import { canonicalAddress, type Endpoint, endpoint } from '../../src/base/index.ts'

// Node writes v4-mapped addresses as they are and appends the zone to link-local ones; an Endpoint has neither.

/** Null once the socket is gone: a client may leave between the handshake and our first look. */
export const peerOf = (socket: net.Socket): Endpoint | null => endOf(socket.remoteAddress, socket.remotePort)

export const localOf = (socket: net.Socket): Endpoint | null => endOf(socket.localAddress, socket.localPort)

const endOf = (address: string | undefined, port: number | undefined): Endpoint | null => {
  const canonical = address === undefined ? null : canonicalAddress(address.split('%', 1)[0] ?? address)
  return canonical === null || port === undefined ? null : endpoint(canonical, port)
}
