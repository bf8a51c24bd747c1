import { describe, expect, test } from 'vitest'
import { bytes, ms, wallMs } from '../../src/base/index.ts'
import { validationErrors, Validator } from '../../src/tls/index.ts'

// Answers of sslcrtvalidator_program, and for how long they hold. What is not understood is no answer.

const error = (lines: string): string => `ERR ${lines.length} ${lines}`

test.each([
  ['OK 0 ', []],
  ['OK 0', []],
  [error('error_name_0=X509_V_ERR_CERT_REVOKED\nerror_cert_0=cert_2\n'), [{ name: 'X509_V_ERR_CERT_REVOKED', depth: 2 }]],
  [error('error_name_0=A_B\nerror_depth_0=1\nerror_cert_0=cert_3\nerror_name_1=C_D\n'), [{ name: 'A_B', depth: 1 }, { name: 'C_D', depth: 0 }]],
  [error('error_name_0=A_B\nerror_cert_0=-----BEGIN CERTIFICATE-----\nxyz\n'), [{ name: 'A_B', depth: 0 }]],
  ['ERR 0 ', null],
  ['ERR 500 error_name_0=A_B\n', null],
  [error('error_name_0=<b>\n'), null],
  ['BH 0 ', null],
  ['', null],
  ['OK', null],
  ['yes', null],
])('%j', (answer, errors) => {
  expect(validationErrors(answer)).toEqual(errors)
})

describe('an answer', () => {
  let now = 1_700_000_000_000
  const validator = (answers: (string | null)[], bytesMax = 10_000): { judge: (name?: string) => Promise<unknown>; left: () => number; bytes: () => number } => {
    const made = new Validator({ ask: () => Promise.resolve(answers.shift() ?? null), ttl: ms(60_000), bytesMax: bytes(bytesMax), now: () => wallMs(now) })
    return {
      judge: (name = 'a') => made.judge({ name, version: 'TLSv1.3', cipher: 'x', proof: { certificate: null, errors: [], resumed: false } }),
      left: () => answers.length,
      bytes: () => made.bytes,
    }
  }

  test('holds for ttl', async () => {
    const { judge, left } = validator(['OK 0 ', error('error_name_0=A_B\n')])
    expect(await judge()).toEqual([])
    now += 59_999
    expect(await judge()).toEqual([])
    expect(left()).toBe(1)
    now += 1
    expect(await judge()).toEqual([{ name: 'A_B', depth: 0 }])
  })

  test('that is none is not kept', async () => {
    const { judge } = validator([null, 'nonsense', 'OK 0 '])
    expect([await judge(), await judge(), await judge()]).toEqual([null, null, []])
  })

  test('takes no more than cache=', async () => {
    const { judge, bytes: taken } = validator(Array(100).fill('OK 0 '), 2000)
    for (let i = 0; i < 50; i++) {
      await judge(`host ${i}`)
      expect(taken()).toBeLessThanOrEqual(2000)
    }
    expect(taken()).toBeGreaterThan(1000)
  })
})
