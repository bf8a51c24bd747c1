// sendfile(2) behind Connection.sendFile: bytes of a file to a socket, in order with what was written, at the pace of
// whoever takes them, and nothing that keeps the loop awake when nobody offers more.

import { spawnSync } from 'node:child_process'
import { closeSync, fsyncSync, mkdtempSync, openSync, readSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { type Comm, type Connection, createComm } from '../../comm/index.ts'
import { systemClock } from '../../src/base/index.ts'
import { connectPair, pattern } from '../support/comm-kit.ts'
import { Recorder } from '../support/recorder.ts'
import { addon, noAddon } from './present.ts'

const folder = mkdtempSync(join(tmpdir(), 'glassquid-'))
const path = join(folder, 'content')
const content = pattern(24 * 1024 * 1024)
const comms: Comm[] = []
const open: number[] = []

const failures: unknown[] = []
const make = (): Comm => {
  const comm = createComm({ engine: 'native', clock: systemClock, onFailure: error => failures.push(error), onWarning: () => {} })
  comms.push(comm)
  return comm
}

const opened = (bytes: Buffer = content): number => {
  writeFileSync(path, bytes)
  const fd = openSync(path, 'r')
  open.push(fd)
  return fd
}

/** Until all of it is given to the kernel; where that cannot, by a piece that was read. */
class Pour {
  at = 0
  ended = false
  /** What could not be sent from the file. */
  unread = 0
  readonly #file: number
  readonly #end: number

  constructor(file: number, end = content.length) {
    this.#file = file
    this.#end = end
  }

  go(connection: Connection): void {
    while (!this.ended) {
      const bytes = Math.min(300_000, this.#end - this.at)
      const last = this.at + bytes === this.#end
      const taken = connection.sendFile?.(this.#file, this.at, bytes, last) ?? -1
      if (taken < 0) {
        this.unread++
        this.ended = true
        return
      }
      this.at += taken
      if (!last || taken < bytes) return
      this.ended = true
    }
  }
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate)
}

describe.skipIf(noAddon !== null)(`sendFile ${noAddon ?? ''}`, () => {
  afterEach(() => {
    for (const comm of comms.splice(0)) comm.close()
    for (const fd of open.splice(0)) closeSync(fd)
    expect(failures.splice(0)).toEqual([])
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('sends a file behind what was written before it, before what is written after it', async () => {
    const comm = make()
    const pour = new Pour(opened())
    const writer = new Recorder({ onDrain: connection => pour.go(connection) })
    const reader = new Recorder()
    const { client } = await connectPair(comm, writer, reader)
    client.write('head')
    pour.go(client)
    await writer.until(() => pour.ended)
    client.write('tail')
    await reader.has(content.length + 8)
    expect(pour.unread).toBe(0)
    expect(reader.received.equals(Buffer.concat([Buffer.from('head'), content, Buffer.from('tail')]))).toBe(true)
    expect([client.bytesWritten, client.pending]).toEqual([content.length + 8, 0])
    expect(comm.counters.bytesFromFiles).toBe(content.length)
  })

  it('waits for who takes nothing, and goes on with him; pending says so', async () => {
    const comm = make()
    const pour = new Pour(opened())
    const writer = new Recorder({ onDrain: connection => pour.go(connection) })
    const { client, server, serverSaw } = await connectPair(comm, writer, new Recorder({}, { keep: false }))
    server.deferRead()
    pour.go(client)
    let before = -1
    while (before !== pour.at) {
      before = pour.at
      await turns(20)
    }
    expect(pour.at).toBeLessThan(content.length)
    expect(client.pending).toBeGreaterThan(0)
    expect(client.bytesWritten).toBe(pour.at)
    // deferring input and asking for it again must not make it forget what it waits for
    client.deferRead()
    client.resumeRead()
    const { batches } = comm.counters
    await turns(20)
    expect(comm.counters.batches).toBe(batches)
    server.resumeRead()
    await serverSaw.has(content.length)
    expect([pour.ended, pour.unread, serverSaw.bytes]).toEqual([true, 0, content.length])
  })

  it('tells once that there is room, and no more when nobody offers more', async () => {
    const comm = make()
    const file = opened()
    const writer = new Recorder()
    const { client, serverSaw } = await connectPair(comm, writer, new Recorder({}, { keep: false }))
    expect(client.sendFile?.(file, 0, 100_000, false)).toBe(100_000)
    await serverSaw.has(100_000)
    await writer.until(() => writer.count('drain') === 1)
    await turns(5)
    const { batches } = comm.counters
    await turns(20)
    expect([comm.counters.batches, writer.count('drain'), client.pending]).toEqual([batches, 1, 0])
    expect(client.sendFile?.(file, 100_000, 5, true)).toBe(5)
    await serverSaw.has(100_005)
    await turns(5)
    expect(writer.count('drain')).toBe(1)
  })

  it('does not send what is not there: beyond the end, of a file that was cut, of what is no file', async () => {
    const comm = make()
    const file = opened(pattern(10_000))
    const { client, serverSaw } = await connectPair(comm, new Recorder(), new Recorder())
    expect(client.sendFile?.(file, 10_000, 1, true)).toBe(-1)
    expect(client.sendFile?.(file, 1_000_000, 4096, false)).toBe(-1)
    truncateSync(path, 5000)
    expect(client.sendFile?.(file, 0, 10_000, true)).toBe(5000)
    expect(client.sendFile?.(file, 5000, 5000, true)).toBe(-1)
    expect(client.sendFile?.(-1, 0, 10, true)).toBe(-1)
    expect(client.sendFile?.(client.fd, 0, 10, true)).toBe(-1)
    client.write('end')
    await serverSaw.has(5003)
    expect(serverSaw.received.equals(Buffer.concat([pattern(10_000).subarray(0, 5000), Buffer.from('end')]))).toBe(true)
  })

  it('sends no more than the system has in memory', async ({ skip }) => {
    const comm = make()
    const file = opened()
    fsyncSync(file)
    const forget = () => spawnSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0'])
    forget()
    if (addon().readCached(file, Buffer.alloc(1), 0) > 0) skip('this file system keeps files in memory')
    forget() // asking has begun to read it
    const { client, serverSaw } = await connectPair(comm)
    expect(client.sendFile?.(file, 0, content.length, true)).toBe(-1)
    // the beginning is there, and what the system has read ahead of it
    readSync(file, Buffer.alloc(4096), 0, 4096, 0)
    const sent = client.sendFile?.(file, 0, content.length, true) ?? -1
    expect(sent).toBeGreaterThanOrEqual(4096)
    expect(sent).toBeLessThan(content.length)
    await serverSaw.has(sent)
    expect(serverSaw.received.equals(content.subarray(0, sent))).toBe(true)
  })

  it('ends with a peer that resets', async () => {
    const comm = make()
    const pour = new Pour(opened())
    const writer = new Recorder({ onDrain: connection => pour.go(connection) })
    const { client, server } = await connectPair(comm, writer, new Recorder())
    server.deferRead()
    pour.go(client)
    server.resetClose()
    await writer.closed()
    expect(writer.closedBecause).toBe('peer-reset')
    expect(client.sendFile?.(open[0] ?? -1, 0, 10, true)).toBe(0)
  })

  it('waits its turn behind what the kernel has not taken', async () => {
    const comm = make()
    const file = opened()
    const writer = new Recorder()
    const { client, server, serverSaw } = await connectPair(comm, writer, new Recorder())
    server.deferRead()
    client.write(content)
    expect(client.sendFile?.(file, 0, 1000, true)).toBe(0)
    server.resumeRead()
    await writer.until(() => writer.count('drain') === 1)
    expect(client.sendFile?.(file, 0, 1000, true)).toBe(1000)
    await serverSaw.has(content.length + 1000)
    expect(serverSaw.received.equals(Buffer.concat([content, content.subarray(0, 1000)]))).toBe(true)
  })
})
