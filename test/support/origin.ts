import http from 'node:http'
import net from 'node:net'
import { once } from 'node:events'

// Origins for tests: one that speaks proper HTTP and counts, and one that says the bytes it is told.

export interface Origin {
  readonly port: number
  readonly requests: readonly { readonly method: string; readonly url: string; readonly rawHeaders: readonly string[]; body: string }[]
  readonly connections: number
  close(): Promise<void>
}

export const httpOrigin = async (answer: http.RequestListener, host = '127.0.0.1'): Promise<Origin> => {
  const requests: { method: string; url: string; rawHeaders: readonly string[]; body: string }[] = []
  let connections = 0
  const server = http.createServer((request, response) => {
    const seen = { method: request.method ?? '', url: request.url ?? '', rawHeaders: request.rawHeaders, body: '' }
    requests.push(seen)
    request.on('data', (chunk: Buffer) => {
      if (seen.body.length < 1 << 20) seen.body += chunk.toString('latin1')
    })
    request.on('error', () => {})
    response.on('error', () => {})
    answer(request, response)
  })
  server.on('connection', () => connections++)
  server.listen(0, host)
  await once(server, 'listening')
  return {
    port: portOf(server),
    requests,
    get connections() {
      return connections
    },
    close: () => closed(server, () => server.closeAllConnections()),
  }
}

/** Each accepted connection is given to the script. */
export const rawOrigin = async (script: (socket: net.Socket, nth: number) => void, host = '127.0.0.1'): Promise<Omit<Origin, 'requests'>> => {
  let connections = 0
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    script(socket, connections++)
  })
  server.listen(0, host)
  await once(server, 'listening')
  return {
    port: portOf(server),
    get connections() {
      return connections
    },
    close: () => closed(server, () => sockets.forEach(socket => socket.destroy())),
  }
}

/** Resolves with everything read once it contains `words`. */
export const heard = (socket: net.Socket, words = '\r\n\r\n'): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ''
    const look = (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!text.includes(words)) return
      socket.off('data', look)
      resolve(text)
    }
    socket.on('data', look)
    socket.once('close', () => reject(new Error(`closed before ${JSON.stringify(words)}`)))
  })

const portOf = (server: net.Server): number => {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const closed = async (server: net.Server, drop: () => void): Promise<void> => {
  const gone = once(server, 'close')
  server.close()
  drop()
  await gone
}
