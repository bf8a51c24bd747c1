import { readdirSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Connection, createComm } from '../../comm/index.ts'
import { systemClock } from '../../src/base/index.ts'
import { Arrivals, connectMs, connectOptions, pattern } from '../support/comm-kit.ts'
import { Recorder } from '../support/recorder.ts'
import { noAddon } from './present.ts'

// Whatever owners do to their connections, in whatever order and from within whichever callback: each byte stream
// stays whole, each connection is closed exactly once, and no descriptor is left. The model is simple: what one side
// received is always a beginning of what the other wrote, and all of it where that side ended in an orderly way.

type Deed =
  | { readonly do: 'write'; readonly bytes: number }
  | { readonly do: 'write-string'; readonly bytes: number }
  | { readonly do: 'shutdown' | 'close' | 'reset' | 'close-after-flush' | 'defer' | 'resume' | 'turn' | 'new-reader' }

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), bytes: fc.integer({ min: 0, max: 300_000 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('write-string' as const), bytes: fc.integer({ min: 0, max: 70_000 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('defer' as const, 'resume' as const, 'turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('shutdown' as const, 'close-after-flush' as const, 'new-reader' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('close' as const, 'reset' as const) }) },
)

/** Deeds of one side: done one per step, `inCallback` from within its own onData instead of from outside. */
const side = fc.record({ deeds: fc.array(deed, { maxLength: 12 }), inCallback: fc.boolean() })

class Side {
  readonly connection: Connection
  readonly saw: Recorder[] = []
  readonly deeds: Deed[]
  readonly inCallback: boolean
  written: Buffer[] = []
  orderly = true
  closes = 0

  constructor(connection: Connection, plan: { readonly deeds: readonly Deed[]; readonly inCallback: boolean }) {
    this.connection = connection
    this.deeds = [...plan.deeds]
    this.inCallback = plan.inCallback
    connection.addCloseHandler(() => {
      this.closes++
    })
    this.#read()
  }

  #read(): void {
    const saw = new Recorder({ onData: () => void (this.inCallback && this.step()) })
    this.saw.push(saw)
    this.connection.setReader(saw)
  }

  get received(): Buffer {
    return Buffer.concat(this.saw.map(one => one.received))
  }

  step(): void {
    const next = this.deeds.shift()
    if (next === undefined) return
    const { connection } = this
    const open = !connection.closed && this.orderly
    switch (next.do) {
      case 'write':
      case 'write-string': {
        const bytes = pattern(next.bytes)
        if (open && !this.#saidFin) this.written.push(bytes)
        connection.write(next.do === 'write' ? bytes : bytes.toString('latin1'))
        return
      }
      case 'shutdown':
        this.#saidFin = true
        connection.shutdownWrite()
        return
      case 'close':
        this.orderly = false
        connection.close()
        return
      case 'reset':
        this.orderly = false
        connection.resetClose()
        return
      case 'close-after-flush':
        this.#saidFin = true
        connection.closeAfterFlush()
        return
      case 'defer':
        connection.deferRead()
        return
      case 'resume':
        connection.resumeRead()
        return
      case 'new-reader':
        this.#read()
        return
      case 'turn':
        return
    }
  }

  #saidFin = false

  /** The rest of its life in an orderly way: read everything, say FIN, close when the other has. */
  async settle(): Promise<void> {
    const { connection } = this
    this.deeds.length = 0
    connection.resumeRead()
    connection.shutdownWrite()
    const last = this.saw.at(-1)
    await last?.until(() => last.told.includes('end') || last.closedBecause !== null || connection.ended || connection.closed)
  }
}

describe.skipIf(noAddon !== null)(`stress ${noAddon ?? ''}`, () => {
  it('whatever owners do, streams stay whole and nothing is left', async () => {
    const before = readdirSync('/proc/self/fd').length
    const failures: unknown[] = []
    const comm = createComm({ engine: 'native', clock: systemClock, onFailure: error => failures.push(error) })
    const arrivals = new Arrivals(comm)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(side, side), { minLength: 1, maxLength: 6 }), async plans => {
        const sides: { client: Side; server: Side }[] = []
        for (const [client, server] of plans) {
          const connection = await comm.connect(connectOptions(arrivals.listener.endpoint), connectMs)
          sides.push({ client: new Side(connection, client), server: new Side(await arrivals.next(), server) })
        }
        for (let step = 0; step < 12; step++) {
          for (const { client, server } of sides) {
            for (const one of [client, server]) if (!one.inCallback) one.step()
          }
          if (step % 3 === 2) await new Promise(setImmediate)
        }
        await Promise.all(sides.flatMap(({ client, server }) => [client.settle(), server.settle()]))
        for (const { client, server } of sides) {
          for (const [from, to] of [
            [client, server],
            [server, client],
          ] as const) {
            const sent = Buffer.concat(from.written)
            const got = to.received
            expect(sent.subarray(0, got.length).equals(got)).toBe(true)
            const wholeWay = from.orderly && to.orderly && !from.connection.closed && !to.connection.closed
            if (wholeWay) expect(got.length).toBe(sent.length)
          }
        }
        for (const { client, server } of sides) {
          client.connection.close()
          server.connection.close()
        }
        await new Promise(setImmediate)
        for (const { client, server } of sides) expect([client.closes, server.closes]).toEqual([1, 1])
        expect(comm.fdTable().length).toBe(1)
      }),
      { numRuns: 60 },
    )
    expect(failures).toEqual([])
    comm.close()
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before)
  }, 120_000)

  it('ten thousand connections that end badly leave nothing behind', async () => {
    const before = readdirSync('/proc/self/fd').length
    const comm = createComm({ engine: 'native', clock: systemClock })
    const endings = ['close', 'resetClose', 'closeAfterFlush', 'shutdownWrite'] as const
    let open = 0
    const arrivals = comm.listen(
      { endpoint: { family: 4, address: '127.0.0.1', port: 0 }, flags: 5, dualStack: false, backlog: 1024, natBackend: 'none', note: 'bad' },
      connection => {
        open++
        connection.addCloseHandler(() => {
          open--
        })
        connection.setReader(new Recorder({ onEnd: c => c.close(), onData: c => void c.write('answer') }))
      },
    )
    for (let round = 0; round < 100; round++) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          const client = await comm.connect(connectOptions(arrivals.endpoint), connectMs)
          const saw = new Recorder({ onEnd: c => c.close() })
          client.setReader(saw)
          if (i % 3 > 0) client.write('ask')
          if (i % 5 === 0) await saw.until(() => saw.bytes > 0 || saw.told.length > 0 || i % 3 === 0)
          client[endings[i % 4] ?? 'close']()
          await saw.closed()
        }),
      )
    }
    while (open > 0) await new Promise(setImmediate)
    expect(comm.counters.accepted).toBe(10_000)
    expect(comm.counters.connectionsClosed).toBe(20_000)
    expect(comm.counters.handlerFailures).toBe(0)
    expect(comm.fdTable().length).toBe(1)
    comm.close()
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before)
  }, 120_000)
})
