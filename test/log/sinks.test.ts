import { spawn } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/base/index.ts'
import { localDatagrams } from '../../src/cli/local-datagrams.ts'
import { createAccessLog } from '../../src/log/index.ts'
import { PacketLog, type PacketWay, type Sent, type WayOpened } from '../../src/log/packet-log.ts'
import { StreamLog } from '../../src/log/stream-log.ts'
import { syslogWay } from '../../src/log/syslog.ts'
import { udpWay } from '../../src/log/udp.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { formatOf, lineOf, outcomeOf, settle } from './kit.ts'

// Guards the places of access_log that are no files: all lines arrive where somebody listens, and where nobody does,
// writing costs memory up to a limit, what is lost is counted, told once a minute, and for on-error=die told at once.

let clock: FakeClock
let troubles: string[]
let died: string[]

beforeEach(() => {
  clock = new FakeClock()
  troubles = []
  died = []
})

const options = () => ({ clock, trouble: (message: string) => troubles.push(message), fatal: (message: string) => died.push(message) })

const opened: { close(): void }[] = []
afterEach(() => {
  for (const one of opened.splice(0)) one.close()
})

const times = (count: number, line: (i: number) => string): string[] => Array.from({ length: count }, (_, i) => line(i))

describe('a datagram per line', () => {
  /** A way whose answers a test gives. */
  class Way implements PacketWay {
    readonly lines: string[] = []
    readonly waiting: ((what: Sent, reason: string) => void)[] = []
    closed = 0
    /** Null = by hand. */
    answer: Sent | null = 'sent'

    send(line: string, done: (what: Sent, reason: string) => void): void {
      this.lines.push(line)
      if (this.answer === null) this.waiting.push(done)
      else done(this.answer, 'EWHY')
    }

    close(): void {
      this.closed++
    }
  }

  const opening = (...answers: readonly WayOpened[]) => {
    let count = 0
    return {
      open: (tell: (answer: WayOpened) => void) => tell(answers[Math.min(count++, answers.length - 1)] ?? { ok: false, reason: 'none' }),
      get count() {
        return count
      },
    }
  }

  test('lines that were written before the way is open go when it is', async () => {
    const way = new Way()
    const { open } = opening({ ok: false, reason: 'ENOENT' }, { ok: true, way })
    const log = new PacketLog('x', open, options())
    for (const line of times(3, i => `${i}\n`)) log.write(line)
    expect(way.lines).toEqual([])
    clock.advance(1000)
    expect(way.lines).toEqual(['0\n', '1\n', '2\n'])
    expect(troubles).toEqual(['log x cannot be written: ENOENT; lines wait in memory, then they are dropped', 'log x can be written again'])
    await log.close()
    expect([log.dropped, way.closed, clock.pending]).toEqual([0, 1, 0])
  })

  test('a reader that is too slow makes lines wait, in order', async () => {
    const way = new Way()
    const log = new PacketLog('x', opening({ ok: true, way }).open, options())
    way.answer = 'full'
    for (const line of times(3, i => `${i}\n`)) log.write(line)
    expect(way.lines).toEqual(['0\n'])
    way.answer = 'sent'
    clock.advance(20)
    expect(way.lines).toEqual(['0\n', '0\n', '1\n', '2\n'])
    expect(log.dropped).toBe(0)
    await log.close()
  })

  test('a way that breaks is opened again each second; its line is not lost', async () => {
    const [first, second] = [new Way(), new Way()]
    const ways = opening({ ok: true, way: first }, { ok: true, way: second })
    const log = new PacketLog('x', ways.open, options())
    first.answer = 'broken'
    log.write('0\n')
    log.write('1\n')
    clock.advance(999)
    expect([ways.count, first.closed]).toEqual([1, 1])
    clock.advance(1)
    expect(second.lines).toEqual(['0\n', '1\n'])
    await log.close()
  })

  test('what the kernel calls lost is counted, and on-error=die hears of the first', async () => {
    const way = new Way()
    const log = new PacketLog('x', opening({ ok: true, way }).open, options())
    way.answer = 'lost'
    for (const line of times(5, i => `${i}\n`)) log.write(line)
    expect(log.dropped).toBe(5)
    expect(died).toEqual(['a line for the log x is lost, and its access_log says on-error=die'])
    expect(troubles).toEqual(['log x cannot be written: EWHY; lines wait in memory, then they are dropped', 'log x does not take all lines: 1 dropped'])
    clock.advance(60_000)
    log.write('x\n')
    expect(troubles.at(-1)).toBe('log x does not take all lines: 5 dropped')
    await log.close()
  })

  test('memory has a limit, and what waits at the end is counted', async () => {
    const log = new PacketLog('x', opening({ ok: false, reason: 'ENOENT' }).open, options())
    const line = `${'x'.repeat(1023)}\n`
    for (let i = 0; i < 9000; i++) log.write(line)
    expect(log.dropped).toBe(9000 - 8192)
    await log.close()
    expect(log.dropped).toBe(9000)
  })

  test('close waits for what the system has not confirmed', async () => {
    const way = new Way()
    way.answer = null
    const log = new PacketLog('x', opening({ ok: true, way }).open, options())
    log.write('0\n')
    let closed = false
    const closing = log.close().then(() => (closed = true))
    await settle()
    expect(closed).toBe(false)
    way.waiting[0]?.('sent', '')
    await closing
    expect([log.dropped, way.closed]).toEqual([0, 1])
  })
})

describe('udp://', () => {
  test.each([['udp4', '127.0.0.1'], ['udp6', '::1']] as const)('%s: each line is a datagram', async (type, host) => {
    const collector = dgram.createSocket(type)
    opened.push(collector)
    const got: string[] = []
    const all = new Promise<void>(resolve => collector.on('message', bytes => got.push(bytes.toString('latin1')) === 20 && resolve()))
    await new Promise<void>((resolve, reject) => collector.once('error', reject).bind(0, host, resolve))
    const log = new PacketLog('udp', udpWay({ host, port: collector.address().port }), options())
    for (const line of times(20, i => `line ${i} \xe9\n`)) log.write(line)
    await log.flush()
    await all
    expect(got.sort()).toEqual(times(20, i => `line ${i} \xe9\n`).sort())
    await log.close()
    expect([log.dropped, troubles]).toEqual([0, []])
  })

  test('nobody listens: the kernel says so, and that is counted', async () => {
    const gone = dgram.createSocket('udp4')
    await new Promise<void>(resolve => gone.bind(0, '127.0.0.1', resolve))
    const { port } = gone.address()
    gone.close()
    const log = new PacketLog('udp', udpWay({ host: '127.0.0.1', port }), options())
    // the refusal of one datagram meets a later one
    for (let i = 0; i < 100 && log.dropped === 0; i++) {
      log.write(`${i}\n`)
      await log.flush()
    }
    expect(log.dropped).toBeGreaterThan(0)
    expect(troubles[0]).toContain('ECONNREFUSED')
    await log.close()
  })

  test('a line no datagram can carry is cut', async () => {
    const collector = dgram.createSocket('udp4')
    opened.push(collector)
    await new Promise<void>(resolve => collector.bind(0, '127.0.0.1', resolve))
    const came = once(collector, 'message')
    const log = new PacketLog('udp', udpWay({ host: '127.0.0.1', port: collector.address().port }), options())
    log.write(`${'x'.repeat(70_000)}\n`)
    const [bytes] = (await came) as [Buffer]
    expect([bytes.length, bytes.at(-1)]).toEqual([65_507, 10])
    await log.close()
  })
})

describe('tcp://', () => {
  const collector = async (port = 0) => {
    let text = ''
    let wanted = Number.POSITIVE_INFINITY
    let enough = (): void => {}
    const sockets = new Set<net.Socket>()
    const server = net.createServer(socket => {
      sockets.add(socket)
      socket.on('error', () => {}) // the test resets it
      socket.on('data', bytes => {
        text += bytes.toString('latin1')
        if (text.split('\n').length > wanted) enough()
      })
    })
    await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
    const close = () => {
      for (const socket of sockets) socket.resetAndDestroy()
      server.close()
    }
    opened.push({ close })
    return {
      port: (server.address() as net.AddressInfo).port, // it listens on an address
      close,
      lines(count: number): Promise<string[]> {
        wanted = count
        const have = () => text.split('\n').slice(0, -1)
        return text.split('\n').length > count ? Promise.resolve(have()) : new Promise(resolve => (enough = () => resolve(have())))
      },
    }
  }
  const open = (port: number, of: object = {}) =>
    new StreamLog({ ...options(), host: '127.0.0.1', port, chunkBytes: 100, delayMs: 1000, ...of })

  test('all lines arrive in order', async () => {
    const there = await collector()
    const log = open(there.port)
    for (const line of times(1000, i => `line ${i}\n`)) log.write(line)
    await log.close()
    expect(await there.lines(1000)).toEqual(times(1000, i => `line ${i}`))
    expect([log.dropped, troubles, clock.pending]).toEqual([0, [], 0])
  })

  test('a collector that restarts misses nothing', async () => {
    const first = await collector()
    const log = open(first.port)
    log.write('before\n')
    await log.flush()
    expect(await first.lines(1)).toEqual(['before'])
    first.close()
    const failed = async () => {
      while (troubles.length === 0) await new Promise(setImmediate)
    }
    await failed()
    for (const line of times(50, i => `after ${i}\n`)) log.write(line)
    const second = await collector(first.port)
    clock.advance(1000)
    expect(await second.lines(50)).toEqual(times(50, i => `after ${i}`))
    await log.close()
    expect(log.dropped).toBe(0)
    expect(troubles.at(-1)).toMatch(/can be written again/)
  })

  test('nobody listens: writing goes on up to the limit, and closing does not wait', async () => {
    const gone = await collector()
    gone.close()
    const log = open(gone.port, { clock: systemClock })
    const line = `${'x'.repeat(1023)}\n`
    for (let i = 0; i < 9000; i++) log.write(line)
    expect(log.dropped).toBe(9000 - 8192)
    expect(died).toHaveLength(1)
    await log.close()
    expect(log.dropped).toBe(9000)
  })

  test('a collector that takes connections and reads nothing does not keep us', async () => {
    const server = net.createServer(socket => socket.pause())
    const sockets: net.Socket[] = []
    server.on('connection', socket => sockets.push(socket))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    opened.push({ close: () => (sockets.forEach(socket => socket.destroy()), server.close()) })
    const log = open((server.address() as net.AddressInfo).port)
    await once(server, 'connection')
    const line = `${'x'.repeat(1023)}\n`
    let written = 0
    while (log.dropped === 0 && written < 100_000) {
      log.write(line)
      if (++written % 1000 === 0) await new Promise(setImmediate)
    }
    expect(log.dropped).toBe(1)
    const closing = log.close()
    clock.advance(1000)
    await closing
    expect(log.dropped).toBeGreaterThan(1)
  })
})

const noAddon = localDatagrams() === null

describe(`syslog:${noAddon ? ' (skipped where it needs it: no addon here)' : ''}`, () => {
  const way = (path: string, datagrams = localDatagrams()) => syslogWay({ clock, level: 21 * 8 + 6, datagrams, path })

  test.skipIf(noAddon)('lines reach the log socket as syslog(3) writes them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-syslog-'))
    const path = join(folder, 'log')
    // perl is in every Debian; Node itself has no such sockets
    const daemon = spawn('perl', [
      '-MSocket', '-e',
      'socket(S,AF_UNIX,SOCK_DGRAM,0); bind(S,sockaddr_un($ARGV[0])) or die; $|=1; print "ready\\n"; while (defined recv(S,$_,9000,0)) { print "$_\\n" }',
      path,
    ])
    opened.push({ close: () => (daemon.kill(), rmSync(folder, { recursive: true, force: true })) })
    let said = ''
    const has = async (count: number) => {
      while (said.split('\n').length <= count) said += String((await once(daemon.stdout, 'data'))[0])
      return said.trim().split('\n').slice(1)
    }
    await has(1)
    const log = new PacketLog('syslog', way(path), options())
    for (const line of times(3, i => `line ${i}\n`)) log.write(line)
    log.write(`${'x'.repeat(20_000)}\n`)
    const lines = await has(5)
    expect(lines[1]).toMatch(new RegExp(`^<174>[A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d glassquid\\[${process.pid}\\]: line 1$`))
    expect(lines[3]).toHaveLength(8192)
    expect([log.dropped, troubles]).toEqual([0, []])
    await log.close()
  })

  test.skipIf(noAddon)('a daemon that is not there is told, and nobody waits for it', async () => {
    const log = new PacketLog('syslog', way('/nonexistent/log'), options())
    log.write('x\n')
    await log.flush()
    expect(troubles[0]).toContain('/nonexistent/log: ENOENT')
    await log.close()
    expect(log.dropped).toBe(1)
  })

  test('without the addon it says so', async () => {
    const log = new PacketLog('syslog', way('/dev/log', null), options())
    expect(troubles[0]).toContain('the addon is absent')
    await log.close()
  })
})

test('access_log writes to all of them, one connection for lines with the same place', async () => {
  const got: string[] = []
  let connections = 0
  const server = net.createServer(socket => {
    connections++
    socket.on('data', bytes => got.push(bytes.toString('latin1')))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  opened.push(server)
  const place = `127.0.0.1:${(server.address() as net.AddressInfo).port}`
  const log = createAccessLog(
    [lineOf({ module: 'tcp', place, format: 'short' }), lineOf({ module: 'tcp', place, format: 'short' })],
    [formatOf('short', '%rm')],
    { clock, trouble: text => troubles.push(text), conditionOf: () => null, keep: 0, stripQueryTerms: true },
  )
  log.write(outcomeOf())
  await once(server, 'connection')
  await log.close()
  while (got.join('') !== 'GET\nGET\n') await new Promise(setImmediate)
  expect(connections).toBe(1)
})
