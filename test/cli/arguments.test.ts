// The command line as people and scripts type it: Squid's switches mean what Squid means, our commands stand beside
// them, and what is not understood is refused with the word that was wrong. Pure text in, wish out.

import { describe, expect, it } from 'vitest'
import { readArguments, usage, type Wish } from '../../src/cli/arguments.ts'

const read = (line: string): Wish => readArguments(line === '' ? [] : line.split(' '))

const common = { confFile: '/etc/glassquid/glassquid.conf', confGiven: false, debugLevel: null, debugAll: false, ignored: [] }

describe('purge and manager', () => {
  it.each<[string, Wish]>([
    ['purge http://a/ http://b/', { kind: 'purge', ...common, what: [['uri', 'http://a/'], ['uri', 'http://b/']] }],
    ['purge -f a.conf --tag x --host .b --prefix p --regex r --iregex i --tag y', {
      kind: 'purge', ...common, confFile: 'a.conf', confGiven: true,
      what: [['host', '.b'], ['prefix', 'p'], ['regex', 'r'], ['iregex', 'i'], ['tag', 'x'], ['tag', 'y']],
    }],
    ['purge -h', { kind: 'help', topic: 'purge' }],
    ['explain http://a/ -X HEAD -H Foo:bar -H A:b --from 10.0.0.1 -R X:y --status 404', {
      kind: 'explain', ...common, json: false,
      question: [['uri', 'http://a/'], ['method', 'HEAD'], ['from', '10.0.0.1'], ['status', '404'], ['field', 'Foo:bar'], ['field', 'A:b'], ['response', 'X:y']],
    }],
    ['manager', { kind: 'manager', ...common, page: 'menu', args: [], json: false, post: false }],
    ['manager objects max=3 --json', { kind: 'manager', ...common, page: 'objects', args: ['max=3'], json: true, post: false }],
    ['manager rotate --post', { kind: 'manager', ...common, page: 'rotate', args: [], json: false, post: true }],
  ])('%s', (line, wish) => expect(read(line)).toEqual(wish))

  it.each([
    ['explain', 'explain what?'],
    ['explain a b', "unexpected 'b'"],
    ['purge', 'purge what?'],
    ['purge --tag=', 'tag is empty'],
    ['purge --tga x', '--tga'],
  ])('%s is refused: %s', (line, why) => expect(read(line)).toMatchObject({ kind: 'wrong', message: expect.stringContaining(why) }))
})

describe("Squid's switches", () => {
  it.each<[string, Wish]>([
    ['', { kind: 'serve', ...common }],
    ['-N', { kind: 'serve', ...common }],
    ['-f a.conf -N -d 1', { kind: 'serve', ...common, confFile: 'a.conf', confGiven: true, debugLevel: 1 }],
    ['-Nd1 -fa.conf', { kind: 'serve', ...common, confFile: 'a.conf', confGiven: true, debugLevel: 1 }],
    ['--foreground -sYC', { kind: 'serve', ...common, ignored: ['-C', '-Y', '-s'] }],
    ['-z -f a', { kind: 'create', ...common, confFile: 'a', confGiven: true }],
    ['-X -n two -m', { kind: 'wrong', message: expect.stringMatching(/'-m'/) }],
    ['-XN -n two', { kind: 'serve', ...common, debugAll: true, ignored: ['-n two'] }],
    ['-a 3129', { kind: 'wrong', message: '-a: ports stand in the conf: http_port 3129' }],
    ['-k parse', { kind: 'parse', ...common }],
    ['-v', { kind: 'version' }],
    ['-h', { kind: 'help', topic: null }],
  ])('%s', (line, wish) => {
    expect(read(line)).toEqual(wish)
  })

  it.each([
    ['reconfigure', 'reconfigure'],
    ['rec', 'reconfigure'],
    ['r', 'reconfigure'],
    ['ro', 'rotate'],
    ['rotate', 'rotate'],
    ['d', 'debug'],
    ['shut', 'shutdown'],
    ['int', 'interrupt'],
    ['k', 'kill'],
    ['c', 'check'],
  ])('-k %s asks to %s', (word, control) => {
    expect(read(`-k ${word}`)).toEqual({ kind: 'control', control, ...common })
  })

  it('-k pa parses: a prefix is enough there too', () => {
    expect(read('-k pa')).toEqual({ kind: 'parse', ...common })
  })
})

describe('rules', () => {
  it('prints for nft unless told otherwise', () => {
    expect(read('rules')).toMatchObject({ kind: 'rules', form: 'nft', deed: 'apply', show: true, failClosed: false })
    expect(read('rules iptables -f a.conf')).toMatchObject({ form: 'iptables', confFile: 'a.conf' })
    expect(read('rules --undo --show')).toMatchObject({ deed: 'undo', show: true })
  })

  it('does what it is asked to do', () => {
    const wish = read('rules --apply -i eth0,eth1 --interface br0 --take 80=3130 --take 8080=web --fail-closed --local --user 13')
    expect(wish).toMatchObject({
      deed: 'apply',
      show: false,
      interfaces: ['eth0', 'eth1', 'br0'],
      take: ['80=3130', '8080=web'],
      failClosed: true,
      local: true,
      user: '13',
    })
  })
})

it('lab stays, or checks', () => {
  expect(read('lab')).toEqual({ kind: 'lab', check: false, example: null })
  expect(read('lab --check')).toEqual({ kind: 'lab', check: true, example: null })
  expect(read('lab relay --check')).toEqual({ kind: 'lab', check: true, example: 'relay' })
})

it.each([
  ['-q', /Unknown option '-q'/],
  ['--frobnicate', /Unknown option '--frobnicate'/],
  ['-k', /-k.*argument/],
  ['-k x', /-k 'x': there is reconfigure, rotate/],
  ['-f', /-f.*argument/],
  ['-d loud', /-d 'loud'/],
  ['squid.conf', /unknown command 'squid.conf'/],
  ['-f a.conf rules', /the command comes first: glassquid rules/],
  ['rules pf', /rules 'pf': there is nft and iptables/],
  ['rules nft more', /unexpected 'more'/],
  ['rules --apply --undo', /not both/],
  ['rules --fail-open --fail-closed', /not both/],
  ['lab relay now', /'now'/],
])('%s is refused, and the message says what was wrong', (line, message) => {
  const wish = read(line)
  expect(wish.kind).toBe('wrong')
  expect(wish.kind === 'wrong' && wish.message).toMatch(message)
})

it('help names every switch and command there is', () => {
  for (const word of ['-f', '-k', '-d', '-z', '-N', '-v', '-h', 'rules', 'lab', 'reconfigure', 'shutdown', 'check', 'parse']) {
    expect(usage(null)).toContain(word)
  }
  for (const word of ['--apply', '--undo', '--show', '--interface', '--take', '--fail-closed', '--local']) {
    expect(usage('rules')).toContain(word)
  }
  expect(read('rules --help')).toEqual({ kind: 'help', topic: 'rules' })
})
