// `glassquid test`: questions to a conf without a proxy, and a log decided again. The lists are the real ones, compiled
// from a real conf file; what is guarded here is that each question reaches them as it was meant, that a wrong answer is
// told with its reason, and that nothing malformed counts as passed.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { policyTest } from '../../src/cli/policy-test/policy-test.ts'

const folder = mkdtempSync(join(tmpdir(), 'glassquid-policy-'))
afterAll(() => rmSync(folder, { recursive: true }))

const conf = `http_port 3128
http_port 3129 tproxy name=gate
acl lan src 10.0.0.0/8 fd00::/8
acl work time D 09:00-17:00
acl bad dstdomain .bad.example
acl net dst 192.0.2.0/24
acl curl browser curl
acl gate myportname gate
http_access deny bad
http_access deny net
http_access deny curl !work
http_access deny gate CONNECT
http_access allow lan
`

let files = 0
const written = (text: string): string => {
  const path = join(folder, `${++files}`)
  writeFileSync(path, text)
  return path
}

const run = async (options: { conf?: string; questions?: string; log?: string; against?: string }) => {
  const said: string[] = []
  const errors: string[] = []
  const code = await policyTest(
    {
      confFile: written(options.conf ?? conf),
      confGiven: true,
      debugLevel: null, debugAll: false,
      ignored: [],
      files: options.questions === undefined ? [] : [written(options.questions)],
      replay: options.log === undefined ? null : written(options.log),
      against: options.against === undefined ? null : written(options.against),
    },
    { out: text => said.push(text), error: text => errors.push(text) },
  )
  return { code, said: said.join('').replaceAll(`${folder}/`, ''), errors: errors.join('').replaceAll(`${folder}/`, '') }
}

describe('a question', () => {
  it.each([
    '10.0.0.5 GET http://good.example/ -> allow line 13',
    'fd00::5 GET http://good.example/ -> allow',
    '192.0.2.1 GET http://good.example/ -> deny default',
    '10.0.0.5 GET http://www.bad.example:8080/x?y -> deny line 9',
    '10.0.0.5 CONNECT www.bad.example:443 -> deny line 9',
    '10.0.0.5 GET http://good.example/ dst=198.51.100.1,192.0.2.7 -> deny line 10',
    '10.0.0.5 GET http://192.0.2.7/ -> deny line 10',
    '10.0.0.5 GET http://good.example/ "User-Agent: curl/8" @Mon 10:00 -> allow',
    '10.0.0.5 GET http://good.example/ "User-Agent: curl/8" @Mon 17:01 -> deny line 11',
    '10.0.0.5 GET http://good.example/ "User-Agent: curl/8" @Sunday 10:00 -> deny line 11',
    '10.0.0.5 GET http://good.example/ "User-Agent: curl/8" @2026-11-20T09:00 -> allow',
    '10.0.0.5 GET http://good.example/ "User-Agent: curl/8" @2026-11-21 10:00 -> deny',
    '10.0.0.5 CONNECT good.example:443 port=gate -> deny line 12',
    '10.0.0.5 CONNECT good.example:443 local=192.0.2.7:443 -> allow',
    '# a comment',
    '',
  ])('%s', async questions => {
    const { code, said, errors } = await run({ questions })
    expect({ code, errors, failed: /(\d+) failed/.exec(said)?.[1] }, said).toEqual({ code: 0, errors: '', failed: '0' })
  })

  it.each([
    ['10.0.0.5 GET http://good.example/ -> deny', 'expected deny, but it is allowed by'],
    ['10.0.0.5 GET http://good.example/ -> allow line 12', 'expected allow line 12, but it is allowed by'],
    ['10.0.0.5 GET http://good.example/ -> allow line other.conf:13', 'expected allow line other.conf:13'],
    ['10.0.0.5 GET http://good.example/ -> allow default', 'expected allow default'],
    ['192.0.2.1 GET http://good.example/ -> deny line 13', 'expected deny line 13'],
    ['10.0.0.5 GET good.example -> allow', 'is nothing a proxy could be asked for'],
    ['10.0.0.5 GET http://good.example/', "there is no '->'"],
    ['10.0.0.5 GET -> allow', 'write CLIENT METHOD URI'],
    ['ten GET http://good.example/ -> allow', "'ten' is no address"],
    ['10.0.0.5 GET http://good.example/ @soon -> allow', "'@soon' is no time"],
    ['10.0.0.5 GET http://good.example/ @Mon 25:00 -> allow', 'is no time'],
    ['10.0.0.5 GET http://good.example/ dst=here -> allow', 'not an address'],
    ['10.0.0.5 GET http://good.example/ "no field" -> allow', 'is no field'],
    ['10.0.0.5 GET http://good.example/ colour=red -> allow', 'is not understood'],
    ['10.0.0.5 GET http://good.example/ -> maybe', "expecting 'allow' or 'deny'"],
    ['10.0.0.5 GET http://good.example/ -> allow line', 'is not understood'],
  ])('that is answered otherwise, or cannot be asked: %s', async (questions, reason) => {
    const { code, said } = await run({ questions })
    expect(code).toBe(1)
    expect(said).toContain(reason)
    expect(said).toContain('1 tests, 1 failed')
  })

  it('is not asked of a conf that is refused', async () => {
    const { code, said, errors } = await run({ conf: 'http_port 3128\nhttp_acess allow all\n', questions: '10.0.0.5 GET http://x/ -> allow' })
    expect({ code, said }).toEqual({ code: 1, said: '' })
    expect(errors).toContain('http_acess')
  })
})

const log = `1700000000.123     12 10.0.0.5 TCP_MISS/200 500 GET http://good.example/ - HIER_DIRECT/192.0.2.7 text/html
1700000000.124     12 10.0.0.5 TCP_MEM_HIT/200 500 GET http://good.example/ - HIER_NONE/- text/html
1700000000.125     12 10.0.0.5 TCP_DENIED/403 500 GET http://bad.example/ - HIER_NONE/- text/html
1700000000.126      0 10.0.0.5 NONE/400 500 NONE error:invalid-request - HIER_NONE/- text/html
10.0.0.5 - - [21/Nov/2026:10:00:00 +0000] "GET http://good.example/b HTTP/1.1" 200 55 "-" "curl/7" TCP_MISS:HIER_DIRECT
10.0.0.5 - - [20/Nov/2026:10:00:00 +0000] "CONNECT bad.example:443 HTTP/1.1" 200 55 TCP_TUNNEL:HIER_DIRECT
rubbish
`

describe('a log, decided again', () => {
  it('shows the requests whose decision differs from the log, and why', async () => {
    const { code, said } = await run({ log })
    expect(code).toBe(1)
    expect(said.match(/^\S+\((\d+)\)/gm)?.map(text => text.replace(/^.*\(/, '('))).toEqual(['(1)', '(5)', '(6)'])
    expect(said).toContain('was allowed (TCP_MISS/200)\n    now denied by')
    expect(said).toContain('5 requests, 3 decided otherwise, 2 lines hold no request that could be decided\n')
  })

  it('shows what differs between two confs, whatever the log says', async () => {
    const { code, said } = await run({ log, against: conf.replace('http_access deny net\n', '') })
    expect(code).toBe(1)
    expect(said.match(/^\S+\((\d+)\)/gm)?.map(text => text.replace(/^.*\(/, '('))).toEqual(['(1)'])
    expect(said).toContain('5 requests, 1 decided otherwise')
  })

  it('is content when nothing differs', async () => {
    expect(await run({ log, against: conf })).toMatchObject({ code: 0, errors: '' })
  })

  it('fails when it cannot be read', async () => {
    const { code, errors } = await run({ log: '', against: 'nonsense\n' })
    expect(code).toBe(1)
    expect(errors).toContain('nonsense')
  })
})
