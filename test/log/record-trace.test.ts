// At levels above the usual cache.log says of each transaction what the rooms decided, each under its section; and no
// secret, whatever the level.

import { describe, expect, it } from 'vitest'
import { endpoint, type Outcome } from '../../src/base/index.ts'
import { createDebugLog, type SectionLevels, traceRecord } from '../../src/log/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fields, outcomeOf } from './kit.ts'

const told = (levels: SectionLevels, of: Partial<Outcome> = {}): string => {
  let text = ''
  const log = createDebugLog({ clock: new FakeClock(), path: null, levels, keep: 0, kid: '', echoLevel: 9, echo: line => (text += line) })
  if (log.verbose) traceRecord(log, outcomeOf({ sessionId: 'svc/1', ...of }), true)
  return text.replace(/^\S+ \S+\| /gm, '')
}

describe('a transaction in cache.log', () => {
  it('is not told at the usual level', () => {
    expect(told([{ section: 'ALL', level: 1 }])).toBe('')
  })

  it.each<[number, number, Partial<Outcome>, string]>([
    [33, 2, {}, 'svc/1: 127.0.0.1:56878 GET http://127.0.0.1:18080/plain: TCP_MISS/200, 274 bytes in 1 ms\n'],
    [33, 2, { error: 'connect-failed', errorDetail: 'nobody', status: 503, uri: 'http://a.test/?secret' }, 'svc/1: 127.0.0.1:56878 GET http://a.test/?: TCP_MISS/503, 274 bytes in 1 ms, connect-failed (ERR_CONNECT_FAIL): nobody\n'],
    [28, 3, { accessLine: 'x.conf:3', result: 'TCP_DENIED', user: 'me' }, 'svc/1: http_access: denied by x.conf:3, user me\n'],
    [28, 3, { accessLine: 'x.conf:4' }, 'svc/1: http_access: allowed by x.conf:4\n'],
    [22, 3, { reuseReason: 'stale' }, 'svc/1: stored response: stale\n'],
    [20, 3, { storeReason: 'no-store' }, 'svc/1: storing: no-store\n'],
    [17, 3, { peer: 'up' }, 'svc/1: HIER_DIRECT up\n'],
    [102, 3, { forged: true, serverLocal: endpoint('198.51.100.2', 9) }, "svc/1: 127.0.0.1:18080 from 198.51.100.2:9, the client's address: status 200, 1 tried, 1 ms\n"],
    [78, 3, { dnsMs: 12.5 }, 'svc/1: names took 12 ms\n'],
    [89, 3, { taken: 'tproxy' }, 'svc/1: taken by tproxy, was going to 127.0.0.1:13128\n'],
    [26, 3, { result: 'TCP_TUNNEL', errorDetail: 'idle' }, 'svc/1: ended: idle\n'],
  ])('section %i at level %i', (section, level, of, expected) => {
    expect(told([{ section: 'ALL', level: 1 }, { section, level }], of)).toBe(expected)
    expect(told([{ section: 'ALL', level: 1 }, { section, level: level - 1 }], of)).toBe('')
  })

  it('11,2 shows both heads, without what is secret in them', () => {
    const text = told([{ section: 'ALL', level: 1 }, { section: 11, level: 2 }], {
      requestFields: fields('Host', 'a.test', 'Authorization', 'Basic c2VjcmV0'), responseFields: fields('Location', 'http://me:secret@b.test/'),
    })
    expect(text).toBe(
      'svc/1: request of the client:\n    GET http://127.0.0.1:18080/plain HTTP/1.1\n    Host: a.test\n    Authorization: Basic ***\n' +
        'svc/1: response to the client:\n    HTTP/1.1 200\n    Location: http://b.test/\n',
    )
  })
})
