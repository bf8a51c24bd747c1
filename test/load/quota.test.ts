import http from 'node:http'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { httpOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

// Guards the size of a cache_dir: what its folder takes on the file system, index, log and blocks that are not full
// included, while three times as much comes as it may hold.

const ends: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** Of content in the index, and in files of its own. */
const sizes = [600, 3_000, 9_000, 15_000, 40_000, 120_000, 400_000]
const quota = 32 * 1024 * 1024
const turnover = 3 * quota

test('a folder never takes 2 % more than it was given', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-quota-'))
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  const origin = await httpOrigin((request, response) => {
    const n = Number(request.url?.slice(1))
    response.setHeader('Cache-Control', 'max-age=100000')
    response.end(Buffer.alloc(sizes[n % sizes.length] ?? 0, n & 255))
  })
  ends.push(() => origin.close())
  const conf = `http_port 127.0.0.1:0 name=web\nhttp_access allow all\ncache_dir ufs ${folder} ${quota / 1024 / 1024}\ncache_mem 1 MB\n`
  const proxy = await startProxy(conf, 'auto', undefined, () => {})
  ends.push(() => proxy.stop())
  const agent = new http.Agent({ keepAlive: true, maxSockets: 10 })
  ends.push(() => agent.destroy())

  let most = 0
  for (let n = 0, asked = 0; asked < turnover; ) {
    const together: Promise<number>[] = []
    for (let i = 0; i < 20; i++, n++) together.push(get(agent, proxy.port('web'), `http://127.0.0.1:${origin.port}/${n}`))
    for (const bytes of await Promise.all(together)) asked += bytes
    most = Math.max(most, takenBy(folder))
  }
  expect(most).toBeLessThan(1.02 * quota)
  // and it is used: a store that keeps nothing would pass
  expect(most).toBeGreaterThan(0.8 * quota)
})

const get = (agent: http.Agent, port: number, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const asked = http.get({ host: '127.0.0.1', port, path, agent }, response => {
      let bytes = 0
      response.on('data', (piece: Buffer) => (bytes += piece.length)).on('end', () => resolve(bytes)).on('error', reject)
    })
    asked.on('error', reject)
  })

/** As du: blocks, not lengths. What goes meanwhile takes nothing. */
const takenBy = (folder: string): number => {
  let bytes = 0
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    bytes += 512 * (statSync(join(folder, name), { throwIfNoEntry: false })?.blocks ?? 0)
  }
  return bytes
}
