// Many connections that are held, at one of their ends. `serve`: answers each byte with the same one, and tells its port.
// `hold HOST PORT COUNT`: opens so many, each is to say one byte and hear it; then it listens to words on stdin: `speak N`: the
// first N once more. Tells `held` and `spoken`, and at each end of a connection `closed N`, N being how many have ended so far.

import net from 'node:net'
import { createInterface } from 'node:readline'

const [mode, host = '', port = '0', count = '0'] = process.argv.slice(2)

const serve = (): void => {
  const server = net.createServer(socket => void socket.on('error', () => {}).pipe(socket))
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(`port ${(server.address() as net.AddressInfo).port}`))
}

/** At once; more would only wait in the backlog. */
const openingMax = 200

const hold = (): void => {
  const sockets: net.Socket[] = []
  let [heard, wanted, closed] = [0, Number(count), 0]
  let word = 'held'
  const open = (): void => {
    if (sockets.length === wanted) return
    const socket = net.connect({ host, port: Number(port) })
    let first = true
    socket.on('error', () => {}).on('close', () => console.log(`closed ${++closed}`))
    socket.on('data', () => {
      if (++heard === wanted) console.log(word)
      if (first) open()
      first = false
    })
    sockets.push(socket)
    socket.write('x')
  }
  for (let i = 0; i < openingMax; i++) open()
  createInterface({ input: process.stdin }).on('line', line => {
    ;[heard, wanted, word] = [0, Number(line.split(' ')[1]), 'spoken']
    for (const socket of sockets.slice(0, wanted)) socket.write('y')
  })
}

if (mode === 'serve') serve()
else hold()
