import { createServer, type Socket } from 'node:net'

// An origin that does what origins should not: node odd-origin.ts PORT. The path of the request says what.

const port = Number(process.argv[2])

const head = 'HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nConnection: close\r\n'
const behaviours: Readonly<Record<string, (socket: Socket) => void>> = {
  '/silent': () => {},
  '/half-head': socket => void socket.write('HTTP/1.1 200 O'),
  '/half-content': socket => void socket.write(`${head}Content-Length: 100\r\n\r\nhalf of it`),
  '/half-chunk': socket => void socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n64\r\nhalf of it`),
  '/cut-content': socket => void socket.end(`${head}Content-Length: 100\r\n\r\nhalf of it`),
  '/cut-chunk': socket => void socket.end(`${head}Transfer-Encoding: chunked\r\n\r\n64\r\nhalf of it`),
  '/reset-content': socket => void socket.write(`${head}Content-Length: 100\r\n\r\nhalf of it`, () => setTimeout(() => socket.resetAndDestroy(), 100)),
  '/closed': socket => void socket.end(),
  '/reset': socket => void socket.resetAndDestroy(),
  '/garbage': socket => void socket.end('\x00\x01\x02 this is not HTTP\r\n\r\n'),
  '/too-large': socket => void socket.end(`${head}X-Large: ${'x'.repeat(200_000)}\r\n\r\n`),
  '/smuggling': socket => void socket.end(`${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
  '/slow': socket => trickle(socket, `${head}Content-Length: 10\r\n\r\n0123456789`),
  '/large': socket => void socket.write(`${head}Content-Length: 100000000\r\n\r\n${'x'.repeat(20_000_000)}`),
  '/page': socket => void socket.end(`${head}Content-Length: 4\r\n\r\npage`),
}

/** Three seconds in all, never more than a quarter of one without a byte or two. */
const trickle = (socket: Socket, text: string): void => {
  const step = Math.ceil(text.length / 12)
  const timer = setInterval(() => {
    socket.write(text.slice(0, step))
    text = text.slice(step)
    if (text === '') clearInterval(timer)
  }, 250)
  socket.on('close', () => clearInterval(timer))
}

createServer({ allowHalfOpen: true }, socket => {
  let said = ''
  socket.on('error', () => {})
  socket.on('end', () => socket.end())
  socket.on('data', (chunk: Buffer) => {
    if (said.includes('\r\n\r\n')) return
    said += chunk.toString('latin1')
    if (!said.includes('\r\n\r\n')) return
    const path = /^\S+ (\/[^ ?]*)/.exec(said)?.[1] ?? ''
    console.log(`asked ${path} by ${(socket.remoteAddress ?? '').replace(/^::ffff:/, '')}`)
    ;(behaviours[path] ?? behaviours['/page'])?.(socket)
  })
}).listen(port, '::', () => console.log('listening'))
