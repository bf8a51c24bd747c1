import { readFileSync } from 'node:fs'
import tls from 'node:tls'

// tls-canned.ts PORT CERT KEY: answers every request with the same kilobyte, over TLS.

const [port, cert = '', key = ''] = process.argv.slice(2)
const content = 'x'.repeat(1024)
const answer = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\nConnection: keep-alive\r\n\r\n${content}`)
const server = tls.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, socket => {
  socket.on('data', () => socket.write(answer)) // a request comes in one piece
  socket.on('error', () => {})
})
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('ready\n'))
