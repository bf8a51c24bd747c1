import { createComm } from '../../comm/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'
import { createConnectChainer, createOriginPool } from '../../src/chainer/index.ts'
import { rawOrigin } from '../support/origin.ts'
import { anySession, get, Heard } from './kit.ts'

// Runs in a network namespace that routes foreign addresses to itself. Asks an origin for the address it sees, forged
// as two clients, not forged, and as an address the engine cannot take; what came of it goes to standard output.

const engine = process.argv[2] === 'native' ? 'native' : 'node'
const comm = createComm({ clock: systemClock, engine })
const pool = createOriginPool({ comm, clock: systemClock })
const chainer = createConnectChainer({ comm, clock: systemClock, pool })
const origins = await Promise.all(['127.0.0.1', '::1'].map(host =>
  rawOrigin(socket => {
    socket.on('data', () => {
      const from = socket.remoteAddress ?? ''
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${from.length}\r\n\r\n${from}`)
    })
  }, host),
))

const ask = async (client: string | null, six = false): Promise<string> => {
  const handler = new Heard()
  const target = endpoint(six ? '::1' : '127.0.0.1', origins[six ? 1 : 0]?.port ?? 0)
  const source = client === null ? null : endpoint(client, 0)
  const route = { target, source, forged: client !== null, mark: 7, tos: 8, hierarchy: 'ORIGINAL_DST' } as const
  chainer.fetch(anySession(), [route], get(), handler)
  return handler.whole().then(got => got.text, error => `${error.code} ${error.errno}`)
}

const seen = []
for (const [client, six] of [
  ['192.0.2.1', false],
  ['192.0.2.2', false],
  [null, false],
  ['192.0.2.1', false],
  ['2001:db8:5::1', true],
  ['2001:db8:5::2', true],
] as const) {
  seen.push(await ask(client, six))
}
console.log(JSON.stringify({ engine: comm.engine, seen, connections: origins.map(origin => origin.connections) }))
pool.close()
comm.close()
for (const origin of origins) await origin.close()
