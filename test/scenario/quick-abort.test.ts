import type http from 'node:http'
import { describe, expect, it, test } from 'vitest'
import { CountHttp } from '../../src/proxy/http/counters.ts'
import { clientConnections, fetched, gate, get, origin, originConnections, type Stage, stage, stoodStill, until } from './scene.ts'

// What becomes of a fetch whose clients have what they want, or have left (quick_abort_*), and how far one runs ahead of
// them (read_ahead_gap). Seen at the origin: does its answer come to its end; and in what the next request gets.

const base = 'cache_mem 64 MB\nmaximum_object_size_in_memory 16 MB\n'
const kb = 1024
const length = 100 * kb
const content = Buffer.alloc(length, 'x')

/** Gives `first` bytes at once and the rest when `go` opens. `end`: whether its answer was read to the end. */
const slowShelf = async (first: number, more: http.OutgoingHttpHeaders = {}, declared = true) => {
  const go = gate()
  const { promise: end, resolve } = Promise.withResolvers<'read' | 'broken'>()
  const server = await origin(async (_, response) => {
    response.on('close', () => resolve(response.writableFinished ? 'read' : 'broken'))
    response.writeHead(200, { 'Cache-Control': 'max-age=60', ...(declared ? { 'Content-Length': length } : {}), ...more })
    response.write(content.subarray(0, first))
    await go.opened
    if (!response.destroyed) response.end(content.subarray(first))
  })
  return { server, port: server.port, go, end, requests: server.requests }
}

/** A client that reads so much and leaves; its record is there. */
const leave = async (proxy: Stage, port: number, bytes: number): Promise<void> => {
  const wire = await proxy.client()
  await wire.send(get(port)).bytes(bytes)
  wire.close()
  await proxy.results(1)
  expect(proxy.records[0]?.error).toBe('client-aborted')
}

describe.each([['alone', ''], ['that others could join', 'collapsed_forwarding on\n']])('a fetch %s whose client leaves', (_, sharing) => {
  it.each<[string, string, number, 'read' | 'broken']>([
    ['less than min remains', '', 90 * kb, 'read'],
    ['more than max remains', '', 50 * kb, 'broken'],
    ['min is -1', 'quick_abort_min -1 KB\n', kb, 'read'],
    ['both are 0', 'quick_abort_min 0 KB\nquick_abort_max 0 KB\n', 99 * kb, 'broken'],
    ['more than the share is there', 'quick_abort_min 0 KB\nquick_abort_max 90 KB\nquick_abort_pct 40\n', 50 * kb, 'read'],
    ['less than the share is there', 'quick_abort_min 0 KB\nquick_abort_max 90 KB\nquick_abort_pct 60\n', 50 * kb, 'broken'],
  ])('ends as quick_abort says where %s', async (_why, lines, first, end) => {
    const proxy = await stage(base + sharing + lines)
    const shelf = await slowShelf(first)
    await leave(proxy, shelf.port, first)
    shelf.go.open()
    expect(await shelf.end).toBe(end)
    if (end === 'read') {
      await fetched(proxy, length)
      expect((await proxy.ask(get(shelf.port))).body.length).toBe(length)
      expect(shelf.requests).toHaveLength(1)
    }
  })

  it('ends where nothing would be stored', async () => {
    const proxy = await stage(`${base}${sharing}quick_abort_min -1 KB\n`)
    const shelf = await slowShelf(50 * kb, { 'Cache-Control': 'no-store' })
    await leave(proxy, shelf.port, 10 * kb)
    expect(await shelf.end).toBe('broken')
  })

  it('ends where it turns out too large to be stored', async () => {
    const proxy = await stage(`${base}${sharing}quick_abort_min -1 KB\nmaximum_object_size_in_memory 60 KB\n`)
    const go = gate()
    const closed = gate()
    const server = await origin(async (_r, response) => {
      response.on('close', closed.open)
      response.writeHead(200, { 'Cache-Control': 'max-age=60' })
      response.write(content.subarray(0, 50 * kb))
      await go.opened
      const more = (): void => {
        while (!response.destroyed && response.write(content));
        response.once('drain', more)
      }
      more()
    })
    await leave(proxy, server.port, 10 * kb)
    go.open()
    await closed.opened
  })

  it('ends before the head has come, since nobody knows what it would be', async () => {
    const proxy = await stage(`${base}${sharing}quick_abort_min -1 KB\n`)
    const closed = gate()
    const server = await origin((_r, response) => void response.on('close', closed.open))
    const wire = await proxy.client()
    wire.send(get(server.port))
    await until(() => server.requests.length === 1, 'the request')
    wire.close()
    await closed.opened
  })
})

describe('a fetch that goes on for the cache', () => {
  it('is one of 128 at most: those beyond end with their clients', async () => {
    const proxy = await stage(`${base}quick_abort_min -1 KB\n`)
    const go = gate()
    let closed = 0
    const server = await origin(async (_, response) => {
      response.on('close', () => void (closed += response.writableFinished ? 0 : 1))
      response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': 10 })
      response.write('01234')
      await go.opened
      if (!response.destroyed) response.end('56789')
    })
    const [on, full] = [CountHttp.fetchesOn, CountHttp.fetchesOnFull]
    for (let i = 0; i < 132; i++) {
      const wire = await proxy.client()
      await wire.send(get(server.port, `/${i}`)).bytes(100)
      wire.close()
      await until(() => proxy.records.length === i + 1, 'its record')
    }
    await until(() => closed === 4, 'the end of four')
    expect([CountHttp.fetchesOn - on, CountHttp.fetchesOnFull - full]).toEqual([128, 4])
    go.open()
    await fetched(proxy, 128 * 10)
    // they are over, and others may follow
    const wire = await proxy.client()
    await wire.send(get(server.port, '/after')).bytes(100)
    wire.close()
    expect((await proxy.ask(get(server.port, '/127'))).body).toBe('0123456789')
    expect(CountHttp.fetchesOnFull - full).toBe(4)
  })

  it('can be joined again, and is for who joins then', async () => {
    const proxy = await stage(`${base}collapsed_forwarding on\nquick_abort_min -1 KB\n`)
    const shelf = await slowShelf(20 * kb)
    await leave(proxy, shelf.port, 10 * kb)
    const joined = proxy.ask(get(shelf.port))
    await until(() => proxy.machine.sessions === 1, 'the second client')
    shelf.go.open()
    expect((await joined).body.length).toBe(length)
    expect(shelf.requests).toHaveLength(1)
    expect(proxy.records[1]).toMatchObject({ collapsed: true, status: 200 })
  })

  it('whose origin then fails leaves a part', async () => {
    const proxy = await stage(`${base}quick_abort_min -1 KB\n`)
    let count = 0
    const broken = gate()
    const ranges: (string | undefined)[] = []
    const server = await origin(async (r, response) => {
      ranges.push(r.headers.range)
      if (++count > 1) {
        response.writeHead(206, { ETag: '"a"', 'Content-Range': `bytes 51200-${length - 1}/${length}`, 'Content-Length': length - 51_200 })
        response.end(content.subarray(51_200))
        return
      }
      response.writeHead(200, { 'Cache-Control': 'max-age=60', ETag: '"a"', 'Content-Length': length })
      response.write(content.subarray(0, 51_200))
      await broken.opened
      response.destroy()
    })
    await leave(proxy, server.port, 50 * kb)
    broken.open()
    await until(() => originConnections(proxy).length === 0, 'the end of the fetch')
    expect((await proxy.ask(get(server.port))).body.length).toBe(length)
    expect(ranges).toEqual([undefined, `bytes=51200-${length - 1}`])
  })
})

describe('read_ahead_gap', () => {
  /** An origin without end of content; how much of it the proxy has read when it reads no more. */
  const readAhead = (proxy: Stage): Promise<number> =>
    stoodStill(() => originConnections(proxy)[0]?.bytesRead ?? 0, 'the fetch')

  const endless = async (chunk: Buffer) =>
    origin((_, response) => {
      response.writeHead(200, { 'Cache-Control': 'max-age=60' })
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
        response.once('drain', more)
      }
      more()
    })

  test.each([['', 'alone'], ['collapsed_forwarding on\n', 'that others could join']])('bounds what a client that does not read makes us hold: %s%s', async sharing => {
    const server = await endless(Buffer.alloc(16 * kb, 'x'))
    const held: number[] = []
    for (const gap of [64, 4096]) {
      const proxy = await stage(`${base}${sharing}read_ahead_gap ${gap} KB\nmaximum_object_size_in_memory 32 MB\n`)
      const wire = await proxy.client()
      wire.socket.pause()
      wire.send(get(server.port))
      const read = await readAhead(proxy)
      const sent = clientConnections(proxy)[0]?.bytesWritten ?? 0
      held.push(read - sent)
      wire.close()
      await until(() => originConnections(proxy).length === 0, 'the end of the fetch')
    }
    const [small = 0, large = 0] = held
    expect(small).toBeLessThan(2048 * kb) // a gap, a read, and what the kernel takes at once
    expect(large - small).toBeGreaterThan(2048 * kb)
  })
})
