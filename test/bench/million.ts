import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseArgs } from 'node:util'
import { bytes, systemClock } from '../../src/base/index.ts'
import { admit, cacheKey, defaultPolicy, openDisk } from '../../src/cache/index.ts'
import { exchangeOf, fieldsOf } from '../cache/kit.ts'
import { residentBytes } from './measure.ts'

// test/bench/million.ts [--objects 1000000] [--bytes 1000]: how long a start takes with so many objects on disk, from the
// command to the first connection that is taken, and to the first hit; and what the process takes then. The folder is
// made by the store itself.

const { values } = parseArgs({ options: { objects: { type: 'string', default: '1000000' }, bytes: { type: 'string', default: '1000' } } })
const count = Number(values.objects)

const uriOf = (n: number): string => `http://127.0.0.1:18999/images/${n}.png`

const fill = async (folder: string): Promise<void> => {
  const opened = openDisk({
    folder,
    limits: { bytesMax: bytes(8e9), objectBytesMax: bytes(1e6), objectBytesMin: bytes(0), variantsMax: 4, low: 0.9, high: 0.95 },
    clock: systemClock,
    notice: text => console.log(text),
  })
  if (!opened.ok) throw new Error(opened.message)
  const content = Buffer.alloc(Number(values.bytes), 'x')
  const nobody = fieldsOf()
  const lines = [`Date: ${new Date().toUTCString()}`, 'Cache-Control: max-age=360000', 'Content-Type: image/png', 'ETag: "65f1a2b3-4d2"', `Content-Length: ${content.length}`]
  for (let n = 0; n < count; ) {
    const exchange = exchangeOf({ uri: uriOf(n), response: lines })
    const answer = admit({ ...exchange, responseTime: systemClock.wall(), requestTime: systemClock.wall() }, cacheKey('GET', uriOf(n)), defaultPolicy)
    if (answer.kind === 'no') throw new Error(answer.reason)
    const writer = opened.store.open(answer.response, nobody)
    if (writer.ok && writer.writer.append(content) && writer.writer.complete() !== null) n++
    else await new Promise(setImmediate) // the log is behind
    if (n % 64 === 0) await new Promise(setImmediate)
  }
  await opened.store.close()
}

const answered = (port: number, n: number): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(`GET ${uriOf(n)} HTTP/1.1\r\nHost: 127.0.0.1:18999\r\nConnection: close\r\n\r\n`))
    socket.on('data', chunk => (text += chunk.toString('latin1'))).on('end', () => resolve(text)).on('error', reject)
  })

const ended = (child: ChildProcess): Promise<unknown> => {
  const exited = new Promise(resolve => child.on('exit', resolve))
  child.kill('SIGTERM')
  return exited
}

const freePort = (): Promise<number> =>
  new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

const folder = mkdtempSync(join(tmpdir(), 'glassquid-million-'))
try {
  const before = systemClock.mono()
  await fill(join(folder, 'cache'))
  const index = statSync(join(folder, 'cache/index.db')).size
  console.log(`${count} objects of ${values.bytes} bytes: made in ${((systemClock.mono() - before) / 1000).toFixed(0)} s, index ${(index / 1e6).toFixed(0)} MB`)
  const db = new DatabaseSync(join(folder, 'cache/index.db'))
  console.log(`the index says ${String(db.prepare('SELECT count FROM total').get()?.['count'])}`)
  db.close()
  const port = await freePort()
  const conf = join(folder, 'conf')
  writeFileSync(
    conf,
    `http_port 127.0.0.1:${port}\nhttp_access allow all\nconnect_timeout 1 second\ncache_dir ufs ${join(folder, 'cache')} 8000\naccess_log none\ncache_log ${join(folder, 'log')}\npid_filename none\nvisible_hostname bench\n`,
  )
  const empty = join(folder, 'empty')
  writeFileSync(empty, readFileSync(conf, 'latin1').replace('/cache 8000', '/none 8000'))
  const program = join(import.meta.dirname, '../../bin/glassquid')
  // the first one finds an empty folder: what starting costs without all that
  for (const round of [0, 1, 2, 3]) {
    const begun = performance.now()
    const child = spawn(program, ['-f', round === 0 ? empty : conf], { stdio: ['ignore', 'ignore', 'inherit'] })
    let ready = 0
    let first = ''
    while (first === '' && child.exitCode === null) {
      try {
        first = await answered(port, Math.floor(count / 2))
        ready = performance.now() - begun
      } catch {
        await new Promise(resolve => setTimeout(resolve, 5))
      }
    }
    if (round === 0) {
      console.log(`start with an empty folder: first answer after ${ready.toFixed(0)} ms`)
      await ended(child)
      continue
    }
    const hit = /^Age: /m.test(first)
    const hits: number[] = []
    for (let i = 0; i < 200; i++) {
      const at = performance.now()
      if (/^Age: /m.test(await answered(port, (i * 7919) % count))) hits.push(performance.now() - at)
    }
    hits.sort((a, b) => a - b)
    console.log(
      `start ${round}: first answer after ${ready.toFixed(0)} ms, ${hit ? 'a hit' : 'NOT A HIT'}; then ${hits.length} of 200 hits, ` +
        `median ${hits[hits.length >> 1]?.toFixed(2)} ms, resident ${(residentBytes(child.pid ?? 0) / 1e6).toFixed(0)} MB`,
    )
    await ended(child)
  }
  if (process.env['SHOW_LOG'] !== undefined) console.log(readFileSync(join(folder, 'log'), 'latin1'))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
