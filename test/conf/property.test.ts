import fc from 'fast-check'
import { expect, test } from 'vitest'
import { directiveNames } from '../../src/conf/directive/index.ts'
import { confText, diagnosticText, parseConf } from '../../src/conf/index.ts'

// Whatever stands in a file, reading it ends with an answer: a Config or a reason, each reason with a place in a file
// that was read. Seen over random lines made of the words a conf is made of.

const world = {
  readFile: (path: string) => {
    if (path === 'list') return '-i\n10.0.0.1 # c\n\n.x.org\n'
    if (path === 'sub') return 'include sub\nvia ${env:A}\nif true'
    throw new Error('ENOENT: no such file or directory')
  },
  glob: (pattern: string) => (pattern.includes('s') ? ['sub'] : []),
  env: { A: 'on' },
}

const pieces = [
  'allow',
  'deny',
  'all',
  '!localhost',
  '-i',
  '+i',
  '-n',
  '--',
  '-m=,',
  '"list"',
  "'list'",
  '"',
  "'x",
  'parameters("list")',
  '#',
  '# x',
  '\\',
  '{{x}}',
  '${env:A}',
  '${env:B}',
  '${',
  '${x}',
  '__X__',
  'true',
  'false',
  '1 = 1',
  '0x10',
  '-1',
  '0',
  '10',
  'MB',
  'minutes',
  '20%',
  '.',
  '[',
  '(',
  '10.0.0.0/8',
  '::1',
  '[::1]:80',
  ':80',
  '3128',
  'intercept',
  'accel',
  'vhost',
  'name=',
  'vport=x',
  'stdio:/x',
  'none',
  'squid',
  'logformat=squid',
  'src',
  'dst',
  'url_regex',
  'req_header',
  'any-of',
  'note',
  'a',
  'b',
  '=',
  'on',
  'off',
  'sub',
  '*s*',
  '!/bin/x',
  '\ufeff',
  '\u0000',
  '\t',
  '\r',
  'override-expire',
  'max-stale=9',
  'ALL,1',
  'warn',
  'é',
  '__proto__',
  'constructor',
]

const word = fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 12 }))
const name = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...directiveNames()) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'if',
      'else',
      'endif',
      'include',
      'acl',
      'http_port',
      'configuration_includes_quoted_values',
      '#line 3 "f"',
      '__proto__',
      'toString',
    ),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
)
const line = fc.tuple(name, fc.array(word, { maxLength: 7 })).map(([n, words]) => [n, ...words].join(' '))
const conf = fc
  .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom('\n', '\r\n', '\\\n'))
  .map(([lines, end]) => lines.join(end))

test('reading never throws, and every remark has a place', () => {
  fc.assert(
    fc.property(conf, text => {
      const { config, diagnostics } = parseConf({ file: 'x', text }, world)
      for (const d of diagnostics) {
        expect(d.at.line).toBeGreaterThan(0)
        expect(d.at.column).toBeGreaterThan(0)
        expect(diagnosticText(d)).toContain(`${d.at.file}(${d.at.line})`)
      }
      const refused = diagnostics.some(d => d.severity === 'fatal' || d.severity === 'error')
      expect(config === null).toBe(refused)
    }),
    { numRuns: 1500 },
  )
})

test('a conf that can be read, written as it holds, is read as the same', () => {
  const good = fc.constantFrom(
    'acl a src 10.0.0.0/8',
    'acl b url_regex -i ^x +i y\\ z',
    'acl a src "list"',
    'acl localhost src 10.0.0.1',
    'acl m note -m=, t v',
    'cache_mem 7 MB',
    'read_timeout 90 seconds',
    'refresh_pattern -i x 0 20% 1 ignore-reload',
    'access_log none localhost',
    'access_log /x common !all',
    'via off',
    'logformat f %ts " # %>a',
    'dns_nameservers 192.0.2.1 [::1]:5353',
    'debug_options ALL,1 3,2 rotate=1',
    'http_access deny !all CONNECT',
    'no_cache deny all',
    'tcp_outgoing_mark 0x7 localhost',
    'cache_peer_domain p .x.org !y.x.org',
    'header_access Via deny all',
    'emulate_httpd_log on',
    'visible_hostname a # c',
    'request_body_max_size 0',
    'quick_abort_min -1 KB',
    'pconn_timeout 3 hours',
    'http_port 80 accel vhost # c',
    'icap_enable on',
    'ssl_bump splice all',
  )
  fc.assert(
    fc.property(fc.array(good, { maxLength: 12 }), lines => {
      const text = ['http_port 127.0.0.1:3128', 'http_access allow localhost', ...new Set(lines)].join('\n')
      const { config } = parseConf({ file: 'x', text }, world)
      const written = config === null ? '' : confText(config)
      const again = parseConf({ file: 'y', text: written }, world).config
      expect(again && confText(again)).toBe(written)
      expect(written).not.toBe('')
    }),
    { numRuns: 300 },
  )
})
