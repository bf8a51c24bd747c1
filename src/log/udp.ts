import dgram from 'node:dgram'
import dns from 'node:dns'
import { errnoOf } from '../base/index.ts'
import type { OpenWay, PacketWay } from './packet-log.ts'

// udp://HOST:PORT. The socket is connected, so that the kernel tells when nobody listens there. It is Node's own: a
// log's few sockets go to places of the conf, and need nothing that comm can.

/** What one datagram over IPv4 can carry; longer lines are cut. */
const lineBytesMax = 65507

export const udpWay =
  ({ host, port }: { readonly host: string; readonly port: number }): OpenWay =>
  opened => {
    dns.lookup(host, (error, address, family) => {
      if (error !== null) return opened({ ok: false, reason: `${host}: ${errnoOf(error)}` })
      const socket = dgram.createSocket(family === 6 ? 'udp6' : 'udp4')
      socket.unref()
      let answered = false
      socket.on('error', failure => {
        // later ones are told to the line they meet
        if (answered) return
        answered = true
        socket.close()
        opened({ ok: false, reason: errnoOf(failure) || failure.message })
      })
      socket.connect(port, address, () => {
        if (answered) return
        answered = true
        opened({ ok: true, way: wayOf(socket) })
      })
    })
  }

const wayOf = (socket: dgram.Socket): PacketWay => ({
  send(line, done) {
    socket.send(Buffer.from(line.length > lineBytesMax ? `${line.slice(0, lineBytesMax - 1)}\n` : line, 'latin1'), error => {
      if (error === null) done('sent', '')
      else done('lost', errnoOf(error) || error.message)
    })
  },
  close: () => socket.close(),
})
