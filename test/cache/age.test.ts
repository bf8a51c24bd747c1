import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Seconds, seconds, wallMs } from '../../src/base/index.ts'
import { ageField, bornAt, currentAge } from '../../src/cache/age.ts'
import { at, storedOf, t0 } from './kit.ts'

// Guards RFC 9111 4.2.3. Sees it in the age a stored response has at given moments.

const born = (facts: { sent?: number; came?: number; date?: number; age?: number }) =>
  bornAt({
    requestTime: at(facts.sent ?? facts.came ?? 0),
    responseTime: at(facts.came ?? 0),
    date: at(facts.date ?? facts.came ?? 0),
    age: seconds(facts.age ?? 0),
  })

test.each([
  { name: 'a response that came at once is born when it came', facts: {}, born: 0 },
  { name: 'the delay of the answer is age', facts: { sent: -3, came: 0 }, born: -3 },
  { name: 'Age is age', facts: { age: 10 }, born: -10 },
  { name: 'delay and Age add up', facts: { sent: -3, age: 10 }, born: -13 },
  { name: 'a Date in the past is apparent age', facts: { date: -60 }, born: -60 },
  { name: 'the larger of the two counts: Date', facts: { date: -60, age: 10 }, born: -60 },
  { name: 'the larger of the two counts: Age', facts: { date: -60, age: 100 }, born: -100 },
  { name: 'a Date in the future is no negative age', facts: { date: 3600 }, born: 0 },
  { name: 'less than a second of apparent age is the cut of Date', facts: { came: 0.999, date: 0 }, born: 0.999 },
  { name: 'a whole second is not', facts: { came: 1, date: 0 }, born: 0 },
  { name: 'nor does it make the Age it came with any less', facts: { sent: 5, came: 0, age: 10 }, born: -10 },
  { name: 'a clock set back during the exchange is no negative delay', facts: { sent: 5, came: 0 }, born: 0 },
])('$name', ({ facts, born: expected }) => {
  expect(born(facts) - t0).toBe(expected * 1000)
})

test('Age counts whole seconds, cut', () => {
  expect([0, 999, 1000, 1999, 2000].map(ms => ageField(t0, wallMs(t0 + ms)))).toEqual([0, 0, 1, 1, 2])
})

test('a clock set back after storing makes no negative age', () => {
  expect(currentAge(t0, at(-100))).toBe(0)
  expect(ageField(t0, at(-100))).toBe(0)
})

test('Age saturates at 2^31', () => {
  const huge = bornAt({ requestTime: t0, responseTime: t0, date: t0, age: (2 ** 40) as Seconds })
  expect(ageField(huge, t0)).toBe(2 ** 31)
  expect(ageField(huge, at(3600))).toBe(2 ** 31)
})

test.each([
  ['5', 5],
  ['2147483647', 2147483647],
  ['2147483648', 2147483648],
  ['2147483649', 2147483648],
  ['99999999999999999999', 2147483648],
  ['0, 7200', 0],
  ['7200, 0', 7200],
  ['-7200', 0],
  ['7200.0', 0],
  ['abc', 0],
  ['7200a', 0],
  ['a7200', 0],
  ['7200;foo=bar', 0],
  ['', 0],
])('Age: %s is an age of %i: the first member counts, what is no number is ignored', (text, age) => {
  const stored = storedOf({ response: ['Cache-Control: max-age=99999999999', 'ETag: "a"', `Age: ${text}`] })
  expect(stored.ageField(t0)).toBe(age)
})

test('of two Age lines the first counts', () => {
  expect(storedOf({ response: ['Cache-Control: max-age=9999', 'Age: 3', 'Age: 7200'] }).ageField(t0)).toBe(3)
  expect(storedOf({ response: ['Cache-Control: max-age=9999', 'Age: x', 'Age: 7200'] }).ageField(t0)).toBe(0)
})

test('age only grows with time, and a later birth is never an older response', () => {
  const moment = fc.integer({ min: -10_000_000, max: 10_000_000 })
  fc.assert(
    fc.property(moment, moment, fc.nat(10_000), fc.nat(10_000_000), moment, fc.nat(10_000_000), (date, came, delay, age, now, later) => {
      const facts = {
        requestTime: wallMs(t0 + came - delay),
        responseTime: wallMs(t0 + came),
        date: wallMs(t0 + date),
        age: seconds(age),
      }
      const b = bornAt(facts)
      expect(b).toBeLessThanOrEqual(facts.responseTime - delay)
      expect(b).toBeLessThanOrEqual(facts.responseTime - age * 1000)
      const then = wallMs(t0 + now)
      expect(currentAge(b, wallMs(then + later))).toBeGreaterThanOrEqual(currentAge(b, then))
    }),
    { numRuns: 300 },
  )
})
