import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Wire } from '../support/wire.ts'
import { gate, get, origin, site, type Stage, stageOf, until } from './scene.ts'

// -k reconfigure and -k rotate on the running machine: what the new conf says holds from the next request on, also on
// connections that stand; nobody's connection is dropped for it; a conf that cannot be had changes nothing; and no line
// of the access log is lost.

const web = 'http_port 127.0.0.1:0 name=web\n'
const open = `${web}http_access allow all\n`
const fresh = 'Cache-Control: max-age=60'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('a reload', () => {
  it('holds for the next request on a connection that stands', async () => {
    const server = await site(() => ({ content: 'ok' }))
    const proxy = await stageOf(open)
    const wire = await proxy.client()
    expect((await wire.send(get(server.port)).response()).status).toBe(200)
    proxy.reload(`${web}http_access deny all\n`)
    expect((await wire.send(get(server.port)).response()).status).toBe(403)
    proxy.reload(`${open}via off\n`)
    const again = await wire.send(get(server.port)).response()
    expect([again.status, again.fields.has('via')]).toEqual([200, false])
    expect(server.field(1, 'via')).toBeUndefined()
  })

  it('leaves helpers of former confs to finish, and a stop leaves none of them behind', async () => {
    const program = join(folder, 'hangs')
    writeFileSync(program, `#!/bin/sh\nread -r line\necho $$ > ${folder}/pid\nexec sleep 1000\n`, { mode: 0o755 })
    const server = await site(() => ({ content: 'ok' }))
    const proxy = await stageOf(`${web}external_acl_type e %SRC ${program}\nacl e external e\nhttp_access allow e\n`)
    const wire = await proxy.client()
    wire.send(get(server.port))
    await until(() => readdirSync(folder).includes('pid') && readFileSync(join(folder, 'pid'), 'utf8') !== '', 'the question')
    const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'))
    proxy.reload(open)
    expect(process.kill(pid, 0)).toBe(true)
    await proxy.stop()
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })

  it('does not change a request half way', async () => {
    const go = gate()
    const server = await origin(async (_, response) => {
      await go.opened
      response.setHeader('Cache-Control', 'max-age=60')
      response.end('late')
    })
    const proxy = await stageOf(open)
    const wire = await proxy.client()
    wire.send(get(server.port) + get(server.port))
    await until(() => server.requests.length === 1, 'the request at the origin')
    proxy.reload(`${web}http_access deny all\nvia off\nvisible_hostname other.test\n`)
    go.open()
    const [under, next] = [await wire.response(), await wire.response()]
    expect([under.status, under.body, under.fields.get('via')]).toEqual([200, 'late', expect.stringMatching(/^1\.1 proxy\.test/)])
    expect([next.status, next.fields.get('cache-status')]).toEqual([403, 'other.test; detail=denied'])
  })

  it('keeps what is stored, and judges it by the new lines', async () => {
    const server = await site(() => ({ fields: ['Cache-Control: max-age=10', 'ETag: "a"'], content: 'x' }))
    const proxy = await stageOf(open)
    await proxy.ask(get(server.port))
    proxy.clock.advance(30_000)
    proxy.reload(`${open}refresh_pattern . 1 0% 10 override-expire\n`)
    await proxy.ask(get(server.port))
    proxy.reload(`${open}cache deny all\n`)
    await proxy.ask(get(server.port))
    proxy.reload(open)
    await proxy.ask(get(server.port))
    expect(await proxy.results(4)).toEqual(['TCP_MISS/200', 'TCP_MEM_HIT/200', 'TCP_MISS/200', 'TCP_REFRESH_MODIFIED/200'])
  })

  it('takes memory back when it gives less', async () => {
    const server = await site(() => ({ fields: [fresh], content: 'x'.repeat(20_000) }))
    const proxy = await stageOf(open)
    for (let i = 0; i < 10; i++) await proxy.ask(get(server.port, `/${i}`))
    proxy.reload(`${open}cache_mem 60 KB\n`)
    for (const i of [9, 0]) await proxy.ask(get(server.port, `/${i}`))
    expect((await proxy.results(12)).slice(10)).toEqual(['TCP_MEM_HIT/200', 'TCP_MISS/200'])
  })

  it('switches collapsed fetches on and off', async () => {
    const go = gate()
    const server = await origin(async (_, response) => {
      await go.opened
      response.setHeader('Cache-Control', 'max-age=60')
      response.end('x')
    })
    const proxy = await stageOf(open)
    const wires = []
    for (const [conf, path] of [['collapsed_forwarding on', '/on'], ['collapsed_forwarding off', '/off']] as const) {
      proxy.reload(`${open}${conf}\n`)
      for (let i = 0; i < 2; i++) wires.push((await proxy.client()).send(get(server.port, path)))
      await until(() => server.requests.filter(r => r.url === path).length === (path === '/on' ? 1 : 2), path)
    }
    go.open()
    for (const wire of wires) expect((await wire.response()).body).toBe('x')
    expect(server.requests.map(r => r.url).sort()).toEqual(['/off', '/off', '/on'])
  })

  it('reads the hosts file again', async () => {
    const server = await site(() => ({ content: 'ok' }))
    const file = join(folder, 'hosts')
    writeFileSync(file, '127.0.0.9 moving.test\n')
    const conf = `${open}hosts_file ${file}\n`
    const proxy = await stageOf(conf)
    const ask = () => proxy.ask(`GET http://moving.test:${server.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect((await ask()).status).toBe(503)
    writeFileSync(file, '127.0.0.1 moving.test\n')
    proxy.reload(conf)
    expect((await ask()).status).toBe(200)
  })
})

describe('ports', () => {
  const two = 'http_port 127.0.0.2:0 name=two\n'

  it('are added, and removed ones let nobody in any more; who is connected stays', async () => {
    const server = await site(() => ({ content: 'ok' }))
    const proxy = await stageOf(open)
    const port = proxy.port('web')
    proxy.reload(`${two}${open}`)
    expect(proxy.machine.ports.map(p => p.name)).toEqual(['two', 'web'])
    expect(proxy.port('web')).toBe(port)
    const onTwo = await Wire.connect(proxy.port('two'), '127.0.0.2')
    expect((await onTwo.send(get(server.port)).response()).status).toBe(200)
    const formerPort = proxy.port('two')
    proxy.reload(open)
    await expect(Wire.connect(formerPort, '127.0.0.2')).rejects.toThrow(/ECONNREFUSED/)
    expect((await onTwo.send(get(server.port)).response()).status).toBe(200)
    onTwo.close()
  })

  it('change their name and mode for those who come', async () => {
    const server = await site(({ headers }) => ({ content: headers.host ?? '' }))
    const proxy = await stageOf(`${open}acl here myportname web\n`)
    const [port] = proxy.machine.ports
    const at = `127.0.0.1:${port?.endpoint.port}`
    proxy.reload(`http_port ${at} name=other\nacl here myportname other\nhttp_access allow here\n`)
    const forward = await proxy.client('other')
    expect((await forward.send(get(server.port)).response()).status).toBe(200)
    proxy.reload(`http_port ${at} accel defaultsite=127.0.0.1:${server.port} no-vhost allow-direct name=front\nhttp_access allow all\n`)
    const accel = await proxy.client('front')
    expect((await accel.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()).body).toBe(`127.0.0.1:${server.port}`)
    expect((await forward.send(get(server.port)).response()).status).toBe(200) // as it began
    expect(proxy.machine.ports).toHaveLength(1)
  })

  it('that cannot be had change nothing at all', async () => {
    const server = await site(() => ({ content: 'ok' }))
    const proxy = await stageOf(open)
    const before = proxy.machine.ports
    const taken = net.createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    try {
      expect(() => proxy.reload(`${two}http_port 127.0.0.1:${port}\nhttp_access deny all\n`)).toThrow(new RegExp(`127\\.0\\.0\\.1:${port}`))
      expect(proxy.machine.ports).toEqual(before)
      expect((await proxy.ask(get(server.port))).status).toBe(200)
    } finally {
      taken.close()
    }
  })

  it('of a conf with a mistake are not even looked at', async () => {
    const server = await site(() => ({ content: 'ok' }))
    const proxy = await stageOf(open)
    expect(() => proxy.reload(`${two}http_access allow nobody_knows\n`)).toThrow(/refused/)
    expect(proxy.machine.ports.map(p => p.name)).toEqual(['web'])
    expect((await proxy.ask(get(server.port))).status).toBe(200)
  })
})

describe('under load', () => {
  /** So many clients, each with so many requests one after the other; hits, misses and validations. */
  const load = async (proxy: Stage, port: number, clients: number, requests: number) => {
    const run = async (n: number) => {
      const wire = await proxy.client()
      for (let i = 0; i < requests; i++) {
        const path = i % 3 === 0 ? '/hit' : i % 3 === 1 ? '/stale' : `/miss/${n}/${i}`
        const response = await wire.send(get(port, path)).response()
        if (response.status !== 200 || response.body !== path) throw new Error(`${path}: ${response.status} ${response.body}`)
      }
      wire.close()
    }
    await Promise.all(Array.from({ length: clients }, (_, n) => run(n)))
  }

  const loaded = () =>
    site(({ url, headers }) =>
      url === '/stale' && headers['if-none-match'] !== undefined
        ? { status: 304, fields: ['ETag: "a"'] }
        : { fields: url === '/stale' ? ['Cache-Control: max-age=0', 'ETag: "a"'] : url === '/hit' ? [fresh] : [], content: url ?? '' },
    )

  it('reloads drop no connection and fail no request', async () => {
    const server = await loaded()
    const proxy = await stageOf(open)
    let done = false
    const running = load(proxy, server.port, 10, 90).finally(() => {
      done = true
    })
    let [turns, reloads] = [0, 0]
    while (!done) {
      await new Promise(resolve => setImmediate(resolve))
      if (turns++ % 5 > 0) continue // requests get on in between
      reloads++
      proxy.reload(`${reloads % 2 === 0 ? open : `http_port 127.0.0.2:0 name=two\n${open}`}collapsed_forwarding ${reloads % 3 === 0 ? 'on' : 'off'}\n`)
    }
    await running
    expect(reloads).toBeGreaterThan(5)
    await proxy.results(900)
    expect(proxy.records.filter(r => r.error !== null)).toEqual([])
  })

  it('rotations and reloads lose no line of the access log, and double none', async () => {
    const server = await loaded()
    const conf = `${open}logformat short %>a %ru %Ss/%>Hs\naccess_log stdio:${folder}/access.log logformat=short\nlogfile_rotate 50\n`
    const proxy = await stageOf(conf)
    let done = false
    const running = load(proxy, server.port, 10, 30).finally(() => {
      done = true
    })
    let rotations = 0
    while (!done) {
      if (rotations < 30 && proxy.records.length > rotations * 10) {
        rotations++
        if (rotations % 4 === 0) proxy.reload(conf)
        else proxy.machine.rotate()
      }
      await new Promise(resolve => setImmediate(resolve))
    }
    await running
    await proxy.results(300)
    await proxy.stop()
    const files = readdirSync(folder)
    expect(files.length).toBeGreaterThan(5)
    const lines = files.flatMap(file => readFileSync(join(folder, file), 'latin1').split('\n').filter(line => line !== ''))
    const expected = proxy.records.map(r => `127.0.0.1 ${r.uri} ${r.collapsed ? r.result.replace('_', '_CF_') : r.result}/${r.status}`)
    expect(lines.sort()).toEqual(expected.sort())
  })
})

it('a rotation moves the log aside and goes on in a new one; no more are kept than wished', async () => {
  const server = await site(({ url }) => ({ content: url ?? '' }))
  const proxy = await stageOf(`${open}logformat uri %ru\naccess_log stdio:${folder}/access.log logformat=uri\nlogfile_rotate 2\n`)
  for (const path of ['/a', '/b', '/c', '/d']) {
    await proxy.ask(get(server.port, path))
    if (path !== '/d') proxy.machine.rotate()
  }
  await proxy.results(4)
  await proxy.stop()
  const read = (name: string) => readFileSync(join(folder, name), 'latin1').replace(/http:\/\/[^/]*/g, '')
  expect([read('access.log'), read('access.log.0'), read('access.log.1')]).toEqual(['/d\n', '/c\n', '/b\n'])
  expect(readdirSync(folder)).toHaveLength(3)
})

it('a reload that names another log ends the one before with its last line', async () => {
  const server = await site(({ url }) => ({ content: url ?? '' }))
  const conf = (name: string) => `${open}logformat uri %ru\naccess_log stdio:${folder}/${name} logformat=uri\n`
  const proxy = await stageOf(conf('one.log'))
  await proxy.ask(get(server.port, '/a'))
  await proxy.results(1)
  proxy.reload(conf('two.log'))
  await proxy.ask(get(server.port, '/b'))
  await proxy.results(2)
  await proxy.stop()
  expect(readFileSync(join(folder, 'one.log'), 'latin1')).toMatch(/\/a\n$/)
  expect(readFileSync(join(folder, 'two.log'), 'latin1')).toMatch(/\/b\n$/)
})
