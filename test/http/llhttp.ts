import { createServer, type IncomingMessage, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'

// Node's own HTTP parser as an oracle: a node:http server on loopback, strict, which notes what it reads from each
// connection.

export interface Seen {
  readonly method: string
  readonly target: string
  readonly pairs: readonly string[]
  readonly content: string
  readonly trailers: readonly string[]
}

export interface Oracle {
  /** What Node makes of these bytes followed by FIN. `error`: llhttp's code; '' = none, or the bytes just ended early. */
  read(wire: Buffer): Promise<{ readonly messages: readonly Seen[]; readonly error: string }>
  close(): Promise<void>
}

/** The bytes ended early, or went on behind a message that was the last. */
const notRefusals = new Set(['HPE_INVALID_EOF_STATE', 'HPE_CLOSED_CONNECTION'])

/** A message as far as it has been read; its place is that of its head. */
interface Reading {
  readonly request: IncomingMessage
  readonly parts: Buffer[]
  complete: boolean
}

interface Record {
  readonly readings: Reading[]
  error: string
}

const seen = ({ request, parts }: Reading): Seen => ({
  method: request.method ?? '',
  target: request.url ?? '',
  pairs: request.rawHeaders,
  content: Buffer.concat(parts).toString('latin1'),
  trailers: request.rawTrailers,
})

export const startOracle = async (): Promise<Oracle> => {
  const records = new Map<Socket, Record>()
  const server = createServer({ insecureHTTPParser: false, requireHostHeader: false, maxHeaderSize: 64 * 1024 })
  const begin = (request: IncomingMessage, complete: boolean): Reading => {
    const reading: Reading = { request, parts: [], complete }
    records.get(request.socket)?.readings.push(reading)
    return reading
  }
  server.on('connection', (socket: Socket) => {
    records.set(socket, { readings: [], error: '' })
    socket.on('error', () => {}) // resets are part of the game; what was read before them counts
  })
  const answer = (request: IncomingMessage, response: { end(): void }): void => {
    const reading = begin(request, false)
    request.on('data', (chunk: Buffer) => reading.parts.push(chunk))
    request.on('end', () => {
      reading.complete = true
      response.end()
    })
    request.on('error', () => {}) // aborted: the message was never complete
  }
  for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, answer)
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    begin(request, true)
    socket.end()
  })
  server.on('clientError', (error: Error & { code?: string }, socket: Socket) => {
    const record = records.get(socket)
    if (record !== undefined && !notRefusals.has(error.code ?? '')) record.error = error.code ?? error.message
    socket.destroy()
  })
  await listening(server)
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    read: wire =>
      new Promise((resolve, reject) => {
        server.once('connection', (socket: Socket) => {
          socket.once('close', () => {
            const record = records.get(socket) ?? { readings: [], error: 'lost' }
            records.delete(socket)
            resolve({ messages: record.readings.filter(r => r.complete).map(seen), error: record.error })
          })
        })
        const client = connect(port, '127.0.0.1', () => client.end(wire))
        client.on('error', error => {
          if (client.connecting || client.localPort === undefined) reject(error) // else a reset, see above
        })
        client.resume()
      }),
    close: () => new Promise(resolve => server.close(() => resolve())),
  }
}

const listening = (server: Server): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve())
  })
