// Memory that is lent to sockets (native/lend.cc): what arrives is what was written, in order with what was copied, at any
// pace of the reader; and memory that has gone is nobody else's while its bytes are on their way.

import { existsSync, readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { type Comm, type Connection, createComm } from '../../comm/index.ts'
import { lend, lentBytesMin } from '../../native/index.ts'
import { systemClock } from '../../src/base/index.ts'
import { collectGarbage } from '../../src/cli/collect-garbage.ts'
import { connectPair, pattern } from '../support/comm-kit.ts'
import { addon, noAddon } from './present.ts'

const comms: Comm[] = []
const failures: unknown[] = []
const make = (): Comm => {
  const comm = createComm({ engine: 'native', clock: systemClock, onFailure: error => failures.push(error), onWarning: () => {} })
  comms.push(comm)
  return comm
}

const lent = (bytes: Buffer): Buffer => {
  const memory = lend(addon(), bytes.length)
  if (memory === null) throw new Error('no memory')
  memory.set(bytes)
  return memory
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate)
}

/** As many pieces as it takes until no more are taken. */
const fill = async (connection: Connection, pieces: () => Buffer): Promise<void> => {
  for (;;) {
    while (connection.write(pieces()));
    const before = connection.pending
    await turns(20)
    if (connection.pending === before) return
  }
}

describe.skipIf(noAddon !== null)(`lent memory ${noAddon ?? ''}`, () => {
  afterEach(() => {
    for (const comm of comms.splice(0)) comm.close()
    expect(failures.splice(0)).toEqual([])
  })

  it('is zeros at first, and as long as it was asked to be', () => {
    const memory = lend(addon(), 100_001)
    expect(memory?.length).toBe(100_001)
    expect(memory?.every(byte => byte === 0)).toBe(true)
    for (const wrong of [0, -1, 1.5, Number.NaN, 2 ** 31]) expect(() => lend(addon(), wrong)).toThrow(RangeError)
  })

  it.skipIf(!existsSync('/sys/kernel/mm/transparent_hugepage'))('has no huge pages, of which a byte on its way would keep all', () => {
    const memory = lend(addon(), 8 * 1024 * 1024)
    // neighbours are one mapping, and nothing else in this process is told to have none
    const flags = readFileSync('/proc/self/smaps', 'latin1').split(/\n(?=[0-9a-f]+-)/).filter(one => /^VmFlags:.* nh\b/m.test(one))
    const bytes = flags.map(one => 1024 * Number(/^Rss: +(\d+)/m.exec(one)?.[1]))
    expect(Math.max(0, ...bytes)).toBeGreaterThanOrEqual(8 * 1024 * 1024)
    expect(memory?.length).toBe(8 * 1024 * 1024)
  })

  it('goes out between what was copied, in order and whole, and is counted', async () => {
    const comm = make()
    const { client, server, serverSaw } = await connectPair(comm)
    const a = pattern(100_001)
    const b = pattern(lentBytesMin)
    client.write('head', 'tail of the head', lent(a))
    client.write(lent(b), 'between', lent(a).subarray(77, 90_000))
    client.write('end')
    const all = Buffer.concat([Buffer.from('headtail of the head'), a, b, Buffer.from('between'), a.subarray(77, 90_000), Buffer.from('end')])
    await serverSaw.has(all.length)
    expect(serverSaw.received.equals(all)).toBe(true)
    server.write('so that there is another turn')
    await turns(5)
    expect(comm.counters.bytesLent).toBe(a.length + b.length + 90_000 - 77)
  })

  it('is copied where it is short, and what is not lent always is', async () => {
    const comm = make()
    const { client, server, serverSaw } = await connectPair(comm)
    const a = pattern(200_000)
    client.write(lent(a).subarray(0, lentBytesMin - 1), Buffer.from(a), lent(a).subarray(10, 20_000))
    await serverSaw.has(lentBytesMin - 1 + 200_000 + 19_990)
    server.write('another turn')
    await turns(5)
    expect(comm.counters.bytesLent).toBe(0)
  })

  it('goes on where the kernel stopped, for each connection by itself', async () => {
    const comm = make()
    const content = pattern(8 * 1024 * 1024 + 4321)
    const pieces = Array.from({ length: 9 }, (_, i) => lent(content.subarray(i * 1024 * 1024, (i + 1) * 1024 * 1024)))
    const pairs = await Promise.all(Array.from({ length: 4 }, () => connectPair(comm)))
    for (const { server } of pairs) server.deferRead()
    for (const [i, { client }] of pairs.entries()) {
      client.write(`head ${i}`)
      for (const piece of pieces) client.write(piece)
    }
    await turns(50)
    for (const { client } of pairs) expect(client.pending).toBeGreaterThan(0)
    for (const { server } of pairs) server.resumeRead()
    for (const [i, { client, serverSaw }] of pairs.entries()) {
      await serverSaw.has(content.length + 6)
      expect(serverSaw.received.equals(Buffer.concat([Buffer.from(`head ${i}`), content]))).toBe(true)
      expect([client.bytesWritten, client.pending]).toEqual([content.length + 6, 0])
    }
  })

  it('may go while it is being sent: what takes its place is not sent instead', async () => {
    const comm = make()
    const { client, server, serverSaw } = await connectPair(comm)
    server.deferRead()
    const pieceBytes = 64 * 1024
    const piece = pattern(pieceBytes)
    const gone: WeakRef<ArrayBufferLike>[] = []
    let count = 0
    const next = (): Buffer => {
      const memory = lent(piece)
      gone.push(new WeakRef(memory.buffer))
      count++
      return memory
    }
    await fill(client, next)
    collectGarbage()
    await turns(5)
    // what the kernel has taken is not held by anybody here any more
    expect(gone.filter(each => each.deref() === undefined).length).toBeGreaterThan(0)
    const others = Array.from({ length: 4 * count }, () => lent(Buffer.alloc(pieceBytes, 0xff)))
    server.resumeRead()
    await serverSaw.has(count * pieceBytes)
    const { received } = serverSaw
    for (let i = 0; i < count; i++) expect(received.subarray(i * pieceBytes, (i + 1) * pieceBytes).equals(piece)).toBe(true)
    expect(others.length).toBe(4 * count)
  })

  it('does not get to the next connection when the one it was for has gone', async () => {
    const comm = make()
    const first = await connectPair(comm)
    const second = await connectPair(comm)
    first.server.deferRead()
    await fill(first.client, () => lent(Buffer.alloc(1024 * 1024, 0xaa)))
    first.server.resetClose()
    await first.clientSaw.closed()
    expect(first.clientSaw.closedBecause).toBe('peer-reset')
    const content = pattern(1024 * 1024)
    second.client.write(lent(content))
    await second.serverSaw.has(content.length)
    expect(second.serverSaw.received.equals(content)).toBe(true)
  })
})
