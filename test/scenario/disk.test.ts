import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { native } from '../../native/index.ts'
import { clientConnections, gate, get, origin, originConnections, request, type Site, site, stage, type Stage, stoodStill, until } from './scene.ts'

// The disk store on the wire: what is stored outlives the proxy, large content is streamed from and to the disk at each
// client's pace, and every byte is the origin's.

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-scene-'))
  folders.push(folder)
  return folder
}

const confFor = (folder: string, more = ''): string =>
  `cache_dir ufs ${folder} 200\nmaximum_object_size 64 MB\nmaximum_object_size_in_memory 64 KB\n${more}`

/** Ends it as a daemon ends, and starts another one on the same folder. */
const restarted = async (proxy: Stage, conf: string): Promise<Stage> => {
  await until(() => proxy.machine.sessions === 0, 'the end of the sessions')
  await proxy.stop()
  return stage(conf)
}

const filesIn = (folder: string): string[] =>
  readdirSync(join(folder, 'content'), { recursive: true, encoding: 'utf8' })
    .map(name => join(folder, 'content', name))
    .filter(path => statSync(path).isFile())

/** Waits until the one client takes no more; answers how much it has taken. */
const takesNoMore = (proxy: Stage): Promise<number> => stoodStill(() => clientConnections(proxy)[0]?.bytesWritten ?? 0, 'output')

const small = 'small content'
const middle = 'm'.repeat(40_000)
/** No two places are alike. */
const large = Array.from({ length: 300_000 }, (_, i) => `${i} `.padStart(8, '.')).join('')

const forever = 'Cache-Control: max-age=100000'

/** Answers with small, middle and large content by path. */
const threeSizes = (...fields: readonly string[]): Promise<Site> =>
  site(asked => ({
    fields: [forever, 'ETag: "one"', ...fields],
    content: asked.url === '/small' ? small : asked.url === '/middle' ? middle : large,
  }))

describe('after a restart', () => {
  test('everything is there: from disk first, what fits memory from memory then', async () => {
    const folder = newFolder()
    const conf = confFor(folder)
    const server = await threeSizes()
    const before = await stage(conf)
    for (const [path, content] of [['/small', small], ['/middle', middle], ['/large', large]] as const) {
      expect((await before.ask(get(server.port, path))).body).toBe(content)
    }
    expect(await before.results(3)).toEqual(['TCP_MISS/200', 'TCP_MISS/200', 'TCP_MISS/200'])
    const after = await restarted(before, conf)
    expect(readdirSync(folder).sort()).toEqual(expect.arrayContaining(['content', 'index.db']))
    for (const [path, content] of [['/small', small], ['/middle', middle], ['/large', large]] as const) {
      for (let i = 0; i < 2; i++) {
        const response = await after.ask(get(server.port, path))
        expect(response.body).toBe(content)
        expect(response.fields.get('cache-status')).toContain('; hit')
      }
    }
    expect(await after.results(6)).toEqual([
      'TCP_HIT/200', 'TCP_MEM_HIT/200', 'TCP_HIT/200', 'TCP_MEM_HIT/200', 'TCP_HIT/200', 'TCP_HIT/200',
    ])
    expect(server.requests).toHaveLength(3)
  })

  test('what was invalidated is not', async () => {
    const folder = newFolder()
    const conf = confFor(folder)
    const server = await threeSizes()
    const before = await stage(conf)
    for (const path of ['/small', '/large']) await before.ask(get(server.port, path))
    for (const path of ['/small', '/large']) await before.ask(request('DELETE', server.port, path), 'DELETE')
    const after = await restarted(before, conf)
    for (const path of ['/small', '/large']) await after.ask(get(server.port, path))
    expect(await after.results(2)).toEqual(['TCP_MISS/200', 'TCP_MISS/200'])
  })
})

describe('large content from disk', () => {
  const onDisk = async (): Promise<{ readonly proxy: Stage; readonly server: Site; readonly folder: string }> => {
    const folder = newFolder()
    const proxy = await stage(confFor(folder))
    const server = await threeSizes()
    expect((await proxy.ask(get(server.port, '/large'))).body).toBe(large)
    return { proxy, server, folder }
  }

  test.each([
    ['bytes=0-9', 0, 10],
    ['bytes=100000-100099', 100_000, 100_100],
    ['bytes=-8', large.length - 8, large.length],
    ['bytes=2000000-', 2_000_000, large.length],
  ])('in part: %s', async (range, from, to) => {
    const { proxy, server } = await onDisk()
    const response = await proxy.ask(get(server.port, '/large', `Range: ${range}`))
    expect(response.status).toBe(206)
    expect(response.body).toBe(large.slice(from, to))
    expect(response.fields.get('content-range')).toBe(`bytes ${from}-${to - 1}/${large.length}`)
    expect((await proxy.results(2)).at(-1)).toBe('TCP_HIT/206')
  })

  test('not at all, where only the head or nothing new is asked for', async () => {
    const { proxy, server } = await onDisk()
    const head = await proxy.ask(request('HEAD', server.port, '/large'), 'HEAD')
    expect([head.status, head.fields.get('content-length')]).toEqual([200, String(large.length)])
    expect((await proxy.ask(get(server.port, '/large', 'If-None-Match: "one"'))).status).toBe(304)
    expect((await proxy.ask(get(server.port, '/large', `Range: bytes=${large.length}-`))).status).toBe(416)
    expect(server.requests).toHaveLength(1)
  })

  test('several times on one connection, between others', async () => {
    const { proxy, server } = await onDisk()
    await proxy.ask(get(server.port, '/small'))
    const wire = await proxy.client()
    wire.send(get(server.port, '/large') + get(server.port, '/small') + get(server.port, '/large', 'Range: bytes=5-6') + get(server.port, '/large'))
    const bodies = [large, small, large.slice(5, 7), large]
    for (const body of bodies) expect((await wire.response()).body).toBe(body)
  })

  test('to a client that does not read: it stands still, and goes on when the client does', async () => {
    const folder = newFolder()
    const content = large.repeat(12) // more than the buffers of two sockets
    const proxy = await stage(confFor(folder))
    const server = await site(() => ({ fields: [forever], content }))
    await proxy.ask(get(server.port))
    const slow = await proxy.client()
    slow.socket.pause()
    slow.send(get(server.port))
    const before = await takesNoMore(proxy)
    slow.socket.resume()
    expect((await slow.response()).body).toBe(content)
    expect(before).toBeLessThan(content.length)
  })

  test.skipIf(!native.present)('goes from file to socket without being read, and who takes none of it has write_timeout', async () => {
    const folder = newFolder()
    const content = large.repeat(24) // more than the buffers of two sockets, where the system lets them grow
    const proxy = await stage(confFor(folder, 'write_timeout 60 seconds\n'))
    const server = await site(() => ({ fields: [forever], content }))
    await proxy.ask(get(server.port))
    expect((await proxy.ask(get(server.port, '/', 'Range: bytes=1000000-19999999'))).body).toBe(content.slice(1_000_000, 20_000_000))
    const range = proxy.machine.comm.counters.bytesFromFiles
    expect(range).toBeGreaterThan(15_000_000)
    const dead = await proxy.client()
    dead.socket.pause()
    dead.send(get(server.port))
    await stoodStill(() => proxy.machine.comm.counters.bytesFromFiles, 'output', range)
    proxy.clock.advance(62_000)
    await until(() => proxy.machine.sessions === 0, 'the end of who takes nothing')
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_HIT/206', 'TCP_HIT/200'])
    expect(proxy.records.at(-1)?.error).toBe('client-stalled')
  })

  test('to a client that leaves: nothing stays open', async () => {
    const { proxy, server, folder } = await onDisk()
    const open = () => readdirSync('/proc/self/fd').length
    await proxy.ask(get(server.port, '/large')) // what is read often stays open
    await until(() => proxy.machine.sessions === 0, 'the first client to leave')
    const before = open()
    const wire = await proxy.client()
    wire.socket.pause()
    for (let i = 0; i < 5; i++) wire.send(get(server.port, '/large'))
    await until(() => clientConnections(proxy).length > 0, 'the connection')
    wire.close()
    await until(() => proxy.machine.sessions === 0 && open() <= before, 'the descriptors to be closed')
    expect(filesIn(folder)).toHaveLength(1)
  })

  test('that has gone meanwhile is fetched as if it had not been there', async () => {
    const { proxy, server, folder } = await onDisk()
    for (const path of filesIn(folder)) rmSync(path)
    expect((await proxy.ask(get(server.port, '/large', 'Cache-Control: only-if-cached'))).status).toBe(504)
    expect((await proxy.ask(get(server.port, '/large'))).body).toBe(large)
    expect((await proxy.ask(get(server.port, '/large'))).body).toBe(large)
    expect(await proxy.results(4)).toEqual(['TCP_MISS/200', expect.stringMatching(/504$/), 'TCP_MISS/200', 'TCP_HIT/200'])
    expect(server.requests).toHaveLength(2)
  })

  test('stays where it is when a 304 brings new fields', async () => {
    const folder = newFolder()
    const conf = confFor(folder)
    const proxy = await stage(conf)
    const server = await site(asked => {
      const fields = ['Cache-Control: max-age=10', 'ETag: "one"']
      return asked.headers['if-none-match'] === '"one"'
        ? { status: 304, fields: [...fields, 'X-Fresh: yes'] }
        : { fields, content: large }
    })
    await proxy.ask(get(server.port))
    proxy.clock.advance(20_000)
    const validated = await proxy.ask(get(server.port))
    expect([validated.body === large, validated.fields.get('x-fresh')]).toEqual([true, 'yes'])
    const hit = await proxy.ask(get(server.port))
    expect([hit.body === large, hit.fields.get('x-fresh')]).toEqual([true, 'yes'])
    expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_REFRESH_UNMODIFIED/200', 'TCP_HIT/200'])
    expect(filesIn(folder)).toHaveLength(1)
    const after = await restarted(proxy, conf)
    expect((await after.ask(get(server.port))).fields.get('x-fresh')).toBe('yes')
  })
})

describe('on its way to disk', () => {
  test.each(['Content-Length', 'chunked', 'close'])('content framed by %s is stored whole', async how => {
    const folder = newFolder()
    const proxy = await stage(confFor(folder, 'cache_mem 1 MB\n'))
    const server = await origin((_, response) => {
      response.setHeader('Cache-Control', 'max-age=1000')
      if (how === 'Content-Length') response.setHeader('Content-Length', large.length)
      if (how === 'close') response.useChunkedEncodingByDefault = false
      for (let at = 0; at < large.length; at += 100_000) response.write(large.slice(at, at + 100_000))
      response.end()
    })
    for (let i = 0; i < 2; i++) expect((await proxy.ask(get(server.port))).body).toBe(large)
    expect(await proxy.results(2)).toEqual(['TCP_MISS/200', 'TCP_HIT/200'])
  })

  test('what breaks off leaves no file', async () => {
    const folder = newFolder()
    const proxy = await stage(confFor(folder))
    const server = await origin((_, response) => {
      response.setHeader('Cache-Control', 'max-age=1000')
      response.setHeader('Content-Length', large.length)
      response.write(large.slice(0, 500_000), () => response.destroy())
    })
    await expect(proxy.ask(get(server.port))).rejects.toThrow(/closed before/)
    await until(() => filesIn(folder).length === 0, 'the file to go')
  })

  test('of two clients at different speeds on one fetch, each gets every byte', async () => {
    const folder = newFolder()
    const content = large.repeat(10)
    const proxy = await stage(confFor(folder, 'collapsed_forwarding on\n'))
    const go = gate()
    const server = await origin(async (_, response) => {
      await go.opened
      response.setHeader('Cache-Control', 'max-age=1000')
      response.end(content)
    })
    const [slow, quick] = [await proxy.client(), await proxy.client()]
    slow.send(get(server.port))
    await until(() => server.requests.length === 1, 'the first request at the origin')
    quick.send(get(server.port))
    await until(() => clientConnections(proxy).every(c => c.bytesRead > 0), 'both requests')
    slow.socket.pause()
    go.open()
    expect((await quick.response()).body).toBe(content)
    slow.socket.resume()
    expect((await slow.response()).body).toBe(content)
    expect((await proxy.ask(get(server.port))).body).toBe(content)
    expect(server.requests).toHaveLength(1)
    expect((await proxy.results(3)).at(-1)).toBe('TCP_HIT/200')
    await until(() => originConnections(proxy).length <= 1, 'the fetch to end')
  })
})

test('without memory everything comes from disk', async () => {
  const proxy = await stage(confFor(newFolder(), 'cache_mem 0\n'))
  const server = await threeSizes()
  for (let i = 0; i < 2; i++) {
    for (const [path, content] of [['/small', small], ['/middle', middle], ['/large', large]] as const) {
      expect((await proxy.ask(get(server.port, path))).body).toBe(content)
    }
  }
  expect((await proxy.results(6)).slice(3)).toEqual(['TCP_HIT/200', 'TCP_HIT/200', 'TCP_HIT/200'])
})

test('a reload changes sizes, and the folder', async () => {
  const folder = newFolder()
  const base = 'http_port 127.0.0.1:0 name=web\nhttp_access allow all\n'
  const proxy = await stage(confFor(folder, 'minimum_object_size 0 KB\n'))
  const server = await threeSizes()
  proxy.reload(`${base}${confFor(folder, 'minimum_object_size 1 KB\n').replace('64 MB', '1 MB')}`)
  for (const path of ['/small', '/middle', '/large']) await proxy.ask(get(server.port, path))
  await until(() => filesIn(folder).length === 1, 'the one of middle size; large is too large now')
  const other = newFolder()
  proxy.reload(`${base}${confFor(other)}`)
  await proxy.ask(get(server.port, '/large'))
  await until(() => filesIn(other).length === 1, 'the large one, in the other folder')
})

describe('content that lies in the index, and does not rise', () => {
  // larger than what a write copies, and smaller; no two places are alike
  const sizes = { '/copied': 15_000, '/small': 300 } as const
  const contentOf = (path: keyof typeof sizes): string => large.slice(0, sizes[path])
  const conf = (folder: string): string => `${confFor(folder)}cache_mem 0 MB\n`
  const keptAt = async (folder: string, ...fields: readonly string[]): Promise<{ readonly server: Site; readonly proxy: Stage }> => {
    const server = await site(asked => ({
      status: asked.headers['if-none-match'] === undefined ? 200 : 304,
      fields,
      content: contentOf(asked.url as keyof typeof sizes),
    }))
    const before = await stage(conf(folder))
    for (const path of ['/copied', '/small'] as const) await before.ask(get(server.port, path))
    return { server, proxy: await restarted(before, conf(folder)) }
  }

  test('its memory is given back after each answer, and each answer is whole', async () => {
    const { server, proxy } = await keptAt(newFolder(), forever)
    const wire = await proxy.client()
    for (let i = 0; i < 5; i++) {
      wire.send(`${get(server.port, '/copied')}${get(server.port, '/small')}${get(server.port, '/copied', 'Range: bytes=100-299')}`)
      expect((await wire.response()).body).toBe(contentOf('/copied'))
      expect((await wire.response()).body).toBe(contentOf('/small'))
      expect((await wire.response()).body).toBe(contentOf('/copied').slice(100, 300))
    }
    expect((await proxy.results(15)).every(result => result.startsWith('TCP_HIT/'))).toBe(true)
    expect(server.requests.length).toBe(2)
  })

  test('what waits for a client that does not take it is not touched', async () => {
    const { server, proxy } = await keptAt(newFolder(), forever)
    const wire = await proxy.client()
    wire.socket.pause()
    const count = 1000 // far more than the kernel takes for one who does not read
    wire.send(get(server.port, '/copied').repeat(count))
    expect(await takesNoMore(proxy)).toBeLessThan(count * contentOf('/copied').length)
    wire.socket.resume()
    for (let i = 0; i < count; i++) if ((await wire.response()).body !== contentOf('/copied')) throw new Error(`answer ${i} is not what was stored`)
  })

  test('a validation behind its client still has what it validates', async () => {
    const { server, proxy } = await keptAt(newFolder(), 'ETag: "one"', 'Cache-Control: max-age=10, stale-while-revalidate=100000')
    proxy.clock.advance(20_000)
    expect((await proxy.ask(get(server.port, '/copied'))).body).toBe(contentOf('/copied'))
    await until(() => proxy.machine.validationsBehind === 0 && server.requests.length === 3, 'the validation')
    expect((await proxy.ask(get(server.port, '/copied'))).body).toBe(contentOf('/copied'))
    const results = proxy.records.filter(r => r.initiator === 'client').map(r => `${r.result} ${r.reuseReason}`)
    expect(results).toEqual(['TCP_HIT while-revalidate', 'TCP_HIT fresh'])
  })
})
