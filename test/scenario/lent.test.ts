import { afterEach, describe, expect, test, vi } from 'vitest'
import { native } from '../../native/index.ts'
import { collectGarbage } from '../../src/cli/collect-garbage.ts'
import { bytesOrigin, get, site, type Stage, stage, until } from './scene.ts'

// Hits of large content in memory: the kernel sends from the memory itself, so that what memory has let go of since must
// still arrive, and nothing else in its place.

const forever = 'Cache-Control: max-age=100000'

/** So many bytes that differ from those of any other number, and from place to place. */
const contentOf = (number: number, bytes: number): string => {
  let text = ''
  for (let at = 0; text.length < bytes; at++) text += `${number}:${at};`
  return text.slice(0, bytes)
}

afterEach(() => {
  vi.restoreAllMocks()
})

/** How often memory of this kind has been asked for since. */
const lendings = (): (() => number) => {
  if (!native.present) throw new Error(native.why)
  const spied = vi.spyOn(native.addon, 'lend')
  return () => spied.mock.calls.length
}

/** So often that it is worth moving. */
const often = async (proxy: Stage, text: string, count = 6): Promise<void> => {
  for (let i = 0; i < count; i++) await proxy.ask(text)
}

describe.skipIf(!native.present)('large content in memory that is asked for again and again', () => {
  test('is sent without being copied: whole, in ranges, several times on one connection', async () => {
    const proxy = await stage('cache_mem 16 MB\nmaximum_object_size_in_memory 4 MB\n')
    const large = contentOf(1, 2_500_000)
    const server = await site(() => ({ fields: [forever], content: large }))
    await often(proxy, get(server.port))
    const { counters } = proxy.machine.comm
    const before = counters.bytesLent
    const wire = await proxy.client()
    wire.send(get(server.port) + get(server.port, '/', 'Range: bytes=1000001-1999999') + get(server.port))
    for (const body of [large, large.slice(1_000_001, 2_000_000), large]) expect((await wire.response()).body).toBe(body)
    await proxy.ask(get(server.port, '/', 'Range: bytes=0-4')) // another turn, which counts
    expect(counters.bytesLent - before).toBeGreaterThan(4_000_000)
    expect((await proxy.results(10)).slice(-4)).toEqual(['TCP_MEM_HIT/200', 'TCP_MEM_HIT/206', 'TCP_MEM_HIT/200', 'TCP_MEM_HIT/206'])
  })

  test('is copied at its first hits', async () => {
    const proxy = await stage('cache_mem 16 MB\n')
    const server = await site(() => ({ fields: [forever], content: contentOf(3, 300_000) }))
    await often(proxy, get(server.port), 3)
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MEM_HIT/200'])
    expect(proxy.machine.comm.counters.bytesLent).toBe(0)
  })

  test('of unknown length is, too', async () => {
    const proxy = await stage('cache_mem 16 MB\nmaximum_object_size_in_memory 4 MB\n')
    const large = contentOf(2, 300_000)
    const chunk = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`
    const server = await bytesOrigin(`HTTP/1.1 200 OK\r\n${forever}\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`)
    await often(proxy, get(server.port))
    expect((await proxy.ask(get(server.port))).body).toBe(large)
    await proxy.ask(get(server.port))
    expect(proxy.machine.comm.counters.bytesLent).toBeGreaterThan(250_000)
  })

  test('that was validated is not moved once more', async () => {
    const proxy = await stage('cache_mem 16 MB\n')
    const content = contentOf(4, 300_000)
    const server = await site(asked =>
      asked.headers['if-none-match'] === '"a"' ? { status: 304, fields: ['ETag: "a"', 'Cache-Control: max-age=10'] }
      : { fields: ['ETag: "a"', 'Cache-Control: max-age=10'], content },
    )
    const asked = lendings()
    await often(proxy, get(server.port))
    const before = asked()
    expect(before).toBeGreaterThan(0)
    for (let i = 0; i < 2; i++) {
      proxy.clock.advance(11_000)
      await often(proxy, get(server.port))
    }
    expect(asked()).toBe(before)
    expect((await proxy.results(18)).filter(result => result.startsWith('TCP_REFRESH_UNMODIFIED'))).toHaveLength(2)
    const sent = proxy.machine.comm.counters.bytesLent
    expect((await proxy.ask(get(server.port))).body).toBe(content)
    await proxy.ask(get(server.port))
    expect(proxy.machine.comm.counters.bytesLent - sent).toBeGreaterThanOrEqual(300_000)
  })

  test('stays where it is for clients whose connections would copy it', async () => {
    const proxy = await stage('cache_mem 16 MB\n', 'node')
    const server = await site(() => ({ fields: [forever], content: contentOf(5, 300_000) }))
    const asked = lendings()
    await often(proxy, get(server.port))
    expect([asked(), (await proxy.results(6)).at(-1)]).toEqual([0, 'TCP_MEM_HIT/200'])
  })

  test('arrives whole when memory has let go of it and others have taken its place', async () => {
    const bytes = 900_000
    const proxy = await stage('cache_mem 4 MB\nmaximum_object_size_in_memory 1 MB\n')
    const server = await site(asked => ({ fields: [forever], content: contentOf(Number(asked.url?.slice(1)), bytes) }))
    const slow = []
    for (let i = 0; i < 6; i++) {
      await often(proxy, get(server.port, `/${i}`))
      const wire = await proxy.client()
      wire.socket.pause()
      const before = proxy.machine.comm.counters.bytesWritten
      wire.send(get(server.port, `/${i}`))
      await until(() => proxy.machine.comm.counters.bytesWritten > before, 'the hit to begin')
      slow.push(wire)
    }
    for (let i = 10; i < 30; i++) {
      expect((await proxy.ask(get(server.port, `/${i}`))).body).toBe(contentOf(i, bytes))
      if (i % 5 === 0) {
        collectGarbage()
        await new Promise(setImmediate)
      }
    }
    for (const [i, wire] of slow.entries()) {
      wire.socket.resume()
      expect((await wire.response()).body).toBe(contentOf(i, bytes))
    }
    expect(proxy.machine.comm.counters.bytesLent).toBeGreaterThan(0)
  })
})
