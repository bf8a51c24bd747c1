import { beforeEach, describe, expect, test } from 'vitest'
import type { Outcome } from '../../src/base/index.ts'
import type { AccessLogLine, LogFormat } from '../../src/conf/config.ts'
import { type AccessLog, createAccessLog, type LineCondition } from '../../src/log/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { formatOf, lineOf, MemoryFiles, outcomeOf } from './kit.ts'

// Guards how the access_log lines of a conf work together.

let clock: FakeClock
let files: MemoryFiles

beforeEach(() => {
  clock = new FakeClock()
  files = new MemoryFiles()
})

const conditions: Readonly<Record<string, LineCondition>> = {
  post: outcome => outcome.method === 'POST',
  get: outcome => outcome.method === 'GET',
}

const open = (lines: readonly AccessLogLine[], formats: readonly LogFormat[] = [], keep = 3): AccessLog =>
  createAccessLog(lines, formats, {
    clock,
    files,
    trouble: () => {},
    conditionOf: line => conditions[line.acls[0]?.name ?? ''] ?? null,
    keep,
    stripQueryTerms: true,
  })

const written = async (log: AccessLog, outcomes: readonly Partial<Outcome>[], ...names: readonly string[]): Promise<string[]> => {
  for (const of of outcomes) log.write(outcomeOf(of))
  await log.flush()
  return names.map(name => files.contents.get(name) ?? 'no file')
}

const short = formatOf('short', '%sn %rm')

describe('lines', () => {
  test('each whose condition holds is written; `none` ends it for the lines below', async () => {
    const log = open(
      [
        lineOf({ place: '/a', format: 'short' }),
        lineOf({ module: 'none', place: '', acls: [{ name: 'post', negated: false }] }),
        lineOf({ place: '/b', format: 'short', acls: [{ name: 'get', negated: false }] }),
        lineOf({ place: '/c', format: 'short', module: 'daemon' }),
      ],
      [short],
    )
    expect(await written(log, [{ method: 'GET' }, { method: 'POST' }, { method: 'PUT' }], '/a', '/b', '/c')).toEqual([
      '0 GET\n1 POST\n2 PUT\n',
      '0 GET\n',
      '0 GET\n1 PUT\n',
    ])
  })

  test('one place is one file, so that lines of two formats do not overtake each other', async () => {
    const log = open([lineOf({ place: '/a', format: 'short' }), lineOf({ place: '/a', format: 'other' })], [short, formatOf('other', 'x')])
    expect(await written(log, [{}], '/a')).toEqual(['0 GET\nx\n'])
    expect(files.descriptors).toBe(1)
  })

  test('the built-in names keep their meaning, and a later logformat wins over an earlier one', async () => {
    const log = open(
      [lineOf({ place: '/a', format: 'referrer' }), lineOf({ place: '/b', format: 'twice' })],
      [formatOf('referrer', 'mine'), formatOf('twice', 'first'), formatOf('twice', 'second')],
    )
    const [a, b] = await written(log, [{}], '/a', '/b')
    expect(a).toBe(`${Math.floor(clock.wall() / 1000)}.000 127.0.0.1 - http://127.0.0.1:18080/plain\n`)
    expect(b).toBe('second\n')
  })

  test('no line, no file', async () => {
    expect(await written(open([]), [{}], '/a')).toEqual(['no file'])
  })
})

test('the time of a line is when it is written', async () => {
  const log = open([lineOf({ place: '/a', format: 'squid' })])
  const begin = clock.wall()
  log.write(outcomeOf())
  clock.advance(1234)
  log.write(outcomeOf())
  await log.flush()
  const times = (files.contents.get('/a') ?? '').split('\n').map(text => text.split(' ')[0])
  expect(times).toEqual([`${begin / 1000}.000`, `${Math.floor((begin + 1234) / 1000)}.234`, ''])
})

test('rotate keeps what the line says, else what logfile_rotate says; close closes all', async () => {
  const log = open([lineOf({ place: '/a', format: 'short' }), lineOf({ place: '/b', format: 'short', rotate: 0 })], [short], 1)
  log.write(outcomeOf())
  log.rotate()
  log.write(outcomeOf())
  await log.flush()
  expect([...files.contents].sort()).toEqual([['/a', '1 GET\n'], ['/a.0', '0 GET\n'], ['/b', '0 GET\n1 GET\n']])
  log.reopen()
  await log.close()
  expect(files.descriptors).toBe(0)
})

test('a full disk never reaches the caller', async () => {
  files.writeError = 'ENOSPC'
  const log = open([lineOf({ place: '/a' })])
  for (let i = 0; i < 2000; i++) log.write(outcomeOf())
  await log.flush()
  files.writeError = null
  clock.advance(1000)
  await log.flush()
  expect((files.contents.get('/a') ?? '').split('\n')).toHaveLength(2001)
})
