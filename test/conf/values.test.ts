import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { canonicalNetwork } from '../../src/conf/network.ts'
import { nearest } from '../../src/conf/nearest.ts'
import {
  readAddress,
  readOnOff,
  readPercent,
  readServer,
  readSize,
  readTime,
  sizeText,
  timeText,
  wholeNumber,
} from '../../src/conf/values.ts'

// The unit table: what each spelling of a size or a time means, which are strict and which are remarked on, and which
// are refused. Seen in the value, the remark and the words used up.

const shown = (v: ReturnType<typeof readSize> | ReturnType<typeof readTime>) =>
  v.ok ? [v.value, v.words, v.remark?.severity ?? ''] : v.message

describe('sizes', () => {
  test.each<[word: string, next: string | undefined, result: unknown]>([
    ['0', undefined, [0, 1, '']],
    ['0', 'KB', [0, 2, '']],
    ['0', 'more', [0, 1, '']],
    ['1', 'bytes', [1, 2, '']],
    ['1', 'KB', [1024, 2, '']],
    ['1', 'kb', [1024, 2, '']],
    ['1', 'KBYTES', [1024, 2, 'note']],
    ['1', 'MB', [1024 ** 2, 2, '']],
    ['1.5', 'GB', [1.5 * 1024 ** 3, 2, '']],
    ['.5', 'KB', [512, 2, '']],
    ['100', 'M', [100 * 1024 ** 2, 2, 'note']],
    ['100MB', undefined, [100 * 1024 ** 2, 1, 'note']],
    ['100MB', 'KB', [100 * 1024 ** 2, 1, 'note']],
    ['2', 'TB', [2 * 1024 ** 4, 2, 'note']],
    ['7', undefined, [7, 1, 'warning']],
    ['7', 'elephants', "Unknown bytes unit 'elephants'"],
    ['7x', undefined, "Unknown bytes unit 'x'"],
    ['-1', 'KB', "a size cannot be negative, got '-1'"],
    ['1e3', 'KB', "expecting a size such as '256 MB', got '1e3'"],
    ['9007199254740992', 'bytes', "'9007199254740992' is too large"],
    ['9007199254740991', 'bytes', [Number.MAX_SAFE_INTEGER, 2, '']],
  ])('%s %s', (word, next, result) => expect(shown(readSize(word, next, bytes(1)))).toEqual(result))

  test('without a unit, the unit of the directive counts', () => {
    expect(shown(readSize('16', undefined, bytes(1024)))).toEqual([16384, 1, 'warning'])
  })

  test('what is written is read as the same size', () => {
    fc.assert(
      fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), n => {
        const [word = '', unit] = sizeText(bytes(n)).split(' ')
        expect(shown(readSize(word, unit, bytes(1)))).toEqual([n, 2, ''])
      }),
    )
  })
})

describe('times', () => {
  const day = 86_400_000
  test.each<[word: string, next: string | undefined, result: unknown]>([
    ['0', undefined, [0, 1, '']],
    ['0', 'seconds', [0, 2, '']],
    ['1', 'second', [1000, 2, '']],
    ['5', 'Minutes', [300_000, 2, '']],
    ['1.5', 'hours', [5_400_000, 2, '']],
    ['2', 'days', [2 * day, 2, '']],
    ['1', 'week', [7 * day, 2, '']],
    ['1', 'fortnight', [14 * day, 2, '']],
    ['1', 'month', [30 * day, 2, '']],
    ['1', 'year', [Math.floor(365.2522 * day), 2, '']],
    ['1', 'decade', [Math.floor(3652.522 * day), 2, '']],
    ['250', 'milliseconds', [250, 2, '']],
    ['5', 'min', [300_000, 2, 'warning']],
    ['5min', undefined, [300_000, 1, 'warning']],
    ['500', 'ms', [500, 2, 'warning']],
    ['3', 'hrs', [10_800_000, 2, 'warning']],
    ['30', undefined, [30_000, 1, 'warning']],
    ['5', 'parsecs', "unknown time unit 'parsecs'"],
    ['5', 'nanoseconds', "the time unit 'nanoseconds' is too small here"],
    ['-1', 'second', "a time cannot be negative, got '-1'"],
    ['soon', undefined, "expecting a time such as '5 minutes', got 'soon'"],
    ['201', 'years', "'201' is too long a time"],
  ])('%s %s', (word, next, result) => expect(shown(readTime(word, next, 1000, 1))).toEqual(result))

  test('a unit finer than the directive is refused', () => {
    expect(shown(readTime('5', 'milliseconds', 1000, 1000))).toBe("the time unit 'milliseconds' is too small here")
    expect(shown(readTime('1.5', 'seconds', 1000, 1000))).toEqual([1000, 2, ''])
  })

  test('what is written is read as the same time', () => {
    fc.assert(
      fc.property(fc.nat({ max: 200 * 365 * day }), n => {
        const [word = '', unit] = timeText(n).split(' ')
        expect(shown(readTime(word, unit, 1000, 1))).toEqual([n, 2, ''])
      }),
    )
  })
})

test.each<[string, number | null]>([
  ['0', 0],
  ['42', 42],
  ['-5', -5],
  ['+5', 5],
  ['0x1f', 31],
  ['0X1F', 31],
  ['017', 15],
  ['-0', 0],
  ['08', null],
  ['1.5', null],
  ['5x', null],
  ['', null],
  ['0x', null],
  ['9007199254740993', null],
])('%s is a whole number as C reads it', (word, number) => expect(wholeNumber(word)).toBe(number))

test.each<[string, boolean | string]>([
  ['on', true],
  ['off', false],
  ['enable', true],
  ['disable', false],
  ['On', "write 'on'"],
  ['no', "write 'off'"],
  ['2', ''],
])('%s as on or off', (word, result) => {
  const value = readOnOff(word)
  expect(value.ok ? value.value : value.hint).toBe(result)
})

test.each<[string, number | null]>([
  ['20%', 20],
  ['20', 20],
  ['12.5%', 12.5],
  ['999999%', 999999],
  ['-1%', null],
  ['%', null],
])('%s as a percentage', (word, result) => {
  const value = readPercent(word)
  expect(value.ok ? value.value : null).toBe(result)
})

test('addresses are canonical', () => {
  expect(readAddress('[2001:DB8:0::1]')).toMatchObject({ value: '2001:db8::1' })
  expect(readAddress('::ffff:192.0.2.1')).toMatchObject({ value: '192.0.2.1' })
  expect(readAddress('192.0.2.256').ok).toBe(false)
  expect(readServer('[2001:db8::1]:5353', 53)).toMatchObject({
    value: { address: '2001:db8::1', port: 5353, family: 6 },
  })
  expect(readServer('2001:db8::1', 53)).toMatchObject({ value: { address: '2001:db8::1', port: 53 } })
  expect(readServer('192.0.2.1:53000', 53)).toMatchObject({ value: { port: 53000 } })
  expect(readServer('192.0.2.1:0', 53).ok).toBe(false)
})

test.each<[string, string | null]>([
  ['127.0.0.1', '127.0.0.1/32'],
  ['127.0.0.1/255.255.255.255', '127.0.0.1/32'],
  ['10.0.0.0/255.0.0.0', '10.0.0.0/8'],
  ['0.0.0.0/0.0.0.0', '0.0.0.0/0'],
  ['10.0.0.0/255.0.255.0', null],
  ['::1', '::1/128'],
  ['::1/129', null],
  ['10.0.0.1-10.0.0.9', null],
  ['all', null],
])('network %s', (text, network) => expect(canonicalNetwork(text)).toBe(network))

test('the nearest word is found for a slip of the finger, and none for another word', () => {
  const known = ['http_access', 'http_port', 'cache_mem', 'via']
  expect(nearest('http_acess', known)).toBe('http_access')
  expect(nearest('htpt_port', known)).toBe('http_port')
  expect(nearest('http-port', known)).toBe('http_port')
  expect(nearest('Cache_Mem', known)).toBe('cache_mem')
  expect(nearest('vai', known)).toBe('via')
  expect(nearest('delay_pools', known)).toBeNull()
  expect(nearest('', known)).toBeNull()
  expect(nearest('z', ['a', 'bz'])).toBeNull()
})
