// A stacked program for both directions: what comes on 6 goes on to 7 and back, unchanged, each half with its own end.
// (Node opens 0 and 1 by itself when they are looked at, so whoever starts this moves them.)

import net from 'node:net'

const side = (fd: number) => new net.Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
const [client, server] = [side(6), side(7)]
client.pipe(server)
server.pipe(client)
