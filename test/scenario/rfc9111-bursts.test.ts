import { createHash } from 'node:crypto'
import http from 'node:http'
import { expect, it, test } from 'vitest'
import type { Wire } from '../support/wire.ts'
import { get, origin, type Stage, stage, until } from './scene.ts'

// Many clients at once, on a site of many kinds of things. Whatever is stored, shared, validated, passed on or broken off
// meanwhile, nobody ever gets a byte that is not of what he asked for.

const kinds = ['fresh', 'stale', 'revalidate', 'private', 'vary', 'chunked', 'close', 'gone'] as const
const things = kinds.flatMap(kind => [0, 100, 5000, 70_000].map(size => ({ kind, size, path: `/${kind}/${size}` })))
type Thing = (typeof things)[number]

/** What the origin says of a thing: bytes that belong to its path and to nothing else. */
const contentOf = (path: string, size: number, variant = ''): Buffer => {
  const seed = createHash('sha256').update(`${path} ${variant}`).digest('hex')
  return Buffer.from(seed.repeat(Math.ceil(size / seed.length)).slice(0, size))
}

const control: { readonly [K in Thing['kind']]?: string } = {
  stale: 'max-age=0',
  revalidate: 'max-age=0, stale-while-revalidate=60',
  private: 'private',
}

const answer: http.RequestListener = (request, response) => {
  const path = request.url ?? ''
  const [, kind = '', size = ''] = path.split('/')
  const variant = kind === 'vary' ? (request.headers['x-kind'] ?? '') : ''
  const content = contentOf(path, Number(size), String(variant))
  response.setHeader('Cache-Control', control[kind as Thing['kind']] ?? 'max-age=60')
  response.setHeader('ETag', `"${size}"`)
  response.setHeader('Vary', 'X-Kind')
  if (request.headers['if-none-match'] === `"${size}"` && kind !== 'vary') return void response.writeHead(304).end()
  response.statusCode = kind === 'gone' ? 410 : 200
  if (kind === 'close') response.shouldKeepAlive = false
  if (kind !== 'chunked') response.setHeader('Content-Length', content.length)
  response.write(content.subarray(0, content.length / 2))
  setImmediate(() => response.end(content.subarray(content.length / 2)))
}

/** The same numbers in every run. */
const dice = (seed: number) => (): number => {
  seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
  return seed / 0x7fffffff
}

const ask = (port: number, thing: Thing, variant: string): string =>
  get(port, thing.path, ...(thing.kind === 'vary' ? [`X-Kind: ${variant}`] : []))

const right = async (wire: Wire, thing: Thing, variant: string): Promise<boolean> => {
  const response = await wire.response()
  const wanted = contentOf(thing.path, thing.size, thing.kind === 'vary' ? variant : '')
  return response.status === (thing.kind === 'gone' ? 410 : 200) && Buffer.from(response.body, 'latin1').equals(wanted)
}

/** One client that asks for `count` things, three at a time, on one connection. */
const client = async (proxy: Stage, port: number, count: number, roll: () => number): Promise<number> => {
  const wire = await proxy.client()
  let wrong = 0
  for (let done = 0; done < count; done += 3) {
    const asked = [0, 1, 2].map(() => ({ thing: things[Math.floor(roll() * things.length)] as Thing, variant: roll() < 0.5 ? 'a' : 'b' }))
    wire.send(asked.map(({ thing, variant }) => ask(port, thing, variant)).join(''))
    for (const { thing, variant } of asked) if (!(await right(wire, thing, variant))) wrong++
  }
  wire.close()
  return wrong
}

test.each(['off', 'on'])('forty clients at once, collapsed_forwarding %s', async collapsed => {
  const proxy = await stage(`collapsed_forwarding ${collapsed}\n`)
  const server = await origin(answer)
  const wrong = await Promise.all(Array.from({ length: 40 }, (_, i) => client(proxy, server.port, 24, dice(i + 1))))
  expect(wrong).toEqual(wrong.map(() => 0))
  await until(() => proxy.machine.validationsBehind === 0, 'the last validation')
  expect(proxy.records.filter(r => r.initiator === 'client')).toHaveLength(40 * 24)
  expect(server.requests.length).toBeLessThan(40 * 24)
})

test.each(['off', 'on'])('clients that leave in the middle of anything do no harm to others, collapsed_forwarding %s', async collapsed => {
  const proxy = await stage(`collapsed_forwarding ${collapsed}\n`)
  const server = await origin(answer)
  const roll = dice(7)
  const leaving = async () => {
    for (let i = 0; i < 12; i++) {
      const wire = await proxy.client()
      wire.send(ask(server.port, things[Math.floor(roll() * things.length)] as Thing, 'a'))
      if (roll() < 0.7) await wire.bytes(Math.floor(roll() * 100)).catch(() => '')
      wire.close()
    }
  }
  const wrong = await Promise.all([
    ...Array.from({ length: 10 }, (_, i) => client(proxy, server.port, 24, dice(i + 100))),
    ...Array.from({ length: 10 }, () => leaving().then(() => 0)),
  ])
  expect(wrong).toEqual(wrong.map(() => 0))
  // and what is stored now is whole
  const wire = await proxy.client()
  for (const thing of things) {
    wire.send(ask(server.port, thing, 'a'))
    expect([thing.path, await right(wire, thing, 'a')]).toEqual([thing.path, true])
  }
})

it('a hundred clients for the same new thing get it whole, and most of them without the origin when it is shared', async () => {
  const proxy = await stage('collapsed_forwarding on\n')
  const server = await origin(answer)
  const thing = { kind: 'fresh', size: 70_000, path: '/fresh/70000' } as const
  const got = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const wire = await proxy.client()
      return right(wire.send(ask(server.port, thing, '')), thing, '')
    }),
  )
  expect([got.every(ok => ok), server.requests.length]).toEqual([true, 1])
})
