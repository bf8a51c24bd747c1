// A gigabyte through the plug, each way and both at once, on a running machine: what comes out is what went in, to the
// byte. Each direction has content of its own, so that a byte that turned up on the wrong side would show.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { native } from '../../native/index.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { pattern } from '../support/comm-kit.ts'

const total = 1024 * 1024 * 1024
const pieceBytes = 4 * 1024 * 1024

/** Numbered pieces of a pattern; answers the digest of all of them. */
const pour = async (socket: net.Socket, seed: number): Promise<string> => {
  const hash = createHash('sha1')
  const base = pattern(pieceBytes)
  for (let i = 0; i < total / pieceBytes; i++) {
    const piece = Buffer.from(base)
    piece.writeUInt32LE(seed + i, (i * 4099) % (pieceBytes - 4))
    hash.update(piece)
    if (!socket.write(piece)) await once(socket, 'drain')
  }
  socket.end()
  return hash.digest('hex')
}

const drink = async (socket: net.Socket): Promise<{ readonly bytes: number; readonly digest: string }> => {
  const hash = createHash('sha1')
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    hash.update(chunk)
  })
  await once(socket, 'end')
  return { bytes, digest: hash.digest('hex') }
}

describe.skipIf(!native.present)('a gigabyte through the plug', () => {
  let proxy: RunningProxy
  let server: net.Server
  let arrived: Promise<net.Socket>

  beforeAll(async () => {
    server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    arrived = once(server, 'connection').then(([socket]) => socket as net.Socket)
    const { port } = server.address() as net.AddressInfo
    proxy = await startProxy(
      `listener 127.0.0.1:0 service=mail name=in\nservice mail plug router=fixed\nrouter fixed directed 127.0.0.1:${port}\n`,
    )
  })
  afterAll(async () => {
    await proxy.stop()
    server.close()
  })

  it('arrives whole at both ends at once', async () => {
    const client = net.connect({ port: proxy.port('in'), host: '127.0.0.1', allowHalfOpen: true })
    const accepted = await arrived
    const [up, down, atServer, atClient] = await Promise.all([pour(client, 1), pour(accepted, 1_000_000), drink(accepted), drink(client)])
    expect(atServer).toEqual({ bytes: total, digest: up })
    expect(atClient).toEqual({ bytes: total, digest: down })
    expect(up).not.toBe(down)
    for (let i = 0; i < 500 && proxy.records.length === 0; i++) await new Promise(go => setTimeout(go, 10))
    expect(proxy.records[0]).toMatchObject({ requestContentBytes: total, responseBytes: total, errorDetail: 'done' })
  }, 120_000)
})
