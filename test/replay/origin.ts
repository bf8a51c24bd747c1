import http from 'node:http'
import { once } from 'node:events'
import { beganAt, contentOf, epochAt, illness, staleWindow, type Thing, thing, type World } from './world.ts'

// The origin of that world: says of each object what it is at this second, and forgets nothing it was told to change.

export interface ReplayOrigin {
  readonly port: number
  /** Unsafe requests it has answered, by object. */
  readonly changes: Uint32Array
  readonly requests: number
  close(): Promise<void>
}

/** Seconds since the beginning of the world. */
export type Now = () => number

export const replayOrigin = async (world: World, epochMs: number, now: Now): Promise<ReplayOrigin> => {
  const changes = new Uint32Array(world.objects)
  let requests = 0
  const server = http.createServer((request, response) => {
    requests++
    const second = Math.floor(now())
    const of = thing(world, Number(request.url?.slice(request.url.lastIndexOf('/') + 1)))
    request.resume()
    response.on('error', () => {})
    response.sendDate = false
    response.setHeader('Date', httpDate(epochMs, second))
    if (request.method === 'POST') {
      changes[of.id] = (changes[of.id] ?? 0) + 1
      response.writeHead(204).end()
      return
    }
    answer(world, epochMs, second, of, changes[of.id] ?? 0, request, response)
  })
  server.keepAliveTimeout = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    changes,
    get requests() {
      return requests
    },
    async close() {
      const gone = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await gone
    },
  }
}

const answer = (
  world: World,
  epochMs: number,
  second: number,
  of: Thing,
  changed: number,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void => {
  const ill = illness(world, of, second)
  if (ill === 'unavailable') {
    response.writeHead(503, { 'Content-Length': 0 }).end()
    return
  }
  const version = `${epochAt(of, second)}.${changed}`
  const variant = variantOf(of, request.headers['accept-encoding'], request.headers['accept-language'])
  const etag = `"${of.id}-${version}-${variant}"`
  response.setHeader('X-Version', version)
  response.setHeader('X-Variant', variant)
  for (const [name, value] of rules(world, epochMs, second, of)) response.setHeader(name, value)
  if (of.vary !== 'nothing') response.setHeader('Vary', varyField[of.vary])
  if (of.vary === 'coding' && variant !== 'identity') response.setHeader('Content-Encoding', variant)
  if (of.etag) response.setHeader('ETag', etag)
  if (of.etag && request.headers['if-none-match'] === etag) {
    response.writeHead(304).end()
    return
  }
  const content = contentOf(of, variant, version)
  if (!of.chunked || request.method === 'HEAD') response.setHeader('Content-Length', content.length)
  response.writeHead(of.kind === 'missing' ? 404 : of.kind === 'moved' ? 301 : 200)
  if (request.method === 'HEAD') response.end()
  else if (ill === 'breaks-off' && content.length > 1000) response.write(content.subarray(0, 500), () => response.destroy())
  else response.end(content)
}

export const variantOf = (of: Thing, coding: string | readonly string[] | undefined, language: string | undefined): string => {
  const accepted = String(coding ?? '')
  if (of.vary === 'coding') return accepted.includes('br') ? 'br' : accepted.includes('gzip') ? 'gzip' : 'identity'
  return of.vary === 'language' ? (language ?? 'en') : ''
}

const varyField = { coding: 'Accept-Encoding', language: 'Accept-Language', everything: '*' } as const

const rules = (world: World, epochMs: number, second: number, of: Thing): readonly (readonly [string, string])[] => {
  const modified = ['Last-Modified', httpDate(epochMs, beganAt(of, epochAt(of, second)))] as const
  const control = (value: string) => [['Cache-Control', value] as const, modified]
  switch (of.kind) {
    case 'static':
    case 'page':
      return control(`public, max-age=${of.lifetime}`)
    case 'strict':
      return control(`max-age=${of.lifetime}, must-revalidate`)
    case 'while-revalidate':
      return control(`max-age=${of.lifetime}, stale-while-revalidate=${staleWindow(world, of)}`)
    case 'expires':
    case 'missing':
    case 'moved':
      return [['Expires', httpDate(epochMs, second + of.lifetime)], modified]
    case 'heuristic':
      return [modified]
    case 'validated':
      return control('no-cache')
    case 'private':
      return control('private, max-age=600')
    case 'no-store':
      return control('no-store')
  }
}

const httpDate = (epochMs: number, second: number): string => new Date(epochMs + 1000 * second).toUTCString()
