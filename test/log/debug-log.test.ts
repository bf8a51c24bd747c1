import { beforeEach, describe, expect, test } from 'vitest'
import { createDebugLog, type DebugLog, type DebugLogOptions, debugSections } from '../../src/log/index.ts'
import { compileStrftime } from '../../src/log/format/strftime.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { MemoryFiles } from './kit.ts'

// Guards cache.log: which lines appear, how they look, and that a peer can neither flood nor forge them.

let clock: FakeClock
let files: MemoryFiles
let echoed: string[]

const open = (of: Partial<DebugLogOptions> = {}): DebugLog =>
  createDebugLog({
    clock, files, path: '/cache.log', levels: [], keep: 2, kid: '', echoLevel: -1, echo: line => echoed.push(line), ...of,
  })

/** Messages without their time. */
const lines = async (log: DebugLog, name = '/cache.log'): Promise<string[]> => {
  await log.flush()
  const text = files.contents.get(name) ?? ''
  return text === '' ? [] : text.slice(0, -1).split('\n').map(line => line.replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d/, ''))
}

beforeEach(() => {
  clock = new FakeClock()
  files = new MemoryFiles()
  echoed = []
})

test('a line begins with the local time, and the kid if there are several', async () => {
  const stamp = compileStrftime('%Y/%m/%d %H:%M:%S', 'local')(clock.wall())
  const alone = open()
  alone.write('main', 1, 'ready')
  const kid = open({ path: '/kid.log', kid: 'kid2' })
  kid.write('main', 1, 'ready')
  await alone.flush()
  await kid.flush()
  expect([files.contents.get('/cache.log'), files.contents.get('/kid.log')]).toEqual([`${stamp}| ready\n`, `${stamp} kid2| ready\n`])
})

test('what cannot be written to it is told on standard error meanwhile, and written later', async () => {
  files.openError = 'EACCES'
  const log = open({ levels: [{ section: 'ALL', level: 3 }] })
  log.write('main', 1, 'cannot do that')
  log.write('acl', 3, 'much')
  expect(echoed.map(line => line.replace(/^\d{4}\S+ \S+\| /, ''))).toEqual([expect.stringContaining('/cache.log cannot be written: EACCES'), 'cannot do that\n'])
  files.openError = null
  clock.advance(1000)
  await log.flush()
  log.write('main', 1, 'better')
  expect(await lines(log)).toEqual(['| cannot do that', '| much', '| better'])
  expect(echoed.filter(line => line.includes('better'))).toEqual([])
})

describe('levels', () => {
  test('1 without asking; ALL and sections by number, a later word winning', async () => {
    const asked: [DebugLogOptions['levels'], boolean[]][] = [
      [[], [true, false, false]],
      [[{ section: 'ALL', level: 0 }], [false, false, false]],
      [[{ section: 'ALL', level: 1 }, { section: 28, level: 5 }], [true, true, false]],
      [[{ section: 28, level: 5 }, { section: 'ALL', level: 1 }], [true, false, false]],
      [[{ section: 'ALL', level: 9 }], [true, true, true]],
    ]
    for (const [levels, expected] of asked) {
      const log = open({ levels })
      expect([log.wants('acl', 1), log.wants('acl', 5), log.wants('comm', 9)]).toEqual(expected)
    }
  })

  test("Squid's numbers mean Squid's parts, each number once", () => {
    expect([debugSections.acl.number, debugSections.client.number, debugSections.comm.number, debugSections.nat.number]).toEqual([28, 33, 5, 89])
    const numbers = Object.values(debugSections).map(section => section.number)
    expect(new Set(numbers).size).toBe(numbers.length)
  })

  test('the words operators look for', async () => {
    const log = open()
    log.error('conf', 'a')
    log.warning('conf', 'b')
    log.alert('client', 'Host header forgery detected')
    log.write('acl', 2, 'too fine')
    expect(await lines(log)).toEqual(['| ERROR: a', '| WARNING: b', '| SECURITY ALERT: Host header forgery detected'])
  })

  test('-d copies lines up to its level', async () => {
    const log = open({ levels: [{ section: 'ALL', level: 5 }], echoLevel: 1 })
    log.write('main', 1, 'coarse')
    log.write('main', 5, 'fine')
    expect(echoed).toHaveLength(1)
    expect(await lines(log)).toEqual(['| coarse', '| fine'])
  })

  test('without a file lines still reach -d', () => {
    const log = open({ path: null, echoLevel: 1 })
    log.write('main', 1, 'x')
    expect(echoed).toHaveLength(1)
  })
})

describe('what a peer sends', () => {
  test('cannot begin a line of its own, nor move the cursor', async () => {
    const log = open()
    log.warning('client', 'URL http://x/\n2026/11/20 00:00:00| FATAL: forged\r\n\x1b[2J')
    expect(await lines(log)).toEqual(['| WARNING: URL http://x/', '    2026/11/20 00:00:00| FATAL: forged', '    \\x1b[2J'])
  })

  test('is cut, and other scripts are UTF-8', async () => {
    const log = open()
    log.write('main', 1, '\u00fc')
    log.write('main', 1, 'x'.repeat(10_000))
    const [first, second] = await lines(log)
    expect(first).toBe('| \xc3\xbc')
    expect(second).toHaveLength(2 + 4096 + 3)
  })
})

describe('one line per key and minute', () => {
  test('the rest is counted, and the count is said when the minute is over', async () => {
    const log = open()
    for (let i = 0; i < 5; i++) log.limited('forgery x.org', 'client', 1, `forgery ${i}`)
    log.limited('other', 'client', 1, 'other')
    expect(await lines(log)).toEqual(['| forgery 0', '| other'])
    clock.advance(60_000)
    expect(await lines(log)).toEqual(['| forgery 0', '| other', '| forgery 4 (4 more like this within a minute)'])
    log.limited('forgery x.org', 'client', 1, 'again')
    expect((await lines(log)).at(-1)).toBe('| again')
  })

  test('keys are limited: the oldest is forgotten with its count', async () => {
    const log = open()
    log.limited('first', 'client', 1, 'first')
    log.limited('first', 'client', 1, 'first')
    for (let i = 0; i < 1000; i++) log.limited(`key ${i}`, 'client', 1, 'x')
    expect(clock.pending).toBeLessThanOrEqual(1001)
    expect(await lines(log)).toContain('| first (1 more like this within a minute)')
  })

  test('close says what was counted', async () => {
    const log = open()
    log.limited('k', 'client', 1, 'a')
    log.limited('k', 'client', 1, 'b')
    await log.close()
    expect((await lines(log)).at(-1)).toBe('| b (1 more like this within a minute)')
    expect(clock.pending).toBe(0)
  })

  test('levels hold here too', async () => {
    const log = open()
    log.limited('k', 'client', 3, 'a')
    expect(await lines(log)).toEqual([])
  })
})

test('a reload changes levels and file; rotation keeps old ones', async () => {
  const log = open()
  log.write('main', 1, 'one')
  log.configure({ path: '/other.log', levels: [{ section: 'ALL', level: 2 }], keep: 1 })
  log.write('main', 2, 'two')
  log.rotate()
  log.write('main', 2, 'three')
  expect(await lines(log, '/cache.log')).toEqual(['| one'])
  expect(await lines(log, '/other.log')).toEqual(['| three'])
  expect(await lines(log, '/other.log.0')).toEqual(['| two'])
  await log.close()
  expect(files.descriptors).toBe(0)
})

test('a cache.log that cannot be written says so elsewhere', async () => {
  files.writeError = 'ENOSPC'
  const log = open()
  log.write('main', 1, 'x')
  await log.flush()
  expect(echoed).toEqual(['log /cache.log cannot be written: ENOSPC; lines wait in memory, then they are dropped\n'])
})
