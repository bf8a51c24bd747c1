import { WebSocketServer } from 'ws'

// Echoes what it is sent, text as text, bytes as bytes: node web-socket-origin.ts PORT

const server = new WebSocketServer({ port: Number(process.argv[2]), host: '::', maxPayload: 64 * 1024 * 1024 })
server.on('listening', () => console.log('listening'))
server.on('connection', (socket, request) => {
  const peer = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '')
  console.log(`connected ${peer} ${request.url}`)
  socket.on('message', (data, binary) => socket.send(data, { binary }))
  socket.on('close', (code, reason) => console.log(`closed ${code} ${reason.toString()}`))
  socket.on('error', error => console.log(`error ${error.message}`))
})
