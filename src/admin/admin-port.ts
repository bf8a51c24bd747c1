import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Clock, type Endpoint, endpointText, errnoOf, ms } from '../base/index.ts'
import { Fields } from '../http/index.ts'
import type { Figures, Health } from '../manager/index.ts'
import { type AdminAnswer, type AdminRequest, managerPath } from './answer.ts'

// The admin port: what programs that watch others ask. Three paths, nothing that changes anything, and no page that may
// need a password:
//
//   /metrics[?compat=squid]   every figure, for Prometheus
//   /healthz                  200: this process turns its loop
//   /readyz                   200: clients are served; 503 and why, while it starts, stops, or no worker answers

export interface AdminPort {
  readonly endpoint: Endpoint
  close(): Promise<void>
}

export type AdminPortOpened = { readonly ok: true; readonly port: AdminPort } | { readonly ok: false; readonly reason: string }

export interface AdminPortOptions {
  readonly clock: Clock
  readonly endpoint: Endpoint
  /** The pages `figures` and `health`, of whoever has them. */
  readonly answer: (request: AdminRequest) => Promise<AdminAnswer>
  /** A fault of ours. */
  readonly failed: (error: unknown, where: string) => void
}

const connectionsMax = 64
const headersMsMax = 10_000
/** A worker that does not answer must not keep a scraper. */
const answerMsMax = ms(5_000)

export const openAdminPort = (options: AdminPortOptions): Promise<AdminPortOpened> =>
  new Promise(resolve => {
    const server = createServer({ headersTimeout: headersMsMax, requestTimeout: headersMsMax, maxHeaderSize: 16 * 1024 }, (request, response) => {
      answer(options, request).then(
        answered => send(response, answered, request.method === 'HEAD'),
        error => {
          options.failed(error, `admin_port ${request.url ?? ''}`)
          send(response, { status: 500, type: plain, text: 'a fault of ours; cache.log has it\n' }, false)
        },
      )
    })
    server.maxConnections = connectionsMax
    server.once('error', error => resolve({ ok: false, reason: `${endpointText(options.endpoint)}: ${errnoOf(error) || error.message}` }))
    server.listen(options.endpoint.port, options.endpoint.address, () => {
      server.unref()
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : options.endpoint.port
      resolve({
        ok: true,
        port: {
          endpoint: { ...options.endpoint, port },
          close: () =>
            new Promise(closed => {
              server.close(() => closed())
              server.closeAllConnections()
            }),
        },
      })
    })
  })

interface Said {
  readonly status: number
  readonly type: string
  readonly text: string
}

const plain = 'text/plain; charset=utf-8'

const answer = async (options: AdminPortOptions, request: IncomingMessage): Promise<Said> => {
  request.resume()
  const [path = '', query = ''] = (request.url ?? '/').split('?', 2)
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, type: plain, text: 'asked for with GET\n' }
  switch (path) {
    case '/healthz':
      return { status: 200, type: plain, text: 'ok\n' }
    case '/readyz': {
      const health = await valueOf<Health>(options, 'health')
      return health?.ready === true
        ? { status: 200, type: plain, text: 'ready\n' }
        : { status: 503, type: plain, text: `not ready: ${health?.why ?? 'no worker answers'}\n` }
    }
    case '/metrics': {
      const figures = await valueOf<Figures>(options, 'figures')
      if (figures === null) return { status: 503, type: plain, text: 'no worker answers\n' }
      // sums that go back and come again would look like a restart: better no sample than a wrong one
      if (figures.silent.length > 0) return { status: 503, type: plain, text: `${figures.silent.map(number => `kid${number}`).join(', ')} did not answer; cache.log says why\n` }
      // loaded by the first who asks: most never do
      const { metricsOf } = await import('./metrics.ts')
      return { status: 200, ...(await metricsOf(figures, new URLSearchParams(query).get('compat') === 'squid')) }
    }
    default:
      return { status: 404, type: plain, text: 'here are /metrics, /healthz and /readyz\n' }
  }
}

/** What that page says; null: nobody said it in time. */
const valueOf = async <Value>({ clock, answer: ask }: AdminPortOptions, page: string): Promise<Value | null> => {
  const { promise: late, resolve } = Promise.withResolvers<null>()
  const timer = clock.after(answerMsMax, () => resolve(null), { unref: true })
  const asked = ask({ method: 'GET', path: `${managerPath}${page}?format=json`, fields: Fields.from([]), form: '' })
  const answered = await Promise.race([asked, late]).finally(() => timer.cancel())
  return answered?.status === 200 ? (JSON.parse(answered.content.toString('utf8')) as Value) : null // its own page
}

const send = (response: ServerResponse, { status, type, text }: Said, bare: boolean): void => {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text), 'Cache-Control': 'no-store' })
  response.end(bare ? undefined : text)
}
