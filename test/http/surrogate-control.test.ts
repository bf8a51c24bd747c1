// Surrogate-Control (Edge Architecture Specification 1.0): what it says to one surrogate.

import { expect, test } from 'vitest'
import { Fields, surrogateControl } from '../../src/http/index.ts'

const said = (text: string | null, remote = false): string | null => {
  const control = surrogateControl(Fields.from(text === null ? [] : ['Surrogate-Control', text]), { id: 'me', remote })
  return control === null ? null : `${control.noStore ? 'no-store ' : ''}${control.maxAge ?? '-'} ${control.staleWhileRevalidate ?? '-'}`
}

test.each<readonly [string | null, string | null]>([
  [null, null],
  ['', null],
  ['content="ESI/1.0"', null],
  ['max-age=600', '600 -'],
  ['MAX-AGE=600+60', '600 60'],
  ['content="a, max-age=1;me", max-age=5', '5 -'],
  ['no-store', 'no-store - -'],
  ['no-store;other', null],
  ['no-store; me', 'no-store - -'],
  ['no-store;other, max-age=5;other', null],
  ['max-age=5, max-age=7;me', '7 -'],
  ['max-age=7;me, max-age=5', '7 -'],
  ['max-age=5, max-age=6', '5 -'],
  ['max-age=x', null],
  ['max-age=-1', null],
  ['max-age="5"', null],
  ['max-age=99999999999', '2147483648 -'],
  ['no-store-remote', null],
])('%j says %j', (text, expected) => {
  expect(said(text)).toBe(expected)
})

test('no-store-remote is for those far away', () => {
  expect([said('no-store-remote', true), said('no-store-remote;other', true)]).toEqual(['no-store - -', null])
})
