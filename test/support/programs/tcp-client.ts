// One connection, told as JSON in the first word: {"host","port","text"}, with "localPort" and "localAddress" if wanted.
// Sends the text, ends its half, reads to the end, and tells what came as one line: {"got","localPort"} or {"error"}.
// "hold": true leaves the connection open once the text has come back, until standard input ends.

import net from 'node:net'

const { hold = false, text = '', ...options } = JSON.parse(process.argv[2] ?? '{}')
const socket = net.connect(options)
let got = ''
let ownPort: number | undefined
const tell = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
socket.setEncoding('latin1')
socket.on('connect', () => {
  ownPort = socket.localPort
  if (hold) socket.write(text)
  else socket.end(text)
})
socket.on('data', piece => {
  got += piece
  if (hold && got === text) tell({ got, localPort: ownPort })
})
socket.on('end', () => hold || tell({ got, localPort: ownPort }))
socket.on('error', error => tell({ error: 'code' in error ? error.code : error.message, got, localPort: ownPort }))
if (hold) process.stdin.resume().on('end', () => socket.destroy())
