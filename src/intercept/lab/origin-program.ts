import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

// The origin of the lab, run as a process of its own on the origin's machine: a small web server that shows whom it
// sees and says so on standard output, one JSON line per request. Started as: node origin-program.ts 80 8080

/** What the origin tells about one request. */
export interface Sight {
  /** The row of the lab's table that asked, '' for requests by hand. */
  readonly row: string
  readonly method: string
  readonly host: string
  readonly path: string
  /** The other end as the origin sees it: the client when forged, else the gateway. */
  readonly peer: string
  readonly peerPort: number
  readonly status: number
}

/** Paths and what they are good for; `/` lists them. */
export const originPages: Readonly<Record<string, string>> = {
  '/fresh': 'fresh for a minute: the second time it comes from the cache',
  '/etag': 'must be validated each time: a 304 between proxy and origin, a 200 for you',
  '/private': 'no-store: always from here',
  '/slow': 'waits a second before it answers',
  '/big': 'a megabyte, fresh for a minute',
  '/echo': 'what you send comes back (POST)',
}

const bigBytes = 1024 * 1024
const slowMs = 1000
const echoBytesMax = 16 * 1024 * 1024

let served = 0

const answer = (request: IncomingMessage, response: ServerResponse): void => {
  served++
  const path = (request.url ?? '/').split('?')[0] ?? '/'
  const peer = plain(request.socket.remoteAddress)
  response.setHeader('X-Seen-Peer', peer)
  response.setHeader('X-Served', String(served))
  response.once('finish', () => tell(request, path, peer, response.statusCode))
  page(path.replace(/^\/(fresh|etag|private|slow|big|echo)\b.*$/, '/$1'), request, response, `${peer}, served as number ${served}\n`)
}

/** Anything below a page's name is that page too, so that rows need not share a stored response: /fresh/tproxy. */
const page = (path: string, request: IncomingMessage, response: ServerResponse, words: string): void => {
  response.setHeader('Content-Type', 'text/plain')
  switch (path) {
    case '/fresh':
      response.setHeader('Cache-Control', 'max-age=60')
      response.end(`The origin sees you as ${words}`)
      return
    case '/etag':
      response.setHeader('Cache-Control', 'no-cache')
      response.setHeader('ETag', '"glass"')
      if (request.headers['if-none-match'] === '"glass"') response.writeHead(304).end()
      else response.end(`The origin sees you as ${words}`)
      return
    case '/slow':
      response.setHeader('Cache-Control', 'max-age=60')
      setTimeout(() => response.end(`Slowly, the origin sees you as ${words}`), slowMs)
      return
    case '/big':
      response.setHeader('Cache-Control', 'max-age=60')
      response.end(Buffer.alloc(bigBytes, 'glass '))
      return
    case '/echo':
      echo(request, response)
      return
    case '/':
    case '/private':
      response.setHeader('Cache-Control', 'no-store')
      response.end(`The origin sees you as ${words}${path === '/' ? list() : ''}`)
      return
    default:
      response.writeHead(404, { 'Cache-Control': 'no-store' }).end('There is nothing here.\n')
  }
}

const echo = (request: IncomingMessage, response: ServerResponse): void => {
  const chunks: Buffer[] = []
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= echoBytesMax) chunks.push(chunk)
  })
  request.on('end', () => response.writeHead(bytes > echoBytesMax ? 413 : 200).end(Buffer.concat(chunks)))
}

const list = (): string =>
  `\n${Object.entries(originPages)
    .map(([path, doc]) => `  ${path.padEnd(10)} ${doc}`)
    .join('\n')}\n`

const tell = (request: IncomingMessage, path: string, peer: string, status: number): void => {
  const sight: Sight = {
    row: String(request.headers['x-lab-row'] ?? ''),
    method: request.method ?? '',
    host: request.headers.host ?? '',
    path,
    peer,
    peerPort: request.socket.remotePort ?? 0,
    status,
  }
  process.stdout.write(`${JSON.stringify(sight)}\n`)
}

const plain = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/, '')

const listen = (port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = createServer(answer)
    server.once('error', reject)
    server.listen(port, '::', () => {
      process.stdout.write(`listening on ${(server.address() as AddressInfo).port}\n`) // a TCP server's address
      resolve()
    })
  })

if (import.meta.main) {
  for (const port of process.argv.slice(2)) await listen(Number(port))
  process.stdout.write('origin ready\n')
}
