import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { endpoint, errorTable, type ErrorCode, hierarchyCodes, type HierarchyCode, monoMs, type Outcome, type ResultCode, resultCodes, wallMs } from '../../src/base/index.ts'
import { checkLogFormats, resultText } from '../../src/log/index.ts'
import { builtInFormats } from '../../src/log/format/built-in.ts'
import { codes, formerCodes } from '../../src/log/format/codes.ts'
import { compileFormat, compileText } from '../../src/log/format/compile-format.ts'
import { squidLine } from '../../src/log/format/squid-line.ts'
import { jsonLine } from '../../src/log/format/json-line.ts'
import { fields, formatOf, outcomeOf } from './kit.ts'

// Guards the bytes of a log line. What Squid 5.7 wrote for the same request stands here as text.

const wall = 1_795_156_622_790

const line = (format: string, of: Partial<Outcome> = {}, stripQuery = true): string => {
  const compiled = compileFormat(format, stripQuery)
  const wrong = compiled.problems.find(({ severity }) => severity === 'fatal')
  if (wrong !== undefined) throw new Error(wrong.message)
  return compiled.line(outcomeOf(of), { wallMs: wall, sequence: 7, icap: null }).slice(0, -1)
}

const builtIn = (name: string, of: Partial<Outcome> = {}): string => line(builtInFormats[name] ?? '', of)

describe("Squid's own formats", () => {
  const denied: Partial<Outcome> = {
    result: 'TCP_DENIED', hierarchy: 'HIER_NONE', server: null, status: 403, responseBytes: 3427, uri: 'http://127.0.0.1:18080/denied', endedMono: monoMs(1000),
  }
  const gone: Partial<Outcome> = {
    result: 'NONE_NONE', hierarchy: 'HIER_NONE', server: null, status: 0, responseBytes: 0, method: '', uri: 'error:transaction-end-before-headers', contentType: '', endedMono: monoMs(1000),
  }
  const tunnel: Partial<Outcome> = { result: 'TCP_TUNNEL', method: 'CONNECT', uri: '127.0.0.1:18080', contentType: '', responseBytes: 39, endedMono: monoMs(1301) }

  test.each<[string, Partial<Outcome>, string]>([
    ['squid', {}, '1795156622.790      1 127.0.0.1 TCP_MISS/200 274 GET http://127.0.0.1:18080/plain - HIER_DIRECT/127.0.0.1 text/html'],
    ['squid', { uri: 'http://127.0.0.1:18080/q?x=1&y=%20' }, '1795156622.790      1 127.0.0.1 TCP_MISS/200 274 GET http://127.0.0.1:18080/q? - HIER_DIRECT/127.0.0.1 text/html'],
    ['squid', denied, '1795156622.790      0 127.0.0.1 TCP_DENIED/403 3427 GET http://127.0.0.1:18080/denied - HIER_NONE/- text/html'],
    ['squid', gone, '1795156622.790      0 127.0.0.1 NONE_NONE/000 0 - error:transaction-end-before-headers - HIER_NONE/- -'],
    ['squid', tunnel, '1795156622.790    301 127.0.0.1 TCP_TUNNEL/200 39 CONNECT 127.0.0.1:18080 - HIER_DIRECT/127.0.0.1 -'],
    ['squid', { contentType: 'text/html; charset=utf-8' }, '1795156622.790      1 127.0.0.1 TCP_MISS/200 274 GET http://127.0.0.1:18080/plain - HIER_DIRECT/127.0.0.1 text/html'],
    ['squid', { contentType: 'weird type"x' }, '1795156622.790      1 127.0.0.1 TCP_MISS/200 274 GET http://127.0.0.1:18080/plain - HIER_DIRECT/127.0.0.1 weird'],
    ['squid', { uri: 'http://127.0.0.1:18080/raw\xc3\xa9x' }, '1795156622.790      1 127.0.0.1 TCP_MISS/200 274 GET http://127.0.0.1:18080/raw\xc3\xa9x - HIER_DIRECT/127.0.0.1 text/html'],
    ['common', {}, '127.0.0.1 - - [20/Nov/2026:06:37:02 +0000] "GET http://127.0.0.1:18080/plain HTTP/1.1" 200 274 TCP_MISS:HIER_DIRECT'],
    ['combined', {}, '127.0.0.1 - - [20/Nov/2026:06:37:02 +0000] "GET http://127.0.0.1:18080/plain HTTP/1.1" 200 274 "-" "UA/1.0" TCP_MISS:HIER_DIRECT'],
    ['combined', { requestFields: fields('Referer', 'http://ref/x', 'User-Agent', 'a "b"') }, '127.0.0.1 - - [20/Nov/2026:06:37:02 +0000] "GET http://127.0.0.1:18080/plain HTTP/1.1" 200 274 "http://ref/x" "a \\"b\\"" TCP_MISS:HIER_DIRECT'],
    ['referrer', { requestFields: fields('Referer', 'http://ref/x') }, '1795156622.790 127.0.0.1 http://ref/x http://127.0.0.1:18080/plain'],
    ['referrer', {}, '1795156622.790 127.0.0.1 - http://127.0.0.1:18080/plain'],
    ['useragent', {}, '127.0.0.1 [20/Nov/2026:06:37:02 +0000] "UA/1.0"'],
  ])('%s', (name, of, expected) => {
    expect(builtIn(name, of)).toBe(localZone(expected))
    if (name === 'squid') expect(squidLine(true)(outcomeOf(of), { wallMs: wall, sequence: 0, icap: null })).toBe(`${expected}\n`)
  })
})

/** The recorded lines are of a machine at +0000. */
const localZone = (text: string): string => {
  const stamp = line('%tl')
  return text.replace('20/Nov/2026:06:37:02 +0000', stamp)
}

describe('one line is one line', () => {
  test.each([
    ['http://user:secret@x.org/a', 'http://x.org/a'],
    ['http://x.org/a b\tc\r\nd', 'http://x.org/a%20b%09c%0D%0Ad'],
    ['http://x.org/@a', 'http://x.org/@a'],
    ['http://x.org/\x7f', 'http://x.org/%7F'],
  ])('URI %j', (uri, expected) => {
    expect(line('%ru', { uri })).toBe(expected)
    expect(squidLine(true)(outcomeOf({ uri }), { wallMs: wall, sequence: 0, icap: null }).split(' ')).toContain(expected)
  })

  test('the query is kept when strip_query_terms is off', () => {
    expect(line('%ru', { uri: 'http://x/?a=b' }, false)).toBe('http://x/?a=b')
    expect(squidLine(false)(outcomeOf({ uri: 'http://x/?a=b' }), { wallMs: wall, sequence: 0, icap: null })).toContain(' http://x/?a=b ')
  })
})

describe('encodings, as Squid 5.7 wrote them', () => {
  const value = 'a b "q" %41 [b] \\back ~{}|^\'`<>#?/&='
  const of = { requestFields: fields('X-T', value) }
  test.each([
    ['%{X-T}>h', "a%20b%20%22q%22%20%41%20%5Bb%5D%20%5Cback%20%7E%7B%7D%7C%5E%27%60%3C%3E%23?/&="],
    ['%"{X-T}>h', 'a b \\"q\\" %41 [b] \\\\back ~{}|^\'`<>#?/&='],
    ['%[{X-T}>h', 'a b "q" %2541 %5bb%5d \\\\back ~{}|^\'`<>#?/&='],
    ['%#{X-T}>h', "a%20b%20%22q%22%20%2541%20%5Bb%5D%20%5Cback%20%7E%7B%7D%7C%5E%27%60%3C%3E%23?/&="],
    ['%/{X-T}>h', '"a b \\"q\\" %41 [b] \\\\back ~{}|^\'`<>#?/&="'],
    ["%'{X-T}>h", value],
    ['"%{X-T}>h"', '"a b \\"q\\" %41 [b] \\\\back ~{}|^\'`<>#?/&="'],
    ['[%{X-T}>h]', '[a b "q" %2541 %5bb%5d \\\\back ~{}|^\'`<>#?/&=]'],
    ['"x [%{X-T}>h]" %{X-T}>h', '"x [a b \\"q\\" %41 [b] \\\\back ~{}|^\'`<>#?/&=]" a%20b%20%22q%22%20%41%20%5Bb%5D%20%5Cback%20%7E%7B%7D%7C%5E%27%60%3C%3E%23?/&='],
  ])('%s', (format, expected) => {
    expect(line(format, of)).toBe(expected)
  })

  test('bytes that are no text', () => {
    const odd = { requestFields: fields('X-T', 'tab\there \xc3\xa9 end') }
    expect(line('%{X-T}>h', odd)).toBe('tab%09here%20%C3%A9%20end')
    expect(line('%"{X-T}>h', odd)).toBe('tab\\there \xc3\xa9 end')
    expect(line('%[{X-T}>h', odd)).toBe('tab%09here %c3%a9 end')
    // Squid lets these through: a terminal would obey them
    expect(line('%"{X-T}>h', { requestFields: fields('X-T', '\x1b[0m\x00') })).toBe('\\x1b[0m\\x00')
  })

  test.each(['%', '"', '[', '#', '/', "'"])('a value that is not there is - in every encoding: %s', mark => {
    expect(line(`%${mark === '%' ? '' : mark}{Nope}>h`)).toBe('-')
  })

  test('nothing a peer sends can end a line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii', maxLength: 30 }), fc.constantFrom('', '"', '[', '#', '/'), (text, mark) => {
        const written = line(`%${mark}{X-T}>h %ru %${mark}mt`, { requestFields: fields('X-T', text), uri: `http://x/${text}` })
        expect(written).not.toMatch(/[\r\n]/)
      }),
    )
  })
})

describe('widths, arguments, literals', () => {
  test.each([
    ['%6rm|%-6rm|%.2rm|%8.2rm|%-8.2rmX', '   GET|GET   |GE|      GE|GE      X'],
    ['%06tr|%6tr|%-6tr|', '000001|     1|1     |'],
    ['%15>a|%-15>aX', '      127.0.0.1|127.0.0.1      X'],
    ['%10{X-T}>h|%-12.5{Host}>hE', '-|127.0       E'],
    ['%03>Hs %5<Hs', '200   200'],
    ['%05dt|%-8dtE|%6et|%9{x}note', '-|-E|-|-'],
    ['100%%|%10%x', '100%|         %x'],
    ['%byte{65}%byte{10}B', 'A\nB'],
    ['%>h{Host}|%{Host}>h', '127.0.0.1:18080|127.0.0.1:18080'],
    ['%tg{%Y}|%{%Y}tg', '2026|2026'],
    ['a  b\tc', 'a  b\tc'],
    ['gr\u00fc\u00df', 'gr\xc3\xbc\xc3\x9f'],
    ['', ''],
  ])('%s', (format, expected) => {
    expect(line(format)).toBe(expected)
  })
})

describe('codes', () => {
  test.each<[string, string, Partial<Outcome>?]>([
    ['%>a %>A %>p %>la %>lp %la %lp', '127.0.0.1 127.0.0.1 56878 127.0.0.1 13128 127.0.0.1 13128'],
    ['%>la %>lp %la %lp', '192.0.2.1 80 - -', { taken: 'nat', clientLocal: endpoint('192.0.2.1', 80) }],
    ['%<a %<A %<p %<la %<lp', '127.0.0.1 127.0.0.1 18080 127.0.0.1 49734'],
    ['%<a %<A %<p %<la %<lp', '- - - - -', { server: null, serverLocal: null }],
    ['%ts.%03tu %tu %tS %tr', '1795156622.790 790 1795156622.789 1'],
    ['%<pt %<tt %dt', '0 1 -'],
    ['%<pt %<tt %dt', '- - 12', { serverResponseMs: -1, serverTotalMs: -1, dnsMs: 12.9 }],
    ['%rm %>rm %<rm %rv %>rv %<rv', 'GET GET GET 1.1 1.1 1.1'],
    ['%ru %>ru %<ru', 'http://x/q? http://x/q?a=%20 http://x/q?a=%20', { uri: 'http://x/q?a=%20' }],
    ['%>ru', 'http://x/odd%22%3C%3E%7B%7D%7C%5C%5E%7E%5B%5D%60%27x', { uri: 'http://x/odd"<>{}|\\^~[]`\'x' }],
    ['%>rs %>rd %>rP %>rp', 'http 127.0.0.1 18080 /q?x=1', { uri: 'http://127.0.0.1:18080/q?x=1' }],
    ['%>rs %>rd %>rP %>rp', 'https [2001:db8::1] 443 /', { uri: 'https://[2001:db8::1]/' }],
    ['%>rs %>rd %>rP %>rp', '- 127.0.0.1 18080 -', { uri: '127.0.0.1:18080', method: 'CONNECT' }],
    ['%>rs %>rd %>rP %>rp', '- - - -', { uri: 'error:invalid-request' }],
    ['%{Host}>h %{x-two}<h %{Nope}<h', '127.0.0.1:18080 a,%20b,%20c%22d -'],
    ['%{Cache-Control:max-age}>h|%{Cache-Control:x}>h|%{Cache-Control:no-cache}>h|%{Cache-Control:zz}>h', '5|%22y%22|-|-', { requestFields: fields('Cache-Control', 'max-age=5, x="y", no-cache') }],
    ['%{C:;b}>h', '2', { requestFields: fields('C', 'a=1; b=2') }],
    ['%{C:b}>h', '%22x,%20c=3%22', { requestFields: fields('C', 'b="x, c=3", d=4') }],
    ['%>h', 'User-Agent:%20UA/1.0%0D%0AHost:%20127.0.0.1:18080%0D%0A'],
    ['[%>h]', '[User-Agent: UA/1.0\\r\\nHost: 127.0.0.1:18080\\r\\n]'],
    ['[%<h]', '[HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\nX-Two: a, b\\r\\nX-Two: c"d\\r\\n\\r\\n]'],
    ['%>h %<h', '- -', { requestFields: null, responseFields: null }],
    ['%>Hs %<Hs %mt', '200 200 text/html'],
    ['%>Hs %<Hs %mt', '403 - -', { status: 403, serverStatus: 0, contentType: '' }],
    ['%st %>st %<st %>sh %<sh %<sH %<sS %<bs', '405 131 274 131 269 5 5 5'],
    ['%<sS %<bs', '3076 -', { responseBytes: 3427, responseHeadBytes: 351, serverContentBytes: -1 }],
    ['%Ss %Sh %err_code %err_detail %request_attempts', 'TCP_MISS HIER_DIRECT - - 1'],
    ['%Ss %err_code %err_detail', 'TCP_MISS ERR_CONNECT_FAIL errno=111', { error: 'connect-failed', errorDetail: 'errno=111' }],
    ['%sn', '7'],
    ['%un %ul %ue %et %ea %note %credentials %{x}note %ssl::>sni %ssl::bump_mode %>eui', '- - - - - - - - - - -'],
    ['%tg', '20/Nov/2026:06:37:02'],
    ['%{%H:%M:%S %j %e %z %F %T %p %I %y %a %A %b %B %d %u %V %U %W %w %s %D %R %%}tg', '06:37:02 324 20 +0000 2026-11-20 06:37:02 AM 06 26 Fri Friday Nov November 20 5 47 46 46 5 1795156622 11/20/26 06:37 %'],
  ])('%s', (format, expected, of = {}) => {
    expect(line(format, of)).toBe(expected)
  })

  test('every code of the table can be written, with an outcome full or empty', () => {
    const empty = outcomeOf({
      requestFields: null, responseFields: null, server: null, serverLocal: null, uri: '-', method: '', contentType: '', status: 0, serverStatus: 0,
    })
    for (const name of Object.keys(codes)) {
      const compiled = compileFormat(`%${name}`, true)
      // those that never have a value are named when the conf is read
      expect(compiled.problems.map(({ severity, message }) => [severity, /always -$/.test(message)]), name).toEqual(codes[name]?.silent ? [['warning', true]] : [])
      for (const outcome of [outcomeOf(), empty]) expect(compiled.line(outcome, { wallMs: wall, sequence: 0, icap: null }), name).toMatch(/^[^\n]+\n$/)
    }
  })

  test('former names lead to codes, with a word about it', () => {
    for (const [former, today] of Object.entries(formerCodes)) {
      expect(codes, former).toHaveProperty([today])
      expect(compileFormat(`%${former}`, true).problems.map(p => p.severity)).toEqual(['warning'])
    }
    expect(compileFormat('%Hs', true).problems[0]?.message).toBe('The "Hs" formatting code is deprecated. Use the ">Hs" instead.')
  })

  test('an unknown code is fatal, with its place', () => {
    const [first, second, ...rest] = checkLogFormats([formatOf('mine', '%ts %zz %>a%'), formatOf('fine', '%ts')])
    expect(first).toMatchObject({ severity: 'fatal', message: "logformat mine, character 5: Unsupported %code: '%zz'" })
    expect(second).toMatchObject({ severity: 'fatal', message: "logformat mine, character 12: Unsupported %code: '%'" })
    expect(rest).toEqual([])
    expect(compileFormat('%byte{256}', true).problems).toHaveLength(1)
  })
})

describe('result codes', () => {
  test.each<[Partial<Outcome>, string]>([
    [{ result: 'TCP_MEM_HIT' }, 'TCP_MEM_HIT'],
    [{ result: 'TCP_MISS', collapsed: true }, 'TCP_CF_MISS'],
    [{ result: 'TCP_REFRESH_UNMODIFIED', collapsed: true }, 'TCP_CF_REFRESH_UNMODIFIED'],
    [{ result: 'TCP_MISS', error: 'client-aborted' }, 'TCP_MISS_ABORTED'],
    [{ result: 'TCP_MISS', error: 'read-timeout' }, 'TCP_MISS_TIMEDOUT'],
    [{ result: 'TCP_MISS', error: 'read-timeout', collapsed: true }, 'TCP_CF_MISS_TIMEDOUT'],
    [{ result: 'TCP_DENIED', error: 'denied' }, 'TCP_DENIED'],
    [{ result: 'NONE_NONE', error: 'request-timeout' }, 'NONE_NONE_TIMEDOUT'],
  ])('%j', (of, expected) => {
    expect(resultText(outcomeOf(of))).toBe(expected)
  })
})

test('the line written by hand is the line of the format', () => {
  const anyOutcome = fc.record({
    endedMono: fc.double({ min: 0, max: 3e6, noNaN: true }).map(monoMs),
    status: fc.integer({ min: 0, max: 999 }),
    responseBytes: fc.nat(),
    method: fc.constantFrom('GET', 'POST', 'CONNECT', ''),
    uri: fc.constantFrom('http://x/', 'http://x/a?b', 'http://u:p@x/ a', '-', 'x:443', ''),
    contentType: fc.constantFrom('', 'text/html', 'text/html;charset=x', 'a b', ';'),
    result: fc.constantFrom(...(Object.keys(resultCodes) as ResultCode[])),
    hierarchy: fc.constantFrom(...(Object.keys(hierarchyCodes) as HierarchyCode[])),
    error: fc.constantFrom(null, ...(Object.keys(errorTable) as ErrorCode[])),
    collapsed: fc.boolean(),
    server: fc.constantFrom(null, endpoint('192.0.2.1', 80), endpoint('2001:db8::1', 80)),
  })
  const byHand = squidLine(true)
  const byFormat = compileFormat(builtInFormats.squid ?? '', true).line
  fc.assert(
    fc.property(fc.array(fc.tuple(anyOutcome, fc.integer({ min: 1_000_000_000_000, max: 9_999_999_999_999 })), { minLength: 1, maxLength: 5 }), outcomes => {
      for (const [of, at] of outcomes) {
        const moment = { wallMs: wallMs(at), sequence: 0, icap: null }
        expect(byHand(outcomeOf(of), moment)).toBe(byFormat(outcomeOf(of), moment))
      }
    }),
    { numRuns: 300 },
  )
})

/** Those of Squid's documentation for access_log. */
const squidCodes = `>a >A >p >eui >la >lp la lp >qos >nfmark transport::>connection_id <a <A <p <la <lp <qos <nfmark ts tu tl tg tr dt tS
  busy_time <pt <tt rm >rm <rm ru >ru <ru >rs <rs >rd <rd >rP <rP rp >rp <rp rv >rv <rv >h >ha sn >Hs <Hs mt <h st >st <st >sh <sh <sH
  <sS <bs Ss Sh err_code err_detail request_attempts note master_xaction credentials un ul ue et ea ssl::bump_mode ssl::>sni
  ssl::>cert_subject ssl::<cert_subject ssl::>cert_issuer ssl::<cert_issuer ssl::<cert ssl::<cert_errors ssl::>negotiated_version
  ssl::<negotiated_version ssl::>negotiated_cipher ssl::<negotiated_cipher ssl::>received_hello_version ssl::<received_hello_version
  ssl::>received_supported_version ssl::<received_supported_version ssl::>handshake >handshake proxy_protocol::>h adapt::all_trs
  adapt::sum_trs adapt::<last_h icap::tt Hs oa >v rG us ui`.split(/\s+/)

test.each(squidCodes)('%%%s is known', code => {
  expect(compileFormat(`%${code}`, true).problems.filter(problem => problem.severity === 'fatal')).toEqual([])
  expect(line(code in formerCodes ? '%ts' : `%${code}`)).not.toBe('')
})

describe('passwords are in no log', () => {
  const secret = 'pa55word'
  const basic = Buffer.from(`me:${secret}`).toString('base64')
  const of: Partial<Outcome> = {
    uri: `http://me:${secret}@example.com/a?b#c`,
    requestFields: fields(
      'Authorization', `Basic ${basic}`, 'Proxy-Authorization', secret, 'Referer', `http://me:${secret}@a.example/x`,
      'X-Other', `see http://me:p@${secret}@b.example/, http://c.example/d@e`,
    ),
    responseFields: fields('Location', `https://${secret}@d.example/`, 'Content-Type', 'text/html'),
  }
  const asking = Object.keys(codes).map(code => `%${code} %"${code} %[${code} %#${code} %/${code} %'${code} %j${code}`)
  const named = ['Authorization', 'Proxy-Authorization', 'authorization:x', 'Referer', 'X-Other'].flatMap(name => [`%{${name}}>h`, `%{${name}}>ha`])

  test.each([...asking, ...named, '%{Location}<h', ...Object.values(builtInFormats), '%>h %<h'])('%s', format => {
    const text = line(format, of, false)
    expect(text).not.toContain(secret)
    expect(text).not.toContain(basic.slice(0, 8))
  })

  test('nor in JSON', () => {
    const text = jsonLine(false)(outcomeOf(of), { wallMs: wall, sequence: 0, icap: null })
    expect(text).not.toContain(secret)
    expect(JSON.parse(text)).toMatchObject({ uri: 'http://example.com/a?b#c', referer: 'http://a.example/x' })
  })

  test('what is no secret stays', () => {
    expect(line('%{Authorization}>h', of)).toBe('Basic%20***')
    expect(line("%'{Proxy-Authorization}>h", of)).toBe('***')
    expect(line("%'{X-Other}>h", of)).toBe('see http://b.example/, http://c.example/d@e')
    expect(line('%ru', { uri: 'http://a.example/~me@home' })).toBe('http://a.example/~me@home')
  })

  test('a program that decides by them is told', () => {
    const of = outcomeOf({ requestFields: fields('Authorization', 'Bearer t0ken') })
    expect(compileText('%{Authorization}>h', 'url', true).text(of)).toBe('Bearer%20t0ken')
    expect(compileText('%{Authorization}>h', 'url').text(of)).toBe('Bearer%20***')
  })

  test("the manager's password, as squidclient sends it", () => {
    expect(line('%ru', { uri: `cache_object://127.0.0.1/config@${secret}` })).toBe('cache_object://127.0.0.1/config@***')
  })
})

describe('JSON', () => {
  test('every line is an object, whatever a peer has sent', () => {
    const anyBytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map(n => String.fromCharCode(n)) })
    fc.assert(
      fc.property(anyBytes, anyBytes, (a, b) => {
        const outcome = outcomeOf({ uri: a, method: a, contentType: b, errorDetail: b, requestFields: fields('User-Agent', a, 'Referer', b) })
        const built = Buffer.from(jsonLine(true)(outcome, { wallMs: wall, sequence: 0, icap: null }), 'latin1')
        const own = Buffer.from(compileFormat('{"uri":"%j>ru","agent":"%j{User-Agent}>h","d":"%jerr_detail"}', false).line(outcome, { wallMs: wall, sequence: 0, icap: null }), 'latin1')
        for (const bytes of [built, own]) {
          JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
          expect(bytes.indexOf(10)).toBe(bytes.length - 1)
        }
        // text is the peer's, but for what could be user information of a URI
        if (a !== '' && !a.includes('@')) expect(JSON.parse(String(built)).user_agent).toBe(Buffer.from(a, 'latin1').toString())
      }),
    )
  })

  test('has the peer, and that not all peers had answered', () => {
    const moment = { wallMs: wall, sequence: 0, icap: null }
    const outcome = outcomeOf({ hierarchy: 'FIRST_PARENT_MISS', peer: 'p1', icpTimedOut: true })
    expect(compileFormat('%Sh/%<A', false).line(outcome, moment)).toBe('TIMEOUT_FIRST_PARENT_MISS/p1\n')
    expect(squidLine(true)(outcome, moment)).toContain(' TIMEOUT_FIRST_PARENT_MISS/127.0.0.1 ')
  })

  test('has what the record has', () => {
    const text = jsonLine(true)(outcomeOf({ accessLine: 'x.conf:3', reuseReason: 'fresh', storeReason: 'no-store', error: 'denied', errorDetail: 'because', peer: 'p1' }), { wallMs: wall, sequence: 0, icap: null })
    expect(JSON.parse(text)).toMatchObject({
      time: '2026-11-20T06:37:02.790Z', duration_ms: 1, client: '127.0.0.1', method: 'GET', uri: 'http://127.0.0.1:18080/plain', result: 'TCP_MISS',
      status: 200, server: '127.0.0.1', server_bytes: 5, dns_ms: null, rule: 'x.conf:3', reuse: 'fresh', store: 'no-store', error: 'denied',
      error_page: 'ERR_ACCESS_DENIED', error_detail: 'because', user_agent: 'UA/1.0', referer: null, peer: 'p1',
    })
  })
})
