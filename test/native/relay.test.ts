import { createHash } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { type Comm, type Connection, createComm, type RelayStats } from '../../comm/index.ts'
import { systemClock } from '../../src/base/index.ts'
import { connectPair, pattern } from '../support/comm-kit.ts'
import { Recorder } from '../support/recorder.ts'
import { noAddon } from './present.ts'

// The splice relay: what goes in comes out, byte for byte and in order, also when the receiver stalls and pipes fill;
// nothing is held by a relay that idles, and nothing stays when it is over.

const comms: Comm[] = []
const make = (): Comm => {
  const comm = createComm({
    engine: 'native',
    clock: systemClock,
    onFailure: error => {
      throw error
    },
  })
  comms.push(comm)
  return comm
}

afterEach(() => {
  for (const comm of comms.splice(0)) comm.close()
})

const descriptors = (): number => readdirSync('/proc/self/fd').length
const pipes = (): number =>
  readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('pipe:')
    } catch {
      return false // the one that read the directory
    }
  }).length

/** Counts and digests instead of keeping. */
class Digest extends Recorder {
  readonly hash = createHash('sha256')

  constructor() {
    super({ onData: (_, bytes) => void this.hash.update(bytes) }, { keep: false })
  }
}

/** Sends `total` bytes as fast as they are taken, then FIN; answers their digest. */
const pour = (connection: Connection, total: number): { sent: Recorder; digest: () => string } => {
  const hash = createHash('sha256')
  const piece = pattern(61_441) // no multiple of anything
  let left = total
  const more = (): void => {
    while (left > 0) {
      const part = left < piece.length ? piece.subarray(0, left) : piece
      left -= part.length
      hash.update(part)
      if (!connection.write(part)) return
    }
    connection.shutdownWrite()
  }
  const sent = new Recorder({ onDrain: more }, { keep: false })
  connection.setReader(sent)
  more()
  return { sent, digest: () => hash.copy().digest('hex') }
}

const relayed = async (comm: Comm) => {
  const left = await connectPair(comm)
  const right = await connectPair(comm)
  const { promise: end, resolve } = Promise.withResolvers<RelayStats>()
  const relay = comm.relay(left.server, right.client, { idleTimeoutMs: 0, onRelayed: resolve })
  return { relay, end, a: left.client, b: right.server }
}

describe.skipIf(noAddon !== null)(`relay ${noAddon ?? ''}`, () => {
  it('carries 50 MB exactly, with a half-close in between, and as much back', async () => {
    const total = 50 * 1024 * 1024
    const { end, a, b } = await relayed(make())
    const atB = new Digest()
    b.setReader(atB)
    const up = pour(a, total)
    await atB.ended()
    expect(atB.bytes).toBe(total)
    expect(atB.hash.digest('hex')).toBe(up.digest())

    const atA = new Digest()
    a.setReader(atA)
    const down = pour(b, total + 1)
    await atA.ended()
    expect(atA.hash.digest('hex')).toBe(down.digest())
    expect(await end).toEqual({ bytesToA: total + 1, bytesToB: total, why: 'done' })
  })

  it('carries both ways at once while both receivers stall now and then', async () => {
    const total = 12 * 1024 * 1024
    const { end, a, b } = await relayed(make())
    const stalling = (connection: Connection, total: number) => {
      const hash = createHash('sha256')
      const piece = pattern(61_441)
      const sentHash = createHash('sha256')
      let left = total
      const send = (): void => {
        while (left > 0) {
          const part = left < piece.length ? piece.subarray(0, left) : piece
          left -= part.length
          sentHash.update(part)
          if (!connection.write(part)) return
        }
        connection.shutdownWrite()
      }
      const saw: Recorder = new Recorder(
        {
          onData: (_, bytes) => {
            hash.update(bytes)
            connection.deferRead()
            setImmediate(() => setImmediate(() => connection.resumeRead()))
          },
          onDrain: send,
        },
        { keep: false },
      )
      connection.setReader(saw)
      send()
      return { saw, got: hash, sent: sentHash }
    }
    const sideA = stalling(a, total)
    const sideB = stalling(b, total + 12_345)
    await Promise.all([sideA.saw.ended(), sideB.saw.ended(), end])
    expect(sideA.got.digest('hex')).toBe(sideB.sent.digest('hex'))
    expect(sideB.got.digest('hex')).toBe(sideA.sent.digest('hex'))
  })

  it('forty at a time, each its own bytes, and nothing stays afterwards', async () => {
    const comm = make()
    const before = descriptors()
    await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const { end, a, b } = await relayed(comm)
        const atB = new Digest()
        b.setReader(atB)
        const up = pour(a, 200_000 + i)
        await atB.ended()
        b.close()
        a.close()
        expect(atB.hash.digest('hex')).toBe(up.digest())
        expect((await end).bytesToB).toBe(200_000 + i)
      }),
    )
    await new Promise(setImmediate)
    expect(comm.fdTable()).toEqual([])
    comm.close()
    expect(descriptors()).toBeLessThanOrEqual(before)
  })

  it('an idle relay holds no pipe, one that is stuck holds one per direction', async () => {
    const comm = make()
    const before = pipes()
    const { a, b, relay } = await relayed(comm)
    const atB = new Recorder()
    b.setReader(atB)
    a.write('hello')
    await atB.has(5)
    const kept = pipes() - before // in the pool of the engine, for any relay
    expect(kept).toBe(2)
    for (let i = 0; i < 10; i++) {
      const other = await relayed(comm)
      const saw = new Recorder()
      other.b.setReader(saw)
      other.a.write('hello')
      await saw.has(5)
    }
    expect(pipes() - before).toBe(kept)
    b.deferRead()
    a.write(Buffer.alloc(32 * 1024 * 1024))
    for (let moved = -1; relay.bytesToB === 5 || relay.bytesToB !== moved; ) {
      moved = relay.bytesToB
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    }
    expect(pipes() - before).toBe(kept)
    relay.stop()
    comm.close()
    expect(pipes()).toBe(before)
  })

  it('goes on by copying when no pipe can be had', () => {
    const program = new URL('./relay-without-pipes.ts', import.meta.url).pathname
    const { stdout, stderr, status } = spawnSync('sh', ['-c', `ulimit -n 64; exec "${process.execPath}" "${program}"`], {
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    expect(stdout).toBe('copied 3000000 exactly\n')
    expect(status).toBe(0)
  })
})
