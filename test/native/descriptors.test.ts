import dgram from 'node:dgram'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  COMM_DOBIND,
  COMM_NONBLOCKING,
  COMM_SELECT_READ,
  COMM_SELECT_WRITE,
  type Comm,
  CommError,
  createComm,
  type OpenOptions,
  sockaddrToEndpoint,
} from '../../comm/index.ts'
import { Bug, endpoint } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { addon, noAddon } from './present.ts'

// Bare descriptors with Lusca's calls: handlers are one shot and run in a later turn, a deadline without a handler
// closes, close handlers run last one first.

const udp: OpenOptions = { type: 'udp', endpoint: endpoint('127.0.0.1', 0), flags: COMM_NONBLOCKING | COMM_DOBIND, note: 'bare' }

describe.skipIf(noAddon !== null)(`bare descriptors ${noAddon ?? ''}`, () => {
  let clock: FakeClock
  let comm: Comm
  let failures: unknown[]

  beforeEach(() => {
    clock = new FakeClock()
    failures = []
    comm = createComm({ engine: 'native', clock, onFailure: error => failures.push(error) })
  })

  afterEach(() => {
    comm.close()
    expect(comm.fdTable()).toEqual([])
    expect(failures).toEqual([])
  })

  const portOf = (fd: number): number => {
    const address = Buffer.alloc(28)
    addon().getsockname(fd, address)
    return sockaddrToEndpoint(address, 0)?.port ?? 0
  }

  const send = async (port: number): Promise<void> => {
    const socket = dgram.createSocket('udp4')
    await new Promise(done => socket.send('datagram', port, '127.0.0.1', done))
    socket.close()
    await once(socket, 'close')
  }

  const turns = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await new Promise(setImmediate)
  }

  it('are readable once for each time they were asked for', async () => {
    const { descriptors } = comm
    const fd = descriptors.open(udp)
    let ready = 0
    const readable = Promise.withResolvers<void>()
    descriptors.setSelect(fd, COMM_SELECT_READ, () => {
      ready++
      readable.resolve()
    })
    expect(ready).toBe(0)
    await send(portOf(fd))
    await readable.promise
    await send(portOf(fd))
    await turns()
    expect(ready).toBe(1)
    const again = new Promise<number>(done => descriptors.setSelect(fd, COMM_SELECT_READ, done)) // nothing was read: still ready
    expect(await again).toBe(fd)
  })

  it('may be asked for both; what is ready is told, the other stays asked for', async () => {
    const { descriptors } = comm
    const fd = descriptors.open(udp)
    const readable = new Promise<string>(done => descriptors.setSelect(fd, COMM_SELECT_READ, () => done('read')))
    const writable = new Promise<string>(done => descriptors.setSelect(fd, COMM_SELECT_WRITE, () => done('write')))
    expect(await writable).toBe('write')
    await send(portOf(fd))
    expect(await readable).toBe('read')
  })

  it('are not told when disarmed, deferred, or closed', async () => {
    const { descriptors } = comm
    const fd = descriptors.open(udp)
    const never = () => {
      throw new Error('not asked for')
    }
    descriptors.setSelect(fd, COMM_SELECT_READ, never)
    descriptors.setSelect(fd, COMM_SELECT_READ, null)
    await send(portOf(fd))
    await turns()
    descriptors.deferRead(fd)
    let told = false
    descriptors.setSelect(fd, COMM_SELECT_READ, () => {
      told = true
    })
    await turns()
    expect(told).toBe(false)
    const resumed = new Promise(done => descriptors.setSelect(fd, COMM_SELECT_READ, done))
    descriptors.resumeRead(fd)
    await resumed
    descriptors.setSelect(fd, COMM_SELECT_READ, never)
    descriptors.close(fd)
    await turns()
    expect(() => descriptors.setSelect(fd, COMM_SELECT_READ, never)).toThrow(Bug)
  })

  it('a handler may close its descriptor, and one that throws loses it', async () => {
    const { descriptors } = comm
    const one = descriptors.open(udp)
    const closed = new Promise(done => descriptors.addCloseHandler(one, done))
    descriptors.setSelect(one, COMM_SELECT_READ | COMM_SELECT_WRITE, fd => descriptors.close(fd))
    expect(await closed).toBe(one)
    const two = descriptors.open(udp)
    const lost = new Promise(done => descriptors.addCloseHandler(two, done))
    descriptors.setSelect(two, COMM_SELECT_WRITE, () => {
      throw new Error('of the test')
    })
    await lost
    expect(failures.splice(0).map(error => (error as Error).message)).toEqual(['of the test'])
  })

  it('have deadlines: with a handler it is called, without one the descriptor is closed', async () => {
    const { descriptors } = comm
    const fd = descriptors.open(udp)
    let passed = 0
    descriptors.setTimeout(fd, 1_000, () => passed++)
    clock.advance(2_000)
    clock.advance(10_000)
    expect(passed).toBe(1)
    descriptors.setTimeout(fd, 1_000, () => passed++)
    descriptors.setTimeout(fd, 0, null)
    clock.advance(10_000)
    expect(passed).toBe(1)
    const closed = new Promise(done => descriptors.addCloseHandler(fd, done))
    descriptors.setTimeout(fd, 1_000, null)
    clock.advance(2_000)
    expect(await closed).toBe(fd)
  })

  it('run their close handlers once, the last one first', async () => {
    const { descriptors } = comm
    const fd = descriptors.open(udp)
    const order: string[] = []
    const first = () => order.push('first')
    descriptors.addCloseHandler(fd, first)
    expect(() => descriptors.addCloseHandler(fd, first)).toThrow(Bug)
    descriptors.addCloseHandler(fd, () => order.push('second'))
    descriptors.resetClose(fd)
    descriptors.close(fd)
    expect(order).toEqual([])
    await turns()
    expect(order).toEqual(['second', 'first'])
  })

  it('count in the table and in the budget', () => {
    const { descriptors } = comm
    const fd = descriptors.open({ ...udp, note: 'RADIUS receiver' })
    const free = descriptors.open({ ...udp, flags: COMM_NONBLOCKING, endpoint: endpoint('::', 0) })
    expect(comm.budget.open).toBe(2)
    expect(comm.fdTable()).toMatchObject([
      { fd, kind: 'plain', note: 'RADIUS receiver', local: { address: '127.0.0.1', port: portOf(fd) } },
      { fd: free, local: { address: '::', port: 0 } },
    ])
    descriptors.close(fd)
    descriptors.close(free)
    expect(comm.budget.open).toBe(0)
  })

  it('that cannot be opened say why', () => {
    expect(() => comm.descriptors.open({ ...udp, endpoint: endpoint('192.0.2.1', 53) })).toThrow(CommError)
  })
})
