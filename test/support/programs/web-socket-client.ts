import { createHash, randomBytes } from 'node:crypto'
import { WebSocket } from 'ws'

// Says a word, a megabyte and a ping, expects each back, closes properly: node web-socket-client.ts URL

const socket = new WebSocket(process.argv[2] ?? '', { handshakeTimeout: 20_000 })
const big = randomBytes(1024 * 1024)
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

socket.on('open', () => {
  console.log('open')
  socket.send('through the glass')
})
socket.on('message', (data, binary) => {
  const bytes = data as Buffer // binaryType is the default, nodebuffer
  if (!binary) {
    console.log(`text ${bytes.toString()}`)
    socket.send(big)
    return
  }
  console.log(`bytes ${bytes.length} ${digest(bytes) === digest(big) ? 'the same' : 'changed'}`)
  socket.ping('still there')
})
socket.on('pong', data => {
  console.log(`pong ${data.toString()}`)
  socket.close(4000, 'enough')
})
socket.on('close', (code, reason) => console.log(`closed ${code} ${reason.toString()}`))
socket.on('unexpected-response', (_, response) => {
  console.log(`refused ${response.statusCode}`)
  socket.terminate()
})
socket.on('error', error => console.log(`error ${error.message}`))
