import { spawnSync } from 'node:child_process'
import { afterEach, describe, expect, it } from 'vitest'
import { type Comm, createComm } from '../../comm/index.ts'
import { systemClock } from '../../src/base/index.ts'
import { connectMs, connectOptions, connectPair, listenOptions } from '../support/comm-kit.ts'
import { Recorder } from '../support/recorder.ts'
import { noAddon } from './present.ts'

// Bytes that are there before the connection they are meant for: the first end knows of them, the other carries them with
// the last ACK of its handshake. Seen in the kernel's count of segments.

const comms: Comm[] = []
const make = (): Comm => {
  const comm = createComm({ engine: 'native', clock: systemClock })
  comms.push(comm)
  return comm
}

afterEach(() => {
  for (const comm of comms.splice(0)) comm.close()
})

const mayUnshare = noAddon === null && spawnSync('unshare', ['-Urn', 'ip', 'link', 'set', 'lo', 'up']).status === 0

describe.skipIf(noAddon !== null)(`first bytes ${noAddon ?? ''}`, () => {
  it('are seen to wait without being read', async () => {
    const { client, server, serverSaw } = await connectPair(make())
    server.deferRead()
    expect(server.inputWaits?.()).toBe(false)
    client.write('first')
    while (server.inputWaits?.() !== true) await new Promise(setImmediate)
    expect(serverSaw.bytes).toBe(0)
    server.resumeRead()
    await serverSaw.has(5)
    expect(server.inputWaits?.()).toBe(false)
    server.close()
    expect(server.inputWaits?.()).toBe(false)
  })

  it('that do not come hold nobody up: the other end may speak first all the same', async () => {
    const comm = make()
    const listener = comm.listen(listenOptions(), connection => void connection.write('welcome'))
    const saw = new Recorder()
    comm.dial(connectOptions(listener.endpoint, { writesFirst: true }), connectMs, (_error, connection) => connection?.setReader(saw))
    await saw.has(7)
    expect(saw.received.toString()).toBe('welcome')
  })

  it.skipIf(!mayUnshare)('save the ACK that would have gone before them', () => {
    const program = new URL('./first-bytes-program.ts', import.meta.url).pathname
    const ran = spawnSync('unshare', ['-Urn', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh', process.execPath, program], { encoding: 'utf8' })
    const { plain, first } = JSON.parse(ran.stdout || '{}') as { plain?: number; first?: number }
    expect(plain, ran.stderr).toBeGreaterThan(0)
    expect(first).toBe((plain ?? 0) - 20)
  })
})
