import { expect, test } from 'vitest'
import type { ResolvedName } from '../../comm/index.ts'
import { monoMs } from '../../src/base/index.ts'
import { unresolvedNames } from '../../src/cli/unresolved-names.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Guards what is told of host names among addresses when a conf is only read, and that it ends. Sees it with a resolver that
// answers what its names say, on a clock that is driven. test/cli/program.test.ts runs the command beside a name server.

const staged = (...names: string[]) => {
  const clock = new FakeClock()
  const counts = { asking: 0, most: 0 }
  const lookup = (name: string): ResolvedName | Promise<ResolvedName> => {
    if (name.startsWith('good')) return { ok: true, addresses: ['192.0.2.1'], expiresAt: monoMs(0) }
    if (name.startsWith('bad')) return { ok: false, code: 'ENOTFOUND', expiresAt: monoMs(0) }
    counts.most = Math.max(counts.most, ++counts.asking)
    return new Promise(() => {})
  }
  const written = names.map((name, i) => ({ name, at: { file: 'a.conf', line: i + 1, column: 1, from: null } }))
  return { clock, counts, told: unresolvedNames(written, { lookup }, clock) }
}

const texts = async (told: ReturnType<typeof unresolvedNames>) => (await told).map(({ at, message }) => `${at.line} ${message}`)

test('those that resolve are not told, the others with their lines', async () => {
  const { told, clock } = staged('good', 'bad.one', 'bad.two')
  expect(await texts(told)).toEqual([
    "2 'bad.one' does not resolve (ENOTFOUND): it would be left out",
    "3 'bad.two' does not resolve (ENOTFOUND): it would be left out",
  ])
  expect(clock.pending).toBe(0)
})

test('none at all', async () => {
  expect(await texts(staged().told)).toEqual([])
})

test('who is not answered is told in one line when the time is over, and no more are asked than may be', async () => {
  const { told, clock, counts } = staged('bad', ...Array.from({ length: 200 }, (_, i) => `silent${i}`))
  await new Promise(resolve => setImmediate(resolve))
  clock.advance(5_000)
  expect(await texts(told)).toEqual(["1 'bad' does not resolve (ENOTFOUND): it would be left out", "2 no answer for 'silent0' nor for 199 others within 5 seconds"])
  expect(counts.most).toBe(64)
})

test('of a hundred and more the rest is counted', async () => {
  const told = await texts(staged(...Array.from({ length: 130 }, (_, i) => `bad${i}`)).told)
  expect(told).toHaveLength(101)
  expect(told.at(-1)).toBe('101 and 30 more names that do not resolve')
})
