import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { answerRanged } from '../support/ranged.ts'
import type { WireResponse } from '../support/wire.ts'
import { get, origin, request, type Stage, stage, until } from './scene.ts'

// Any history of ranges, wholes, changes, breaks and clients that leave: whatever a client gets is bytes of the one
// version whose tag it is given, exactly those it asked for or the whole, and of a version that was still fresh enough.
// And when all is over nothing is held open.

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const length = 60_000
const lifetime = 30

/** Of any two versions no byte at the same place is the same. */
const version = (n: number): Buffer => {
  const content = Buffer.alloc(length - n * 7)
  for (let i = 0; i < content.length; i++) content[i] = (i * 31 + (i >> 7) + n) & 255
  return content
}

type Step =
  | { readonly do: 'range'; readonly first: number; readonly bytes: number; readonly ifRange: boolean }
  | { readonly do: 'several'; readonly first: number; readonly second: number }
  | { readonly do: 'suffix'; readonly bytes: number }
  | { readonly do: 'whole' | 'head' | 'change' | 'post' }
  | { readonly do: 'leave'; readonly after: number }
  | { readonly do: 'break'; readonly after: number }
  | { readonly do: 'wait'; readonly seconds: number }

const place = fc.nat(length - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('range' as const), first: place, bytes: fc.integer({ min: 1, max: 25_000 }), ifRange: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('several' as const), first: place, second: place }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('suffix' as const), bytes: fc.integer({ min: 1, max: length }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('whole' as const, 'whole' as const, 'head' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), after: fc.integer({ min: 1, max: 40_000 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('break' as const), after: place }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('change' as const, 'change' as const, 'post' as const) }) },
)

/** Throws what is wrong with an answer. `oldest`: the number of the oldest version that may be given. */
const judge = (response: WireResponse, oldest: number, newest: number): void => {
  const { status, fields } = response
  if (status === 304 || status === 416) return
  const number = Number(/^"v(\d+)"$/.exec(fields.get('etag') ?? '')?.[1])
  expect(number).toBeGreaterThanOrEqual(oldest)
  expect(number).toBeLessThanOrEqual(newest)
  const content = version(number)
  const got = Buffer.from(response.body, 'latin1')
  if (status === 200) {
    expect(got.equals(content)).toBe(true)
    return
  }
  expect(status).toBe(206)
  const told = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(fields.get('content-range') ?? '')
  if (told !== null) {
    expect(Number(told[3])).toBe(content.length)
    expect(got.equals(content.subarray(Number(told[1]), Number(told[2]) + 1))).toBe(true)
    return
  }
  const boundary = /boundary=(.+)$/.exec(fields.get('content-type') ?? '')?.[1] ?? ''
  const pieces = response.body.split(`--${boundary}`).slice(1, -1)
  expect(pieces.length).toBeGreaterThan(1)
  for (const piece of pieces) {
    const range = /Content-Range: bytes (\d+)-(\d+)\/(\d+)\r\n\r\n/.exec(piece)
    const start = piece.indexOf('\r\n\r\n') + 4
    expect(piece.slice(start, -2)).toBe(content.toString('latin1', Number(range?.[1]), Number(range?.[2]) + 1))
  }
}

/** `sloppy`: an origin that has not heard of If-Range. */
const played = async (conf: string, steps: readonly Step[], sloppy: boolean): Promise<void> => {
  const proxy = await stage(conf)
  let current = 0
  /** When each version was the newest for the last time, in seconds of the standing clock. */
  const endedAt: number[] = []
  let breakAfter = -1
  const server = await origin((r, response) => {
    if (r.method === 'POST') {
      r.resume()
      response.writeHead(204).end()
      return
    }
    const fields = { 'Cache-Control': `max-age=${lifetime}`, 'Content-Type': 'text/plain' }
    if (sloppy) delete r.headers['if-range']
    if (breakAfter < 0 || r.method === 'HEAD') {
      answerRanged(r, response, { content: version(current), etag: `"v${current}"`, fields })
      return
    }
    // a 200 or 206 that breaks off
    const after = breakAfter
    breakAfter = -1
    const content = version(current)
    const range = /^bytes=(\d+)-(\d*)$/.exec(r.headers.range ?? '')
    const first = range === null ? 0 : Math.min(Number(range[1]), content.length - 1)
    const last = range === null || range[2] === '' ? content.length - 1 : Math.min(Number(range[2]), content.length - 1)
    const sent = content.subarray(first, Math.min(last, first + after))
    response.writeHead(range === null ? 200 : 206, {
      ...fields, ETag: `"v${current}"`, 'Content-Length': last - first + 1,
      ...(range === null ? {} : { 'Content-Range': `bytes ${first}-${last}/${content.length}` }),
    })
    response.write(sent, () => setImmediate(() => response.destroy()))
  })
  let seconds = 0
  const oldest = (): number => {
    let number = 0
    while (number < current && seconds - (endedAt[number] ?? 0) >= lifetime) number++
    return number
  }
  const ask = async (method: string, ...lines: readonly string[]): Promise<void> => {
    const broken = breakAfter >= 0
    const response = await proxy.ask(request(method, server.port, '/', lines), method).catch(error => {
      if (!broken) throw error
      return null
    })
    if (response !== null && method === 'GET' && response.status < 500) judge(response, oldest(), current)
  }
  for (const one of steps) {
    switch (one.do) {
      case 'range':
        await ask('GET', `Range: bytes=${one.first}-${one.first + one.bytes - 1}`, ...(one.ifRange ? [`If-Range: "v${current}"`] : []))
        break
      case 'several':
        await ask('GET', `Range: bytes=${one.first}-${one.first + 99},${one.second}-${one.second + 999}`)
        break
      case 'suffix':
        await ask('GET', `Range: bytes=-${one.bytes}`)
        break
      case 'whole':
        await ask('GET')
        break
      case 'head':
        await ask('HEAD')
        break
      case 'post':
        await ask('POST')
        break
      case 'change':
        endedAt[current++] = seconds
        break
      case 'wait':
        seconds += one.seconds
        proxy.clock.advance(one.seconds * 1000)
        break
      case 'break':
        breakAfter = one.after
        break
      case 'leave': {
        const wire = await proxy.client()
        await wire.send(get(server.port)).bytes(one.after).catch(() => {}) // it may be a 206 that is shorter, or break off
        wire.close()
        break
      }
    }
  }
  await ended(proxy)
}

const ended = async (proxy: Stage): Promise<void> => {
  await until(() => proxy.machine.sessions === 0, 'the end of the sessions')
  await proxy.stop()
}

const heldIn = (folder: string): string[] =>
  readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(folder) ? [path] : []
    } catch {
      return [] // closed meanwhile
    }
  })

const memory = 'cache_mem 64 MB\n'
const disk = (folder: string): string => `cache_dir ufs ${folder} 100\nmemory_cache_mode never\n`

test.each([
  ['memory', 'quick_abort_min 0 KB\nquick_abort_max 0 KB\n'],
  ['memory', 'collapsed_forwarding on\nrange_offset_limit 20 KB\n'],
  ['disk', ''],
  ['disk', 'quick_abort_min -1 KB\nrange_offset_limit none\n'],
  ['both', 'maximum_object_size_in_memory 20 KB\n'],
])('any history on %s: %s', async (where, lines) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), fc.boolean(), async (steps, sloppy) => {
      const folder = mkdtempSync(join(tmpdir(), 'glassquid-random-'))
      folders.push(folder)
      await played(`${where === 'memory' ? memory : where === 'disk' ? disk(folder) : `cache_dir ufs ${folder} 100\n`}${lines}`, steps, sloppy)
      await until(() => heldIn(folder).length === 0, 'the closing of what was held open')
    }),
    { numRuns: 6 },
  )
}, 60_000)
