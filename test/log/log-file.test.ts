import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/base/index.ts'
import { systemLogFiles } from '../../src/log/index.ts'
import { LogFile, type LogFileOptions } from '../../src/log/log-file.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { MemoryFiles, settle } from './kit.ts'

// Guards that no line is lost while the disk works, that none is glued to another, and that a disk that does not work
// costs memory up to a limit and nothing else.

let clock: FakeClock
let files: MemoryFiles
let troubles: string[]

const open = (of: Partial<LogFileOptions> = {}): LogFile =>
  new LogFile('/log/a', {
    clock, files, encoding: 'latin1', chunkBytes: 100, delayMs: 1000, keep: 3, fatal: null, trouble: message => troubles.push(message), ...of,
  })

const text = (name = '/log/a'): string => files.contents.get(name) ?? ''

beforeEach(() => {
  clock = new FakeClock()
  files = new MemoryFiles()
  troubles = []
})

describe('buffering', () => {
  test('lines go out together after a second, or when a chunk is full', async () => {
    const log = open()
    log.write('one\n')
    log.write('two\n')
    await settle()
    expect(text()).toBe('')
    clock.advance(1000)
    await settle()
    expect([text(), files.writes]).toEqual(['one\ntwo\n', 1])
    for (let i = 0; i < 11; i++) log.write('0123456789')
    await settle()
    expect([text().length, files.writes]).toEqual([8 + 100, 2])
  })

  test('nothing is pending when nothing is written', () => {
    open()
    expect(clock.pending).toBe(0)
  })

  test('one write at a time, in order, and half a write is completed first', async () => {
    files.held = true
    files.writeMax = 3
    const log = open({ chunkBytes: 4 })
    log.write('abcde\n')
    log.write('fghij\n')
    for (let i = 0; i < 6; i++) {
      files.answer()
      await settle()
    }
    expect(text()).toBe('abcde\nfghij\n')
  })

  test('while a write is in flight more gathers, so that one write a turn is enough', async () => {
    files.held = true
    const log = open({ chunkBytes: 10 })
    for (let i = 0; i < 1000; i++) log.write('0123456789\n')
    files.answer()
    await settle()
    files.answer()
    await settle()
    expect([text().length, files.writes]).toEqual([11_000, 2])
  })

  test('flush answers when everything is with the system', async () => {
    const log = open()
    log.write('x\n')
    await log.flush()
    expect(text()).toBe('x\n')
    await log.flush()
  })

  test('close writes, closes once, and takes no more', async () => {
    const log = open()
    log.write('x\n')
    await log.close()
    await log.close()
    log.write('y\n')
    await settle()
    clock.advance(5000)
    await settle()
    expect([text(), files.descriptors, log.dropped]).toEqual(['x\n', 0, 1])
  })
})

describe('the end, over a disk that takes nothing', () => {
  test.each(['openError', 'writeError'] as const)('%s: after a minute what waits is lost, counted, and nothing is left', async error => {
    files[error] = 'EIO'
    const log = open()
    log.write('one\ntwo\n')
    await log.close()
    clock.advance(59_000)
    await settle()
    expect([log.dropped, clock.pending > 0]).toEqual([0, true])
    for (let i = 0; i < 3; i++) {
      clock.advance(1000)
      await settle()
    }
    expect([log.dropped, clock.pending, files.descriptors]).toEqual([2, 0, 0])
  })

  test('room within the minute: nothing is lost', async () => {
    files.writeError = 'ENOSPC'
    const log = open()
    log.write('one\n')
    await log.close()
    clock.advance(30_000)
    await settle()
    files.writeError = null
    clock.advance(1000)
    await settle()
    expect([text(), log.dropped, clock.pending, files.descriptors]).toEqual(['one\n', 0, 0, 0])
  })
})

describe('rotation', () => {
  test('names shift, the oldest goes, and no line is lost, whatever is still in flight', async () => {
    files.held = true
    const log = open({ keep: 2 })
    for (const generation of ['a', 'b', 'c', 'd']) {
      log.write(`${generation}1\n`)
      log.write(`${generation}2\n`)
      if (generation === 'd') break
      log.rotate()
    }
    const closed = log.close()
    for (let i = 0; i < 6; i++) {
      files.answer()
      await settle()
    }
    await closed
    expect([text(), text('/log/a.0'), text('/log/a.1')]).toEqual(['d1\nd2\n', 'c1\nc2\n', 'b1\nb2\n'])
    expect([...files.contents.keys()].sort()).toEqual(['/log/a', '/log/a.0', '/log/a.1', '/log/a.1 (gone)'])
    expect([files.descriptors, log.dropped, troubles]).toEqual([0, 0, []])
  })

  test('0 = open again only: somebody else renames', async () => {
    const log = open({ keep: 0 })
    log.write('old\n')
    await log.flush()
    files.rename('/log/a', '/log/a-yesterday')
    log.write('still old\n')
    log.rotate()
    log.write('new\n')
    await log.flush()
    expect([text('/log/a-yesterday'), text()]).toEqual(['old\nstill old\n', 'new\n'])
    expect(files.descriptors).toBe(1)
  })

  test('a name that cannot be shifted is told, and logging goes on', async () => {
    const log = open({ keep: 1 })
    log.write('a\n')
    await log.flush()
    files.rename = () => {
      throw Object.assign(new Error('EACCES'), { code: 'EACCES' })
    }
    log.rotate()
    log.write('b\n')
    await log.flush()
    expect(text()).toBe('a\nb\n')
    expect(troubles).toEqual(['log /log/a cannot be renamed: EACCES'])
  })
})

describe('a disk that does not work', () => {
  test('full: said once, tried each second, and everything is there when it has room again', async () => {
    const log = open()
    log.write('before\n')
    await log.flush()
    files.writeError = 'ENOSPC'
    for (let i = 0; i < 5; i++) {
      log.write(`during ${i}\n`)
      clock.advance(1000)
      await settle()
    }
    expect(text()).toBe('before\n')
    files.writeError = null
    clock.advance(1000)
    await log.flush()
    expect(text()).toBe('before\nduring 0\nduring 1\nduring 2\nduring 3\nduring 4\n')
    expect(troubles).toEqual(['log /log/a cannot be written: ENOSPC; lines wait in memory, then they are dropped', 'log /log/a can be written again'])
    expect(log.dropped).toBe(0)
  })

  test('full for long: what waits is limited, what is dropped is counted, and lines stay whole', async () => {
    const log = open({ chunkBytes: 65536 })
    files.writeError = 'ENOSPC'
    const line = `${'x'.repeat(1023)}\n`
    for (let i = 0; i < 12 * 1024; i++) log.write(line)
    clock.advance(1000)
    await settle()
    expect(log.dropped).toBeGreaterThan(3 * 1024)
    expect(log.dropped).toBeLessThan(5 * 1024)
    files.writeError = null
    clock.advance(1000)
    await log.flush()
    log.write('after\n')
    await log.flush()
    expect(text().length).toBe((12 * 1024 - log.dropped) * 1024 + 6)
    expect(text().endsWith('x\nafter\n')).toBe(true)
    const dropped = log.dropped
    expect(troubles.slice(0, 3)).toEqual([
      'log /log/a does not take all lines: 1 dropped',
      'log /log/a cannot be written: ENOSPC; lines wait in memory, then they are dropped',
      'log /log/a can be written again',
    ])
    clock.advance(60_000)
    files.writeError = 'ENOSPC'
    for (let i = 0; i < 9 * 1024; i++) log.write(line)
    expect(troubles[3]).toBe(`log /log/a does not take all lines: ${dropped} dropped`)
  })

  test('a write cut short by a full disk is continued in the middle of the line', async () => {
    const log = open()
    files.writeMax = 3
    log.write('abcdef\n')
    clock.advance(1000)
    await Promise.resolve()
    files.writeError = 'ENOSPC'
    await settle()
    expect(text()).toBe('abc')
    files.writeError = null
    files.writeMax = 1000
    clock.advance(1000)
    await log.flush()
    expect(text()).toBe('abcdef\n')
  })

  test('a disk that fails every other second is told once a minute', async () => {
    const log = open()
    for (let i = 0; i < 50; i++) {
      files.writeError = i % 2 === 0 ? 'EIO' : null
      log.write(`${i}\n`)
      clock.advance(1000)
      await settle()
    }
    expect(troubles).toEqual(['log /log/a cannot be written: EIO; lines wait in memory, then they are dropped', 'log /log/a can be written again'])
    expect(text().split('\n')).toHaveLength(51)
  })

  test('a file that cannot be opened is opened when it can', async () => {
    files.openError = 'EACCES'
    const log = open()
    log.write('x\n')
    await log.flush()
    expect(troubles).toHaveLength(1)
    files.openError = null
    clock.advance(1000)
    await settle()
    clock.advance(1000)
    await log.flush()
    expect(text()).toBe('x\n')
  })

  test('a slow pipe is no trouble', async () => {
    const log = open()
    files.writeError = 'EAGAIN'
    log.write('x\n')
    clock.advance(1000)
    await settle()
    files.writeError = null
    clock.advance(20)
    await settle()
    expect([text(), troubles]).toEqual(['x\n', []])
  })

  test('rotated while full: the old lines go to the old file', async () => {
    const log = open()
    files.writeError = 'ENOSPC'
    log.write('old\n')
    clock.advance(1000)
    await settle()
    log.rotate()
    log.write('new\n')
    files.writeError = null
    clock.advance(1000)
    await log.flush()
    await settle()
    expect([text('/log/a.0'), text()]).toEqual(['old\n', 'new\n'])
    expect(files.descriptors).toBe(1)
  })
})

describe('on a real file system', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'log-file-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const real = (path: string, of: Partial<LogFileOptions> = {}): LogFile =>
    new LogFile(path, {
      clock: systemClock, files: systemLogFiles, encoding: 'latin1', chunkBytes: 1000, delayMs: 1000, keep: 2, fatal: null, trouble: message => troubles.push(message), ...of,
    })

  test('appends, rotates and keeps every line under load', async () => {
    const path = join(folder, 'access.log')
    const log = real(path, { keep: 20 })
    for (let i = 0; i < 5000; i++) {
      log.write(`line ${i}\n`)
      if (i % 500 === 499) log.rotate()
      if (i % 50 === 0) await Promise.resolve()
    }
    await log.close()
    await log.flush()
    const read = (name: string) => readFileSync(name, 'latin1')
    const whole = [...Array.from({ length: 10 }, (_, i) => read(`${path}.${9 - i}`)), read(path)].join('')
    expect(whole).toBe(Array.from({ length: 5000 }, (_, i) => `line ${i}\n`).join(''))
  })

  test('/dev/full is a full disk: nothing throws, and trouble is told', async () => {
    const log = real('/dev/full')
    for (let i = 0; i < 1000; i++) log.write('0123456789\n')
    await log.flush()
    expect(troubles[0]).toBe('log /dev/full cannot be written: ENOSPC; lines wait in memory, then they are dropped')
    await log.close()
  })

  test('a folder that is not there is told', async () => {
    const log = real(join(folder, 'none', 'access.log'))
    log.write('x\n')
    await log.flush()
    expect(troubles[0]).toContain('cannot be written: ENOENT')
    await log.close()
  })

  test('a device is not renamed', async () => {
    const log = real('/dev/null')
    log.write('x\n')
    log.rotate()
    await log.close()
    expect(troubles).toEqual([])
  })
})
