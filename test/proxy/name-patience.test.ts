// How long somebody who can go on without an answer waits for a name server.

import { expect, it } from 'vitest'
import { NamePatience } from '../../src/proxy/http/name-patience.ts'
import type { Resolved } from '../../src/proxy/http/deps.ts'
import { FakeClock } from '../support/fake-clock.ts'

const found: Resolved = { ok: true, addresses: ['192.0.2.1'] }
const never = new Promise<Resolved>(() => {})

it('less and less while nobody answers, and as long as ever after any answer', async () => {
  const clock = new FakeClock()
  const patience = new NamePatience(clock)
  for (const held of [5000, 1000, 100, 100]) {
    expect(patience.now).toBe(held)
    const waiting = patience.wait(never)
    clock.advance(held)
    expect(await waiting).toBe(null)
  }
  expect(await patience.wait(Promise.resolve(found))).toEqual(found)
  expect(patience.now).toBe(5000)
  expect(clock.pending).toBe(0)
})

it('that they say no is an answer, that they said nothing is none', async () => {
  const patience = new NamePatience(new FakeClock())
  expect(await patience.wait(Promise.resolve({ ok: false, code: 'ETIMEOUT' }))).toEqual({ ok: false, code: 'ETIMEOUT' })
  expect(patience.now).toBe(1000)
  await patience.wait(Promise.resolve({ ok: false, code: 'ESERVFAIL' }))
  expect(patience.now).toBe(5000)
})

it('an answer nobody waited for any more counts, and one question counts once', async () => {
  const clock = new FakeClock()
  const patience = new NamePatience(clock)
  let answer = (_: Resolved): void => {}
  const waiting = patience.wait(new Promise<Resolved>(resolve => (answer = resolve)))
  clock.advance(5000)
  await waiting
  answer(found)
  await new Promise(resolve => setImmediate(resolve))
  expect(patience.now).toBe(5000)

  const late = patience.wait(new Promise<Resolved>(resolve => (answer = resolve)))
  clock.advance(5000)
  await late
  answer({ ok: false, code: 'ETIMEOUT' })
  await new Promise(resolve => setImmediate(resolve))
  expect(patience.now).toBe(1000)
})
