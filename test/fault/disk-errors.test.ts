import { spawnSync } from 'node:child_process'
import fs, { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { bytes } from '../../src/base/index.ts'
import { cacheKey, Disks, MemoryStore, type StoredResponse, TieredStore } from '../../src/cache/index.ts'
import { closeDisks, newDisk } from '../cache/disk-kit.ts'
import { fieldsOf, storedOf } from '../cache/kit.ts'
import { contentOf, write } from '../contract/store.ts'
import { curl, factsLog, Gateway, natPort, squidLikeConf } from '../support/gateway.ts'
import { noLabWith, withLab } from '../support/net-lab.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Contract: whatever the disk says (EIO, EMFILE, a file that may not grow, no space), storing pauses, one line says so,
// what is asked for is served from memory or the origin, and storing goes on by itself when the disk does. Nothing is
// ever served that the disk did not give back as it was given.

afterEach(async () => {
  vi.restoreAllMocks()
  await closeDisks()
})

const large = 100_000
const uri = (n: number) => `http://a.example/${n}`
const keyOf = (n: number) => cacheKey('GET', uri(n))
const fresh = (n: number): StoredResponse => storedOf({ uri: uri(n), response: ['Cache-Control: max-age=60'], contentLength: large })
const filled = (n: number): Buffer => Buffer.alloc(large, n)
const errorOf = (code: string): NodeJS.ErrnoException => Object.assign(new Error(`${code}: injected`), { code })

const newTiers = (clock: FakeClock, said: string[]) => {
  const disk = newDisk({ clock, said, limits: { bytesMax: bytes(20_000_000) } })
  const memory = new MemoryStore({ bytesMax: bytes(1_000_000), objectBytesMax: bytes(500_000), variantsMax: 4 })
  return { disk, memory, tiers: new TieredStore(memory, new Disks([disk])) }
}

const found = async (tiers: TieredStore, n: number): Promise<boolean> => {
  const [stored] = (await tiers.lookup(keyOf(n))) ?? []
  if (stored === undefined) return false
  const content = stored.content === null ? Buffer.concat(stored.body) : await contentOf(stored)
  expect(content.equals(filled(n))).toBe(true)
  return true
}

// each call of node:fs a content file needs, and what it may say
const writes = (code: string) => [
  ['open', code], ['writev', code],
] as const

describe.each([...writes('EIO'), ...writes('ENOSPC'), ...writes('EROFS'), ['open', 'EMFILE'], ['open', 'ENFILE']] as const)(
  'where %s says %s while a content is written',
  (call, code) => {
    test('storing pauses, memory serves, and storing goes on afterwards', async () => {
      const clock = new FakeClock()
      const said: string[] = []
      const { disk, tiers } = newTiers(clock, said)
      expect(write(tiers, fresh(1), filled(1))).not.toBe(null)
      await disk.settled()
      const spy = vi.spyOn(fs, call).mockImplementation(((...args: unknown[]) => {
        const done = args.at(-1) as (error: Error, answer: number) => void
        setImmediate(done, errorOf(code), 0)
      }) as never)
      expect(write(tiers, fresh(2), filled(2))).not.toBe(null)
      await disk.settled()
      expect(spy).toHaveBeenCalled()
      expect(said).toHaveLength(1)
      expect(said[0]).toContain(code)
      expect(said[0]).toContain('nothing is written to it for')
      // paused: not even tried
      const calls = spy.mock.calls.length
      expect(write(tiers, fresh(3), filled(3))).not.toBe(null)
      await disk.settled()
      expect(spy.mock.calls.length).toBe(calls)
      expect(disk.open(fresh(4), fieldsOf())).toEqual({ ok: false, reason: 'disk-failed' })
      // all three are served, from memory
      for (const n of [1, 2, 3]) expect(await found(tiers, n)).toBe(true)
      spy.mockRestore()
      clock.advance(61_000)
      expect(write(tiers, fresh(5), filled(5))).not.toBe(null)
      await disk.settled()
      tiers.memory.dropAll()
      expect(await found(tiers, 5)).toBe(true)
      expect(await found(tiers, 2)).toBe(false)
      expect(said).toHaveLength(1)
    })
  },
)

test.each(['EIO', 'EMFILE'])('a content that cannot be read (%s) is not served, and the origin is asked', async code => {
  const clock = new FakeClock()
  const said: string[] = []
  const { disk, tiers } = newTiers(clock, said)
  write(tiers, fresh(1), filled(1))
  await disk.settled()
  tiers.memory.dropAll()
  const call = code === 'EIO' ? 'read' : 'open'
  const spy = vi.spyOn(fs, call).mockImplementation(((...args: unknown[]) => {
    const done = args.at(-1) as (error: Error, answer: number) => void
    setImmediate(done, errorOf(code), 0)
  }) as never)
  expect(await found(tiers, 1)).toBe(false)
  expect(spy).toHaveBeenCalled()
  spy.mockRestore()
  // the descriptor, or the disk, was at fault and not the content
  expect(await found(tiers, 1)).toBe(true)
})

test('where no file may grow (RLIMIT_FSIZE), index and contents refuse, and what is there is right', () => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-limit-'))
  try {
    const program = new URL('full-program.ts', import.meta.url).pathname
    // less than its largest contents, and than its index becomes
    const run = spawnSync('prlimit', ['--fsize=600000', process.execPath, program, folder, 'limited'], {
      encoding: 'utf8', timeout: 60_000,
    })
    expect(run.signal).toBe(null)
    expect(run.stderr).toBe('')
    const result = JSON.parse(run.stdout) as Record<string, number> & { wrong: string[]; right: number[]; notices: string[] }
    expect(result.wrong).toEqual([])
    expect(result['first']).toBeGreaterThan(10)
    expect(result['failed']).toBeGreaterThan(0)
    expect(Math.min(...result.right)).toBeGreaterThan(0)
    for (const notice of result.notices) expect(notice).toMatch(/disk I\/O error|EFBIG|disk is full/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

const cacheable = `require('node:http').createServer((request, response) => {
  console.log('asked')
  response.setHeader('Cache-Control', 'max-age=100')
  response.end('x'.repeat(20000))
}).listen(Number(process.argv[1]), '::', () => console.log('listening'))`
const cannot = noLabWith('nft', 'curl')
describe.skipIf(cannot !== null)(`a proxy whose cache_dir is on a full disk ${cannot ?? ''}`, () => {
  test('serves everybody, from memory too, and says so in one line', () =>
    withLab(async lab => {
      await lab.gateway.script('mkdir -p /run/small; mount -t tmpfs -o size=1m tmpfs /run/small')
      const origin = lab.origin.spawn(process.execPath, ['-e', cacheable, String(natPort)])
      await origin.heard('listening')
      const gateway = await Gateway.open(lab, { conf: `${squidLikeConf}${factsLog}cache_dir ufs /run/small/cache 100\n` })
      await lab.gateway.script('cat /dev/zero >/run/small/filler 2>/dev/null || true')
      for (let i = 0; i < 20; i++) {
        const answer = await curl(lab, '-4', `http://origin.lab:${natPort}/${i % 10}`)
        expect(answer.status).toBe(200)
      }
      expect(origin.said.match(/asked/g)).toHaveLength(10) // the second time round memory had them
      await expect.poll(() => gateway.cacheLog).toMatch(/cache_dir .* nothing is written to it for \d+ seconds/)
      expect((await gateway.control('check')).code).toBe(0)
      expect(gateway.cacheLog.match(/nothing is written to it for/g)).toHaveLength(1)
      expect(await gateway.proxy.stop()).toBe(0)
      expect(readFileSync(join(lab.gateway.root, 'run/small/filler')).length).toBeGreaterThan(100_000)
    }),
  )
})
