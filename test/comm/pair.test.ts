// Two connections joined in this process: what one end writes the other reads, in order and whole, however slowly; halves
// end by themselves; nobody is called inside a call of his own. And pipes of programs as connections.

import { spawn } from 'node:child_process'
import type net from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Comm, type Connection, createComm } from '../../comm/index.ts'
import { direct } from '../../comm/nat-lookup/index.ts'
import { endpoint } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Recorder } from '../support/recorder.ts'

let comm: Comm
let clock: FakeClock
let failures: unknown[]

beforeEach(() => {
  failures = []
  clock = new FakeClock()
  comm = createComm({ clock, engine: 'node', onFailure: error => failures.push(error) })
})
afterEach(() => {
  comm.close()
  expect([comm.fdTable(), failures]).toEqual([[], []])
})

const ends = { peer: endpoint('10.0.0.1', 1), local: endpoint('10.0.0.2', 2), original: direct }

const pair = () => {
  const [left, right] = comm.pair(ends, { ...ends, peer: endpoint('10.0.0.3', 3) }, 'pair')
  return { left, right }
}

const read = (connection: Connection, reactions = {}): Recorder => {
  const recorder = new Recorder(reactions)
  connection.setReader(recorder)
  return recorder
}

describe('a pair', () => {
  it('has the ends it was given, and is in the table while it is open', () => {
    const { left, right } = pair()
    expect([left.peer.port, right.peer.port, left.protocol, left.fd]).toEqual([1, 3, 'tcp', -1])
    expect(comm.fdTable().map(entry => entry.note)).toEqual(['pair', 'pair'])
    left.close()
    right.close()
    expect(comm.fdTable()).toEqual([])
  })

  it('brings bytes of all kinds over, copied, in a later turn', async () => {
    const { left, right } = pair()
    const there = read(right)
    const bytes = Buffer.from('two ')
    left.write('one ', bytes, 'thr\xe9e')
    bytes.fill(0)
    expect(there.bytes).toBe(0)
    await there.has(13)
    expect(there.text).toBe('one two thr\xe9e')
    expect([left.bytesWritten, right.bytesRead]).toEqual([13, 13])
  })

  it('holds the writer back while the reader does not read, and says when it may go on', async () => {
    const { left, right } = pair()
    const here = read(left)
    const there = read(right)
    right.deferRead()
    const piece = Buffer.alloc(20_000, 'x')
    let written = 0
    while (left.write(piece)) written += piece.length
    expect(written).toBeLessThanOrEqual(64 * 1024)
    expect([left.write('more'), here.count('drain'), left.pending > 64 * 1024]).toEqual([false, 0, true])
    right.resumeRead()
    await here.until(() => here.count('drain') === 1)
    expect([there.bytes, left.pending]).toEqual([written + piece.length + 4, 0])
    expect(left.write('again')).toBe(true)
  })

  it('moves a megabyte there and back through a relay', async () => {
    const [one, two] = [pair(), pair()]
    comm.relay(one.right, two.left, { idleTimeoutMs: 0, onRelayed() {} })
    const total = 1024 * 1024
    let sent = 0
    const send = (connection: Connection) => {
      while (sent < total) {
        sent += 10_000
        if (!connection.write(Buffer.alloc(10_000, sent % 251))) return
      }
      connection.shutdownWrite()
    }
    const here = read(one.left, { onDrain: send })
    const there = read(two.right, { onData: (connection: Connection, bytes: Buffer) => void (connection.write(bytes) || connection.deferRead()), onDrain: (connection: Connection) => connection.resumeRead(), onEnd: (connection: Connection) => connection.closeAfterFlush() })
    send(one.left)
    await here.ended()
    expect([there.bytes, here.bytes]).toEqual([sent, sent])
  })

  it('ends by halves', async () => {
    const { left, right } = pair()
    const [here, there] = [read(left), read(right)]
    left.write('last')
    left.shutdownWrite()
    expect(left.write('too late')).toBe(false)
    await there.ended()
    expect(there.text).toBe('last')
    right.write('answer')
    right.shutdownWrite()
    await here.ended()
    expect([here.text, left.closed, right.closed]).toEqual(['answer', false, false])
  })

  it('close lets what was written arrive; whoever writes to one that is closed is told', async () => {
    const { left, right } = pair()
    const [here, there] = [read(left), read(right)]
    left.write('last words')
    left.close()
    await here.closed()
    await there.ended()
    expect([there.text, here.closedBecause]).toEqual(['last words', 'done'])
    expect(right.write('x')).toBe(false)
    await there.closed()
    expect(there.closedBecause).toBe('peer-reset')
  })

  it('whoever waits for a reader that leaves is not left waiting', async () => {
    const { left, right } = pair()
    const here = read(left, { onDrain: (connection: Connection) => void connection.write('more') })
    while (left.write(Buffer.alloc(30_000)));
    right.close()
    await here.closed()
    expect(here.closedBecause).toBe('peer-reset')
  })

  it('closeAfterFlush waits until everything has been read', async () => {
    const { left, right } = pair()
    const [here, there] = [read(left), read(right)]
    right.deferRead()
    left.write(Buffer.alloc(50_000))
    left.closeAfterFlush()
    await new Promise(setImmediate)
    expect(left.closed).toBe(false)
    right.resumeRead()
    await here.closed()
    await there.ended()
    expect(there.bytes).toBe(50_000)
  })

  it('a reset is felt at once, at both ends, and close handlers hear of it', async () => {
    const { left, right } = pair()
    const [here, there] = [read(left), read(right)]
    const handled: string[] = []
    right.addCloseHandler((_connection, why) => handled.push(why))
    left.write('lost')
    left.resetClose()
    await Promise.all([here.closed(), there.closed()])
    expect([here.closedBecause, there.closedBecause, handled, there.bytes]).toEqual(['aborted', 'peer-reset', ['peer-reset'], 0])
  })

  it('has deadlines', async () => {
    const { left } = pair()
    const here = read(left)
    left.setTimeout(1000)
    clock.advance(2000)
    expect(here.count('timeout')).toBe(1)
    left.close()
  })

  it('a reader that throws costs its own connection', async () => {
    const { left, right } = pair()
    const here = read(left)
    read(right, { onData: () => { throw new Error('a bug') } })
    left.write('x')
    await here.closed()
    expect(failures.splice(0)).toEqual([new Error('a bug')])
  })
})

describe('a pipe of a program', () => {
  it('is a connection: both ways, with its ends', async () => {
    const child = spawn('sh', ['-c', 'cat <&3 >&3'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
    const pipe = comm.adoptPipe(child.stdio[3] as unknown as net.Socket, ends, 'cat')
    const here = read(pipe)
    pipe.write('there and back')
    pipe.shutdownWrite()
    await here.ended()
    expect([here.text, comm.fdTable().length]).toEqual(['there and back', 1])
    pipe.close()
    if (child.exitCode === null) await new Promise(resolve => child.on('exit', resolve))
  })

  it('whose other end has said all it has to say is written to for as long as it reads', async () => {
    const script = 'const net = require("net"); const s = new net.Socket({ fd: 3, allowHalfOpen: true }); s.end("first"); let n = 0; s.on("data", d => n += d.length).on("end", () => process.exit(n === 300000 ? 0 : 1))'
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
    const pipe = comm.adoptPipe(child.stdio[3] as unknown as net.Socket, ends, 'half')
    const here = read(pipe)
    await here.ended()
    for (let i = 0; i < 30; i++) pipe.write(Buffer.alloc(10_000))
    pipe.shutdownWrite()
    if (child.exitCode === null) await new Promise(resolve => child.on('exit', resolve))
    expect([here.text, child.exitCode]).toEqual(['first', 0])
    pipe.close()
  })

  it('that is reset goes away without a word', async () => {
    const child = spawn('sh', ['-c', 'cat <&3 >/dev/null'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
    const pipe = comm.adoptPipe(child.stdio[3] as unknown as net.Socket, ends, 'cat')
    const here = read(pipe)
    pipe.write('x')
    pipe.resetClose()
    await here.closed()
    if (child.exitCode === null) await new Promise(resolve => child.on('exit', resolve))
    expect(child.exitCode).toBe(0)
  })
})
