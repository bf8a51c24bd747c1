// Many plug sessions, one after the other and at once: none is lost to a reload, none to a limit that has room, and
// nothing is left of those who were there. Servers that misbehave cost their own session, in the way TCP has for it.

import { once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { rawOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const opened: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close()
})

const server = async (script: (socket: net.Socket) => void) => {
  const made = await rawOrigin(script)
  opened.push(made)
  return made
}

const proxyTo = async (port: number, options = ''): Promise<RunningProxy> => {
  const proxy = await startProxy(confTo(port, options))
  opened.push({ close: () => proxy.stop() })
  return proxy
}

const confTo = (port: number, options = ''): string =>
  `listener 127.0.0.1:0 service=mail name=in\nservice mail plug router=fixed ${options}\nrouter fixed directed 127.0.0.1:${port}\n`

/** One exchange: what came back, or the code of the error. */
const exchange = (port: number, text: string): Promise<string> =>
  new Promise(resolve => {
    let got = ''
    const socket = net.connect({ port, host: '127.0.0.1' })
    socket.setEncoding('latin1').on('data', piece => {
      got += piece
    })
    socket.on('error', error => resolve('code' in error ? String(error.code) : error.message))
    socket.on('close', () => resolve(got))
    socket.end(text)
  })

/** `count` exchanges, so many at a time; how many gave something else than what was sent. */
const exchanges = async (port: number, count: number, atOnce: number): Promise<readonly string[]> => {
  const wrong: string[] = []
  let next = 0
  const one = async (): Promise<void> => {
    while (next < count) {
      const text = `session ${next++}`
      const got = await exchange(port, text)
      if (got !== text) wrong.push(got)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return wrong
}

const settled = async (proxy: RunningProxy): Promise<void> => {
  await proxy.quiet()
  for (let i = 0; i < 500 && proxy.machine.comm.fdTable().some(entry => entry.kind !== 'listener'); i++) await sleep(systemClock, ms(10))
}

const echo = () => server(socket => void socket.pipe(socket))

describe('plug sessions', () => {
  it('10,000 of them leave no slot taken, no descriptor open and no entry behind', async () => {
    const { port } = await echo()
    const proxy = await proxyTo(port, 'max_sessions=64 max_sessions_per_client=64')
    expect(await exchanges(proxy.port('in'), 10_000, 32)).toEqual([])
    await settled(proxy)
    expect([proxy.machine.sessions, proxy.machine.comm.fdTable().map(entry => entry.kind)]).toEqual([0, ['listener']])
    expect(proxy.records).toHaveLength(10_000)
    expect(new Set(proxy.records.map(record => record.sessionId)).size).toBe(10_000)
    expect(proxy.said.filter(text => text.includes('turned away'))).toEqual([])
  }, 60_000)

  it('none of 1,000 is lost while the conf is loaded again and again', async () => {
    const [one, two] = [await echo(), await echo()]
    const proxy = await proxyTo(one.port)
    let [over, reloads] = [false, 0]
    const loading = (async () => {
      while (!over) {
        proxy.reload(confTo(reloads++ % 2 === 0 ? two.port : one.port, 'max_sessions=500'))
        await sleep(systemClock, ms(20))
      }
    })()
    const wrong = await exchanges(proxy.port('in'), 1000, 32)
    over = true
    await loading
    expect(wrong).toEqual([])
    expect(reloads).toBeGreaterThan(5)
    await settled(proxy)
    expect(proxy.machine.sessions).toBe(0)
    expect(new Set(proxy.records.map(record => record.sessionId)).size).toBe(1000)
  }, 60_000)

  it('more than max_sessions at once: those beyond are turned away, the others served, and afterwards there is room', async () => {
    const { port } = await echo()
    const proxy = await proxyTo(port, 'max_sessions=100')
    const held = await Promise.all(
      Array.from({ length: 150 }, async () => {
        const socket = net.connect({ port: proxy.port('in'), host: '127.0.0.1' }).on('error', () => {})
        const answered = once(socket, 'data').then(() => 'served', () => 'refused')
        const closed = new Promise<string>(resolve => socket.on('close', () => resolve('refused')))
        socket.write('x')
        return { socket, end: await Promise.race([answered, closed]) }
      }),
    )
    expect(held.filter(({ end }) => end === 'served')).toHaveLength(100)
    for (const { socket } of held) socket.destroy()
    await proxy.quiet()
    expect(await exchanges(proxy.port('in'), 100, 100)).toEqual([])
  }, 30_000)
})

describe('a server that', () => {
  it('resets: the client is reset', async () => {
    const { port } = await server(socket => void socket.once('data', () => socket.resetAndDestroy()))
    const proxy = await proxyTo(port)
    expect(await exchange(proxy.port('in'), 'x')).toBe('ECONNRESET')
    await settled(proxy)
    expect(proxy.records[0]).toMatchObject({ errorDetail: 'reset', status: 200 })
  })

  it('ends first still gets everything the client says afterwards', async () => {
    let heard = ''
    const { port } = await server(socket => {
      socket.end('bye')
      socket.on('data', piece => {
        heard += String(piece)
      })
    })
    const proxy = await proxyTo(port)
    const client = net.connect({ port: proxy.port('in'), host: '127.0.0.1', allowHalfOpen: true })
    client.resume()
    await once(client, 'end')
    client.end('y'.repeat(100_000))
    await settled(proxy)
    expect([heard.length, proxy.records[0]?.errorDetail]).toEqual([100_000, 'done'])
  })

  it('goes away in the middle of much: what it had sent arrives, and the connection ends', async () => {
    const { port } = await server(socket => void socket.end(Buffer.alloc(2_000_000, 'z')))
    const proxy = await proxyTo(port)
    expect((await exchange(proxy.port('in'), '')).length).toBe(2_000_000)
    await settled(proxy)
  })

  it('is not there, a thousand times: all are told, nothing is left', async () => {
    const nobody = await rawOrigin(() => {})
    await nobody.close()
    const proxy = await proxyTo(nobody.port)
    const answers = new Set(await exchanges(proxy.port('in'), 1000, 32))
    expect([...answers].filter(answer => answer !== 'ECONNRESET' && answer !== 'EPIPE')).toEqual([])
    await settled(proxy)
    expect(proxy.machine.comm.fdTable().map(entry => entry.kind)).toEqual(['listener'])
  }, 30_000)
})
