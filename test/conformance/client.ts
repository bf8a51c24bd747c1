import http from 'node:http'
import type { SuiteFetch, SuiteResponse } from 'http-cache-tests/client/config.mjs'

// The suite's client speaks through a fetch we hand it: plain HTTP/1.1 over kept connections, nothing done behind its
// back (no redirects followed, no content decoded), repeated fields in their order.

export interface Way {
  /** Where the connection goes: the proxy, or the origin when somebody intercepts. */
  readonly host: string
  readonly port: number
  /** The request line carries the whole URL, as a forward proxy wants it. */
  readonly absolute: boolean
}

/** Connections at a time. All tests run at once; more than this would measure the client's own machine. */
const connectionsMax = 64

export const fetchBy = (way: Way): { readonly fetch: SuiteFetch; close(): void } => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connectionsMax })
  const fetch: SuiteFetch = (url, { method = 'GET', headers = [], body = '' } = {}) =>
    new Promise((resolve, reject) => {
      const { host, pathname, search } = new URL(url)
      const lengths = body !== '' || method === 'POST' || method === 'PUT' ? ['Content-Length', `${Buffer.byteLength(body)}`] : []
      const request = http.request({
        agent,
        host: way.host,
        port: way.port,
        method,
        path: way.absolute ? url : pathname + search,
        headers: ['Host', host, ...headers.flat(), ...lengths],
      })
      request.once('error', reject)
      request.once('response', response => {
        answered(response).then(resolve, reject)
      })
      request.end(body)
    })
  return { fetch, close: () => agent.destroy() }
}

/** The content is read before the head is given: a response cut short is a failed fetch, whatever its head says. */
const answered = async (response: http.IncomingMessage): Promise<SuiteResponse> => {
  const headers = new Headers()
  const { rawHeaders } = response
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '')
  let text = ''
  response.setEncoding('utf8')
  for await (const piece of response) text += String(piece)
  return { status: response.statusCode ?? 0, statusText: response.statusMessage ?? '', headers, text: async () => text }
}
