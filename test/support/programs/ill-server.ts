// A server that misbehaves, each port in its own way (PORT=HOW in the words): echo; reset: as soon as something has come;
// silent: takes connections and says nothing; first: says `bye` and ends its half, reads on; deaf: takes connections and
// never reads. Says on standard output, for each connection of `first`, how many bytes came before the client ended it.

import net from 'node:net'

const ways: Readonly<Record<string, (socket: net.Socket) => void>> = {
  echo: socket => void socket.pipe(socket),
  reset: socket => void socket.once('data', () => socket.resetAndDestroy()),
  silent: socket => void socket.resume(),
  deaf: socket => void socket.pause(),
  first: socket => {
    let bytes = 0
    socket.end('bye')
    socket.on('data', piece => {
      bytes += piece.length
    })
    socket.on('end', () => console.log(`got ${bytes}`))
  },
}

for (const word of process.argv.slice(2)) {
  const [port, how = ''] = word.split('=')
  const way = ways[how]
  if (way === undefined) throw new Error(`no such way: ${how}`)
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => {})
    way(socket)
  })
  await new Promise<void>(resolve => server.listen({ port: Number(port), backlog: 4096 }, resolve))
}
console.log('listening')
