import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

// Servers of an example, all in one process: each answers whatever it is asked with its own place and whom it sees, and
// says so as a JSON line. Started as: node example-server.ts tcp:203.0.113.10:25 udp:203.0.113.10:53 ...
// `close PLACE` and `open PLACE` on standard input take one away and bring it back.

/** What a server tells about one question. */
export interface Heard {
  readonly place: string
  readonly peer: string
  readonly text: string
}

const heardMax = 4096
const servers = new Map<string, () => Promise<void>>()

const hear = (place: string, peer: string | undefined, text: string): string => {
  const heard: Heard = { place, peer: (peer ?? '').replace('::ffff:', ''), text: /row-\d+/.exec(text)?.[0] ?? text.slice(0, 80) }
  process.stdout.write(`${JSON.stringify(heard)}\n`)
  return `${place} sees ${heard.peer}\n`
}

const openTcp = (place: string, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = createServer(socket => {
      let text = ''
      socket.setEncoding('latin1').on('error', () => {})
      socket.on('data', part => {
        text = (text + part).slice(0, heardMax)
        if (!text.endsWith('\n')) return
        const answer = hear(place, socket.remoteAddress, text)
        socket.end(text.startsWith('GET ') ? `HTTP/1.1 200 OK\r\nContent-Length: ${answer.length}\r\nConnection: close\r\n\r\n${answer}` : answer)
      })
    })
    servers.set(place, () => new Promise(closed => server.close(() => closed())))
    server.once('error', reject).listen(port, host, resolve)
  })

const openUdp = (place: string, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    socket.on('message', (text, from) => socket.send(hear(place, from.address, text.toString('latin1')), from.port, from.address))
    servers.set(place, () => new Promise(closed => socket.close(closed)))
    socket.once('error', reject).bind(port, host, resolve)
  })

const open = async (place: string): Promise<void> => {
  const [, transport = '', host = '', port = ''] = /^(\w+):(.*):(\d+)$/.exec(place) ?? []
  await (transport === 'udp' ? openUdp : openTcp)(place, host, Number(port))
}

for (const place of process.argv.slice(2)) await open(place)
console.log('servers ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [word, place = ''] = line.split(' ')
  if (word === 'close') await servers.get(place)?.()
  else if (word === 'open') await open(place)
  console.log(`done ${line}`)
}
