// One connection: HOST PORT TEXT [LOCAL-PORT]. Sends the text, ends its half, reads to the end, and tells what came as
// one line: {"got","localPort"} or {"error"}.

import net from 'node:net'

const [host = '', port = '', text = '', localPort = '0'] = process.argv.slice(2)
const socket = net.connect({ host, port: Number(port), ...(localPort === '0' ? {} : { localPort: Number(localPort) }) })
let got = ''
let ownPort: number | undefined
const tell = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
socket.setEncoding('latin1')
socket.on('connect', () => {
  ownPort = socket.localPort
  socket.end(text)
})
socket.on('data', piece => {
  got += piece
})
socket.on('end', () => tell({ got, localPort: ownPort }))
socket.on('error', error => tell({ error: 'code' in error ? error.code : error.message, got, localPort: ownPort }))
