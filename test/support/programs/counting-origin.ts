import { createHash } from 'node:crypto'
import { createServer } from 'node:http'

// An origin that counts what is sent to it, and tells of each request in one JSON line: node counting-origin.ts PORT
//
//   anything with content     read as fast as it comes; with ?rate=BYTES no more than so many per second
//   GET /stream?bytes=N       so many bytes, as fast as they are taken, never to be stored
//   GET /gated?bytes=N        the same, but the second half only when it reads `go` on its standard input

const port = Number(process.argv[2])
const gate: (() => void)[] = []
process.stdin.setEncoding('latin1').on('data', (text: string) => {
  if (text.includes('go')) for (const open of gate.splice(0)) open()
})

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://origin')
  const rate = Number(url.searchParams.get('rate') ?? 0)
  const hash = createHash('sha256')
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    hash.update(chunk)
    if (rate === 0) return
    request.pause()
    setTimeout(() => request.resume(), (chunk.length * 1000) / rate)
  })
  request.on('error', () => {})
  request.on('close', () => {
    if (!request.complete) tell('broken')
  })
  request.on('end', () => {
    tell('complete')
    response.setHeader('Cache-Control', 'no-store')
    const wanted = Number(url.searchParams.get('bytes') ?? 0)
    response.on('close', () => tell(response.writableFinished ? 'taken' : 'left'))
    if (wanted === 0) response.end(`${bytes} bytes, sha256 ${hash.digest('hex')}\n`)
    else if (url.pathname !== '/gated') stream(wanted, () => response.end())
    else stream(wanted / 2, () => gate.push(() => stream(wanted / 2, () => response.end())))
  })
  const chunk = Buffer.alloc(64 * 1024, 'glass ')
  const stream = (left: number, then: () => void): void => {
    const more = (): void => {
      while (left > 0) {
        const part = left < chunk.length ? chunk.subarray(0, left) : chunk
        left -= part.length
        if (!response.write(part)) {
          response.once('drain', more)
          return
        }
      }
      then()
    }
    more()
  }
  const tell = (what: string): void => {
    const peer = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '')
    console.log(JSON.stringify({ what, method: request.method, uri: request.url, peer, bytes, written: request.socket.bytesWritten }))
  }
})
server.requestTimeout = 0
server.listen(port, '::', () => console.log('listening'))
