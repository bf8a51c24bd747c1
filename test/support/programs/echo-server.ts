// A server of no protocol: on each port it says whom it hears ({"port","peer","peerPort"} per connection) and sends back
// what it gets. `PORT` and `ADDRESS:PORT` are listened on; `close PORT` on standard input takes one away again, `open
// PORT` brings it back.

import net from 'node:net'
import readline from 'node:readline'

const say = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

const serve = (place: string): Promise<net.Server> => {
  const at = place.lastIndexOf(':')
  const host = at < 0 ? undefined : place.slice(0, at)
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    say({ place, port: socket.localPort, peer: socket.remoteAddress?.replace('::ffff:', ''), peerPort: socket.remotePort })
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  return new Promise(resolve => server.listen({ port: Number(place.slice(at + 1)), ...(host === undefined ? {} : { host }) }, () => resolve(server)))
}

const places = process.argv.slice(2)
const servers = new Map<string, net.Server>()
for (const place of places) servers.set(place, await serve(place))
say('listening')

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [word, place = ''] = line.split(' ')
  if (word === 'close') await new Promise(resolve => servers.get(place)?.close(resolve))
  else if (word === 'open') servers.set(place, await serve(place))
  say(line)
}
