import http from 'node:http'
import type { Answer } from './oracle.ts'
import type { Asked } from './trace.ts'

// The clients of a replay, over sockets and node:http: another reader of HTTP than the proxy's own.

export interface Reply extends Answer {
  /** Answered without the origin, says Cache-Status (RFC 9211). */
  readonly hit: boolean
}

export class Clients {
  readonly #agent: http.Agent
  readonly #proxyPort: number
  readonly #originPort: number

  constructor(proxyPort: number, originPort: number, connections: number) {
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: connections, scheduling: 'fifo' })
    this.#proxyPort = proxyPort
    this.#originPort = originPort
  }

  /** Rejects when there was no answer at all. */
  ask(path: string, asked: Asked, condition: string | undefined): Promise<Reply> {
    const headers: http.OutgoingHttpHeaders = {
      Host: `127.0.0.1:${this.#originPort}`,
      'Accept-Encoding': asked.coding,
      'Accept-Language': asked.language,
    }
    if (asked.reload) headers['Cache-Control'] = 'no-cache'
    if (condition !== undefined) headers['If-None-Match'] = condition
    if (asked.method === 'POST') headers['Content-Length'] = 0
    const options = { agent: this.#agent, port: this.#proxyPort, method: asked.method, path: `http://127.0.0.1:${this.#originPort}${path}`, headers }
    return new Promise((resolve, reject) => {
      const request = http.request(options, response => {
        const pieces: Buffer[] = []
        response.on('data', (piece: Buffer) => pieces.push(piece))
        response.on('error', () => {}) // `complete` says it
        response.on('close', () => resolve(replyOf(response, pieces)))
      })
      request.on('error', reject)
      request.end()
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

const replyOf = (response: http.IncomingMessage, pieces: readonly Buffer[]): Reply => {
  const { headers } = response
  const one = (name: string): string | undefined => {
    const value = headers[name]
    return Array.isArray(value) ? value.join() : value
  }
  const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text))
  return {
    status: response.statusCode ?? 0,
    version: one('x-version'),
    variant: one('x-variant'),
    etag: one('etag'),
    contentLength: number(one('content-length')),
    age: number(one('age')),
    content: pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces),
    complete: response.complete,
    hit: /;\s*hit/.test(one('cache-status') ?? ''),
  }
}
