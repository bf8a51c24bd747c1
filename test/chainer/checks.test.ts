// The checks of availability chainers on real servers and real programs: what they call up, that they end in their time,
// and that nothing of them stays behind.

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { endpoint, ms } from '../../src/base/index.ts'
import { type Check, httpCheck, programCheck, tcpCheck } from '../../src/chainer/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { heard } from '../support/origin.ts'
import { isAlive } from '../support/gateway.ts'
import { engines, Opened } from './kit.ts'

const opened = new Opened()
afterEach(() => opened.closeAll())

const target = (port: number) => endpoint('127.0.0.1', port)
const ask = (check: Check, port: number): Promise<string> => new Promise(done => check(target(port), ms(5000), done))

describe.each(engines)('over the %s engine', engine => {
  it('tcp: whether it accepts connections', async () => {
    const server = await opened.origin(() => {})
    const { comm } = opened.bench({ engine })
    expect(await ask(tcpCheck(comm), server.port)).toBe('')
    await server.close()
    expect(await ask(tcpCheck(comm), server.port)).toContain('ECONNREFUSED')
  })

  it.each([
    ['HTTP/1.1 200 OK\r\n\r\n', ''],
    ['HTTP/1.0 302 Found\r\n\r\n', ''],
    ['HTTP/1.1 503 Unavailable\r\n\r\n', 'answered 503'],
    ['SSH-2.0-OpenSSH\r\n', 'answered something that is not HTTP'],
    ['', 'closed without an answer'],
  ])('http: %j', async (answer, expected) => {
    const asked: string[] = []
    const server = await opened.origin(async socket => {
      asked.push(await heard(socket))
      socket.end(answer)
    })
    const { comm } = opened.bench({ engine })
    expect(await ask(httpCheck(comm, '/health?x=1'), server.port)).toBe(expected)
    expect(asked[0]).toBe(`GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nConnection: close\r\n\r\n`)
  })

  it('http: a server that says nothing is down when the time is up, and a check that is given up tells nothing', async () => {
    let silent = 0
    const server = await opened.origin(async socket => {
      await heard(socket)
      silent++
    })
    const { comm, clock } = opened.bench({ engine })
    const answered = ask(httpCheck(comm, '/'), server.port)
    const told: string[] = []
    const checking = httpCheck(comm, '/')(target(server.port), ms(5000), why => told.push(why))
    await expect.poll(() => silent).toBe(2)
    checking.cancel()
    clock.advance(6000)
    expect(await answered).toBe('did not answer in time')
    expect(told).toEqual([])
  })
})

describe('program', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'glassquid-check-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const program = (text: string): string => {
    const path = join(folder, `program-${Math.random().toString(36).slice(2)}`)
    writeFileSync(path, `#!/bin/sh\n${text}\n`)
    chmodSync(path, 0o755)
    return path
  }
  const pidIn = (name: string) => () => Number(readFileSync(join(folder, name), 'latin1').trim() || Number.NaN)

  it('is given the time, the address and the port, and answers by how it ends', async () => {
    const clock = new FakeClock()
    const path = program('[ "$*" = "--timeout 5 127.0.0.1 80" ]')
    expect(await ask(programCheck(clock, path), 80)).toBe('')
    expect(await ask(programCheck(clock, path), 81)).toBe('ended with 1')
    expect(await ask(programCheck(clock, program('kill -9 $$')), 80)).toBe('ended by SIGKILL')
    expect(await ask(programCheck(clock, join(folder, 'nowhere')), 80)).toContain('ENOENT')
    expect(clock.pending).toBe(0)
  })

  it('that takes too long is asked to end; one that does not is killed, with whatever it has started', async () => {
    const clock = new FakeClock()
    const path = program(`trap : TERM\nsleep 1000 & echo $! > ${folder}/child\necho $$ > ${folder}/self\nwhile :; do wait; done`)
    const answered = ask(programCheck(clock, path), 80)
    await expect.poll(() => { try { return pidIn('self')() } catch { return 0 } }, { timeout: 5000 }).toBeGreaterThan(0)
    const [self, child] = [pidIn('self')(), pidIn('child')()]
    clock.advance(5000)
    expect(await answered).toBe('did not answer in time')
    expect(isAlive(self)).toBe(true)
    clock.advance(5000)
    await expect.poll(() => [isAlive(self), isAlive(child)], { timeout: 5000 }).toEqual([false, false])
    expect(clock.pending).toBe(0)
  })
})
