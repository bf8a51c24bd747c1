// The name of an address counts for access lists only where it leads back: whoever owns an address may call it what he likes.

import { expect, it } from 'vitest'
import type { Resolver } from '../../comm/index.ts'
import { accessNames } from '../../src/cli/names.ts'

const resolverOf = (known: Readonly<Record<string, readonly string[]>>, later: boolean): Resolver => {
  const lookup = (host: string) => {
    const addresses = known[host]
    const answer = addresses === undefined ? { ok: false } : { ok: true, addresses }
    return later ? Promise.resolve(answer) : answer
  }
  return { lookup } as unknown as Resolver // nothing else of it is asked
}

const forward = { 'box.test': ['192.0.2.7', '192.0.2.8'], 'bank.test': ['203.0.113.1'] }

it.each([
  ['leads back', 'box.test', 'box.test'],
  ['leads elsewhere', 'bank.test', ''],
  ['is known to nobody', 'gone.test', ''],
  ['is not there', '', ''],
])('a name that %s', async (_, name, counts) => {
  for (const later of [false, true]) {
    const names = accessNames(() => resolverOf(forward, later), () => (later ? Promise.resolve(name) : name))
    expect(await names.nameOf('192.0.2.8')).toBe(counts)
  }
})
