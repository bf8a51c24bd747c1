import type http from 'node:http'
import type net from 'node:net'
import { afterEach, beforeEach, expect } from 'vitest'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { CountHttp } from '../../src/proxy/http/counters.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { heard, httpOrigin, type Origin, rawOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { Wire, type WireResponse } from '../support/wire.ts'
import { faultsOf } from './record-rules.ts'

// What scenarios share: everything a test opens is closed after it, in the order that shows leaks. When the clients
// have gone no session may be left, no step may have thrown, and the proxy must have said nothing of a fault of its own.

const clients: Wire[] = []
const origins: { close(): Promise<void> }[] = []
const proxies: RunningProxy[] = []
let bugsBefore = 0

beforeEach(() => {
  bugsBefore = CountHttp.bugs
})

afterEach(async () => {
  for (const wire of clients.splice(0)) wire.close()
  const running = proxies.splice(0)
  try {
    for (const proxy of running) {
      await until(() => proxy.machine.sessions === 0, 'the end of the sessions of clients that have gone')
      expect(proxy.said.filter(text => text.includes('fault of ours'))).toEqual([])
      expect(faultsOf(proxy.records)).toEqual([])
    }
    expect(CountHttp.bugs).toBe(bugsBefore)
  } finally {
    for (const proxy of running) await proxy.stop()
    for (const origin of origins.splice(0)) await origin.close()
  }
})

/** A barrier for what only the state of the proxy shows. Gives up after ten seconds. */
export const until = async (holds: () => boolean, what: string): Promise<void> => {
  const giveUpAt = systemClock.mono() + 10_000
  while (!holds()) {
    if (systemClock.mono() > giveUpAt) throw new Error(`waited in vain for ${what}`)
    await sleep(systemClock, ms(2))
  }
}

/** Waits until a number that grows has grown beyond `from` and does no more for a tenth of a second; answers it. */
export const stoodStill = async (read: () => number, what: string, from = 0): Promise<number> => {
  let before = from
  let still = 0
  await until(() => {
    const now = read()
    still = now > from && now === before ? still + 1 : 0
    before = now
    return still === 50
  }, `${what} to stand still`)
  return before
}

export interface Stage extends RunningProxy {
  /** Stands still until the test moves it. */
  readonly clock: FakeClock
  /** `TCP_MISS/200` of each request of a client so far, waiting for `count` of them. */
  results(count: number): Promise<readonly string[]>
  /** A client on port `web`. */
  client(port?: string): Promise<Wire>
  /** One exchange on a connection of its own. */
  ask(request: string, method?: string): Promise<WireResponse>
}

/** A forward proxy that lets everybody in, on a clock that stands still. */
export const stage = (conf = '', engine: 'native' | 'node' | 'auto' = 'auto', fatal?: (message: string) => void): Promise<Stage> =>
  stageOf(`http_port 127.0.0.1:0 name=web\nhttp_access allow all\n${conf}`, engine, fatal)

export const stageOf = async (
  conf: string,
  engine: 'native' | 'node' | 'auto' = 'auto',
  fatal?: (message: string) => void,
): Promise<Stage> => {
  const clock = new FakeClock()
  const proxy = await startProxy(conf, engine, clock, null, fatal)
  proxies.push(proxy)
  const client = async (port = 'web') => {
    const wire = await Wire.connect(proxy.port(port))
    clients.push(wire)
    return wire
  }
  return {
    ...proxy,
    clock,
    client,
    async results(count) {
      const asked = () => proxy.records.filter(r => r.initiator === 'client')
      await until(() => asked().length >= count, `${count} records, there are ${asked().length}`)
      return asked().map(r => `${r.result}/${r.status}`)
    },
    async ask(request, method = 'GET') {
      const wire = await client()
      const response = await wire.send(request).response(method)
      wire.close()
      return response
    },
  }
}

export interface Reply {
  readonly status?: number
  /** Lines as they are sent; Date is added when there is none, Content-Length follows from the content. */
  readonly fields?: readonly string[]
  readonly content?: string
}

export interface Site extends Origin {
  /** What the nth request (from 0) had in that field; undefined if nothing. */
  field(nth: number, lowerName: string): string | undefined
}

/** A proper origin whose nth answer is made by `answer`. */
export const site = async (answer: (request: http.IncomingMessage, nth: number) => Reply): Promise<Site> => {
  let count = 0
  const made = await httpOrigin((request, response) => {
    const { status = 200, fields = [], content = '' } = answer(request, count++)
    const pairs = fields.map(line => line.split(/: ?(.*)/s, 2))
    response.sendDate = false
    const headless = status === 204 || status === 304
    const length = headless || has(fields, 'content-length') ? [] : [['Content-Length', String(Buffer.byteLength(content))]]
    response.writeHead(status, [...pairs, ...length].flat() as string[])
    request.resume().on('end', () => response.end(request.method === 'HEAD' ? '' : content))
  })
  origins.push(made)
  return {
    port: made.port,
    requests: made.requests,
    get connections() {
      return made.connections
    },
    close: made.close,
    field(nth, lowerName) {
      const raw = made.requests[nth]?.rawHeaders ?? []
      for (let i = 0; i < raw.length; i += 2) if (raw[i]?.toLowerCase() === lowerName) return raw[i + 1]
      return undefined
    },
  }
}

const has = (fields: readonly string[], name: string): boolean => fields.some(line => line.toLowerCase().startsWith(`${name}:`))

/** An origin of node:http, for what `site` cannot say. */
export const origin = async (answer: http.RequestListener): Promise<Origin> => {
  const made = await httpOrigin(answer)
  origins.push(made)
  return made
}

/** An origin that says the bytes it is told; each connection is given to the script. */
export const raw = async (script: (socket: net.Socket, nth: number) => void) => {
  const made = await rawOrigin(script)
  origins.push(made)
  return made
}

/** Answers the nth request with these bytes and then closes, whatever connection it comes on. */
export const bytesOrigin = async (...answers: readonly string[]) => {
  const heads: string[] = []
  const made = await raw(async socket => {
    const head = await heard(socket).catch(() => null)
    if (head === null) return
    const answer = answers[Math.min(heads.length, answers.length - 1)] ?? ''
    heads.push(head)
    socket.end(answer, 'latin1')
  })
  return { port: made.port, heads, close: made.close }
}

export const get = (port: number, path = '/', ...lines: readonly string[]): string => request('GET', port, path, lines)

export const request = (method: string, port: number, path = '/', lines: readonly string[] = [], content = ''): string =>
  `${method} http://127.0.0.1:${port}${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${lines.map(l => `${l}\r\n`).join('')}\r\n${content}`

/** The proxy has read so many bytes of its clients. */
export const taken = (proxy: RunningProxy, bytes: number): Promise<void> => {
  const read = () => clientConnections(proxy).reduce((sum, entry) => sum + entry.bytesRead, 0)
  return until(() => read() >= bytes, `${bytes} bytes of clients, ${read()} are read`)
}

/** The lines of comm's table that are connections of clients. */
export const clientConnections = (proxy: RunningProxy) => {
  const ours = new Set(proxy.machine.ports.map(port => port.endpoint.port))
  return proxy.machine.comm.fdTable().filter(entry => entry.kind === 'connection' && ours.has(entry.local?.port ?? 0))
}

/** ... and those to origins. */
export const originConnections = (proxy: RunningProxy) =>
  proxy.machine.comm.fdTable().filter(entry => entry.kind === 'connection' && entry.note.startsWith('origin'))

/** So many bytes of origins have come, whoever wanted them. */
export const fetched = (proxy: RunningProxy, bytes: number): Promise<void> => {
  const read = () => originConnections(proxy).reduce((sum, entry) => sum + entry.bytesRead, 0)
  return until(() => read() >= bytes, `${bytes} bytes of origins, ${read()} are read`)
}

/** A date as HTTP writes it, `seconds` after the standing clock's beginning. */
export const dateAt = (clock: FakeClock, seconds = 0): string => new Date(clock.wall() + seconds * 1000).toUTCString()

export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

/** Something a test lets happen when it wants. */
export const gate = (): Gate => {
  let open = (): void => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return { opened, open: () => open() }
}
