import net from 'node:net'
import { COMM_DOBIND, COMM_REUSEADDR, COMM_TPROXY_LCL, createComm } from '../../comm/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'

// The yardstick: what Node's own `net` gives with nothing behind it. It looks for the end of a head and answers the same
// bytes each time; the last digits of the path choose the size.

const body = (bytes: number): Buffer => {
  const content = Buffer.alloc(bytes, 'x')
  const head =
    `HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: ${new Date().toUTCString()}\r\nContent-Type: text/plain\r\n` +
    `Content-Length: ${bytes}\r\nCache-Control: max-age=3600\r\nETag: "655b0000-400"\r\nAge: 5\r\n\r\n`
  return Buffer.concat([Buffer.from(head), content])
}

const answers = new Map([1, 16, 100].map(kib => [`/${kib}k`, body(kib * 1024)]))

/** Goes right behind the status line of 15 characters. */
const closing = Buffer.from('\r\nConnection: close')

const serve = (): net.Server =>
  net.createServer({ noDelay: true }, socket => {
    let rest = ''
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      let text = rest + chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const path = text.slice(4, text.indexOf(' ', 4))
        const closes = text.slice(0, end).includes('Connection: close')
        text = text.slice(end + 4)
        const answer = answers.get(path.split('?')[0] ?? '') ?? answers.get('/1k')
        if (answer === undefined) continue
        if (closes) socket.end(Buffer.concat([answer.subarray(0, 15), closing, answer.subarray(15)]))
        else socket.write(answer)
      }
      rest = text
    })
  })

/** What TPROXY brings needs a socket Node cannot make; it can listen on one that was made for it. */
const listenTransparent = (port: number): void => {
  const { descriptors } = createComm({ clock: systemClock, engine: 'native' })
  const flags = COMM_DOBIND | COMM_REUSEADDR | COMM_TPROXY_LCL
  const fd = descriptors.open({ type: 'tcp', endpoint: endpoint('0.0.0.0', port), flags, note: 'bench' })
  serve().listen({ fd, backlog: 4096 }, () => console.log('ready for TPROXY'))
}

const [, , port, tproxyPort] = process.argv
const server = serve().listen(Number(port), '::', 4096, () => {
  const address = server.address()
  console.log(`ready on ${typeof address === 'object' ? address?.port : port}`)
})
if (tproxyPort !== undefined) listenTransparent(Number(tproxyPort))
