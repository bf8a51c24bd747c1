import { readFileSync } from 'node:fs'
import { describe, expect, expectTypeOf, test } from 'vitest'
import type { Bytes, DurationMs, Endpoint } from '../../src/base/index.ts'
import { type AnyDirective, directives, knownDirective, retired } from '../../src/conf/directive/index.ts'
import { generatedFiles } from '../../src/conf/document.ts'
import {
  type AccessLine,
  type Config,
  confText,
  type Diagnostic,
  parseConf,
  type PortConfig,
} from '../../src/conf/index.ts'

// The table is the truth: every name Squid and Lusca know is in it, what it calls a default or an example can be read,
// and the documentation is what it says.

const root = new URL('../../', import.meta.url)
const textOf = (path: string) => readFileSync(new URL(path, root), 'utf8')

const world = { readFile: () => '.example\n', glob: () => [], env: {} }
const parse = (text: string) => parseConf({ file: 'x.conf', text }, world)
const serious = (list: readonly Diagnostic[]) =>
  list.filter(d => d.severity === 'fatal' || d.severity === 'error').map(d => d.message)

const names = textOf('test/golden/conf/names.txt').trim().split('\n')
const live = Object.entries(directives) as [string, AnyDirective][] // read by their own kinds only

test('every name and alias of Squid and Lusca is known', () => {
  expect(names.length).toBeGreaterThan(430)
  expect(names.filter(n => knownDirective(n) === undefined)).toEqual([])
})

test('a name stands in the table once', () => {
  const all = [...live, ...Object.entries(retired)].flatMap(([name, entry]) => [name, ...entry.aliases])
  expect(all.filter((name, i) => all.indexOf(name) !== i)).toEqual([])
})

test('sections hold every directive', () => {
  const { 'docs/reference/conf.md': page = '' } = generatedFiles()
  expect(live.map(([name]) => name).filter(name => !page.includes(`\n### ${name}\n`))).toEqual([])
})

describe('defaults', () => {
  const base = 'http_port 3128\nhttp_access deny all\n'
  const { config } = parse(base)

  test.each(live.filter(([, d]) => d.default !== null).map(([name, d]) => [name, d.default] as const))(
    '%s %s, written into the conf, changes nothing',
    (name, value) => {
      const { config: written, diagnostics } = parse(
        `http_port 3128\n${name === 'http_access' ? '' : 'http_access deny all\n'}${name} ${value}\n`,
      )
      expect(serious(diagnostics)).toEqual([])
      expect(diagnostics.filter(d => /without effect/.test(d.message))).toEqual([])
      expect(written && confText(written)).toBe(config && confText(config))
    },
  )

  test('the conf as it holds is read as the same conf', () => {
    const text = config === null ? '' : confText(config)
    const again = parse(text)
    expect(serious(again.diagnostics)).toEqual([])
    expect(again.config && confText(again.config)).toBe(text)
  })
})

describe('examples', () => {
  const prelude =
    'acl Safe_ports port 80\nacl SSL_ports port 443\nacl localnet src 10.0.0.0/8\nacl staff src 10.1.0.0/16\n'
  test.each(live.filter(([, d]) => d.example !== null).map(([name, d]) => [name, d.example ?? ''] as const))(
    '%s',
    (name, example) => {
      const port = name === 'http_port' ? '' : 'http_port 3128\n'
      expect(serious(parse(`${prelude}${port}${example}\n`).diagnostics)).toEqual([])
    },
  )
})

test('retired directives keep exit 0, whatever stands behind them', () => {
  for (const [name, entry] of Object.entries(retired)) {
    if (entry.status !== 'silent' && entry.status !== 'warned') continue
    for (const spelling of [name, ...entry.aliases]) {
      const { diagnostics } = parse(`http_port 3128\nhttp_access deny all\n${spelling} any thing 1 %\n${spelling}\n`)
      expect(
        diagnostics.map(d => d.severity),
        spelling,
      ).toEqual(entry.status === 'silent' ? [] : ['warning'])
    }
  }
})

test('a directive that is not there yet belongs to something that is not there yet', () => {
  for (const [name, entry] of live) expect(entry.status === 'later', name).toBe(entry.family !== null)
})

test.each(Object.entries(generatedFiles()))(
  '%s is current: otherwise run bin/nodex src/conf/document.ts',
  (path, text) => {
    expect(textOf(path)).toBe(text)
  },
)

test.each(['conf/glassquid.conf', 'conf/lab.conf'])('%s is read without a warning', path => {
  const { config, diagnostics } = parseConf({ file: path, text: textOf(path) }, world)
  expect(diagnostics.filter(d => d.severity !== 'note')).toEqual([])
  expect(config).not.toBeNull()
})

test('the Config has the types the rooms count on', () => {
  expectTypeOf<Config['http_port']>().toEqualTypeOf<readonly PortConfig[]>()
  expectTypeOf<Config['http_access']>().toEqualTypeOf<readonly AccessLine[]>()
  expectTypeOf<Config['cache_mem']>().toEqualTypeOf<Bytes>()
  expectTypeOf<Config['connect_timeout']>().toEqualTypeOf<DurationMs>()
  expectTypeOf<Config['dns_nameservers']>().toEqualTypeOf<readonly Endpoint[]>()
  expectTypeOf<Config['via']>().toEqualTypeOf<boolean>()
  expectTypeOf<Config['visible_hostname']>().toEqualTypeOf<string | null>()
  expectTypeOf<Config['forwarded_for']>().toEqualTypeOf<'on' | 'off' | 'transparent' | 'delete' | 'truncate'>()
})
