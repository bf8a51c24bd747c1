import dgram from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'

// Answers datagrams on the ports named, at each of this machine's addresses: what came, between angle brackets, but not
// to `silence`. Writes one line of JSON for each datagram: from whom, to where, how many bytes, the first of them.

// a socket for every address would answer from the one the kernel likes best
const addresses = Object.values(networkInterfaces())
  .flatMap(list => list ?? [])
  .map(({ address }) => address)
  .filter(address => !address.startsWith('fe80:') && address !== '::1' && !address.startsWith('127.'))

for (const port of process.argv.slice(2).map(Number)) {
  for (const own of addresses) {
    const socket = dgram.createSocket(own.includes(':') ? 'udp6' : 'udp4')
    socket.on('message', (content, { address, port: peerPort }) => {
      const text = content.toString('latin1')
      process.stdout.write(`${JSON.stringify({ port, peer: address, peerPort, bytes: content.length, text: text.slice(0, 40) })}\n`)
      if (!text.startsWith('silence')) socket.send(text === '' ? content : Buffer.from(`<${text}>`.slice(0, 65_507), 'latin1'), peerPort, address)
    })
    socket.bind(port, own)
    await once(socket, 'listening')
    socket.setRecvBufferSize(8 * 1024 * 1024)
  }
  console.log(`listening on ${port}`)
}
