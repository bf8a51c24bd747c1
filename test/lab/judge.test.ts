// The judge of the lab's rows: one thing wrong at a time, at each of the three places, and it says so. Without this
// `glassquid lab --check` could be green for no reason.

import { expect, it } from 'vitest'
import { type AccessRecord, parseAccessRecord } from '../../src/intercept/lab/access-record.ts'
import { judge } from '../../src/intercept/lab/judge.ts'
import type { Sight } from '../../src/intercept/lab/origin-program.ts'
import type { Expectation } from '../../src/intercept/lab/script.ts'

const expected: Expectation = {
  status: 200,
  result: 'TCP_MISS',
  taken: 'tproxy',
  destination: '203.0.113.10',
  destinationPort: 80,
  originSaw: '198.51.100.2',
  says: 'hello',
}

const got = { status: 200, content: 'hello you' }

const record: AccessRecord = {
  row: 'row-1',
  clientPort: 0,
  client: '198.51.100.2',
  destination: '203.0.113.10',
  destinationPort: 80,
  taken: 'tproxy',
  result: 'TCP_MISS',
  status: 200,
  bytes: 300,
  ms: 2,
  method: 'GET',
  uri: 'http://origin.lab/',
  hierarchy: 'ORIGINAL_DST',
  serverLocal: '198.51.100.2',
  serverLocalPort: 40000,
}

const sight: Sight = { row: 'row-1', method: 'GET', host: 'origin.lab', path: '/', peer: '198.51.100.2', peerPort: 40000, status: 200 }

it('has nothing to say when all three agree', () => {
  expect(judge(expected, got, record, [sight])).toEqual([])
  const hit = { ...expected, result: 'TCP_MEM_HIT', originSaw: null }
  expect(judge(hit, got, { ...record, result: 'TCP_MEM_HIT', serverLocal: '' }, [])).toEqual([])
})

it.each<[string, Parameters<typeof judge>, RegExp]>([
  ['the client got another status', [expected, { ...got, status: 503 }, record, [sight]], /client: status is 503, not 200/],
  ['the client got other content', [expected, { ...got, content: 'bye' }, record, [sight]], /client: the content/],
  ['the proxy was not in the path', [expected, got, null, [sight]], /proxy: it logged nothing/],
  ['the proxy says it was taken otherwise', [expected, got, { ...record, taken: 'nat' }, [sight]], /taken is nat, not tproxy/],
  ['the proxy was told another destination', [expected, got, { ...record, destination: '198.51.100.1' }, [sight]], /destination is 198/],
  ['or another port', [expected, got, { ...record, destinationPort: 3130 }, [sight]], /port is 3130, not 80/],
  ['the proxy answered otherwise', [expected, got, { ...record, result: 'TCP_MEM_HIT' }, [sight]], /result is TCP_MEM_HIT/],
  ['the proxy asked in its own name', [expected, got, { ...record, serverLocal: '203.0.113.1' }, [sight]], /its own end is 203/],
  ['the origin saw somebody else', [expected, got, record, [{ ...sight, peer: '203.0.113.1' }]], /origin: the other end is 203/],
  ['the origin was not asked', [expected, got, record, []], /origin: it was not asked/],
  ['the origin was asked twice', [expected, got, record, [sight, sight]], /number of requests is 2/],
  ['the origin was asked though it should not be', [{ ...expected, originSaw: null }, got, record, [sight]], /should not have been/],
  ['the origin answered otherwise', [{ ...expected, originStatus: 304 }, got, record, [sight]], /its answer is 200, not 304/],
])('%s', (_what, args, complaint) => {
  expect(judge(...args).join('\n')).toMatch(complaint)
})

it('reads the lines of the log format, and no others', () => {
  const line =
    'row=row-1 taken=nat client=198.51.100.2 destination=203.0.113.10 destinationPort=8080 result=TCP_MEM_HIT status=200 bytes=310 ' +
    'ms=0 method=GET uri=http://origin.lab:8080/a?x=y hierarchy=HIER_NONE serverLocal=- serverLocalPort=-'
  expect(parseAccessRecord(line)).toMatchObject({ row: 'row-1', taken: 'nat', destinationPort: 8080, uri: 'http://origin.lab:8080/a?x=y', serverLocal: '', serverLocalPort: 0 })
  expect(parseAccessRecord('2026/11/20 06:00:00| WARNING: client=none of your business')).toBeNull()
  expect(parseAccessRecord('')).toBeNull()
})
