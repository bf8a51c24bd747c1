// A thousand reloads of the real daemon while clients ask it all the time: over connections that stay and over new ones,
// hits, misses and slow answers. Not one may fail or be answered by neither conf; the listeners stay, the cache stays. In
// between confs that are refused, which must change nothing.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { httpOrigin, type Origin } from '../support/origin.ts'

const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'glassquid-reload-'))
const confFile = join(folder, 'a.conf')
const logFile = join(folder, 'cache.log')

const reloadsMax = 1000

/** Every hundredth conf is one that nobody may use. */
const confOf = (n: number, port: number): string => `http_port 127.0.0.1:${port}
pid_filename ${folder}/pid
cache_log ${logFile}
access_log stdio:${folder}/access-${n % 3}.log
visible_hostname reload.test
shutdown_lifetime 1 second
request_header_max_size ${64 + (n % 2)} KB
acl even req_header X-Even ${n % 2 === 0 ? 'yes' : 'no'}
acl mine src 127.0.0.${n % 2 === 0 ? '0/8' : '1'}
refresh_pattern . ${n % 5} 20% 4320
cache_mem ${16 + (n % 4)} MB
http_access ${n % 2 === 0 ? 'allow mine' : 'allow localhost'}
${n % 100 === 99 ? 'http_acess allow nobody' : 'http_access deny all'}
`

let daemon: ChildProcess
let origin: Origin
let port = 0

beforeAll(async () => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as net.AddressInfo).port
  server.close()
  await once(server, 'close')
  origin = await httpOrigin((request, response) => {
    if (request.url === '/slow') {
      response.write('slow ')
      setTimeout(() => response.end('answer'), 30)
    } else {
      response.setHeader('Cache-Control', request.url === '/kept' ? 'max-age=600' : 'no-store')
      response.end(`content of ${request.url}`)
    }
  })
  writeFileSync(confFile, confOf(0, port))
  daemon = spawn(glassquid, ['-f', confFile], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = (await once(daemon.stdout as NonNullable<typeof daemon.stdout>, 'data')) as [Buffer]
  expect(said.toString()).toContain('ready')
}, 30_000)

afterAll(async () => {
  if (daemon.exitCode === null) {
    const gone = once(daemon, 'exit')
    daemon.kill('SIGTERM')
    await gone
  }
  await origin.close()
  rmSync(folder, { recursive: true })
})

const ask = (path: string, agent: http.Agent | undefined): Promise<string> =>
  new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: `http://127.0.0.1:${origin.port}${path}`, ...(agent === undefined ? { agent: false } : { agent }) }, response => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      response.on('end', () => resolve(`${response.statusCode} ${text}`))
      response.on('error', reject)
    })
    request.on('error', reject)
  })

const expected = { '/kept': '200 content of /kept', '/slow': '200 slow answer', '/other': '200 content of /other' } as const

const linesWith = (word: string): number => readFileSync(logFile, 'utf8').split('\n').filter(line => line.includes(word)).length

describe('a thousand reloads', () => {
  it('under load: not one request fails, and the cache is kept', async () => {
    let over = false
    let asked = 0
    const wrong: string[] = []
    const kept = new http.Agent({ keepAlive: true, maxSockets: 4 })
    const client = async (path: keyof typeof expected, agent: http.Agent | undefined): Promise<void> => {
      while (!over) {
        const answer = await ask(path, agent).catch((error: unknown) => String(error))
        asked++
        if (answer !== expected[path]) wrong.push(`${path}: ${answer.slice(0, 100)}`)
      }
    }
    expect(await ask('/kept', kept)).toBe(expected['/kept'])
    const clients = [
      client('/kept', kept), client('/kept', undefined), client('/slow', kept), client('/slow', undefined), client('/other', kept), client('/other', undefined),
    ]
    let refused = 0
    for (let n = 1; n <= reloadsMax && wrong.length === 0; n++) {
      const bad = n % 100 === 99
      if (bad) refused++
      writeFileSync(confFile, confOf(n, port))
      daemon.kill('SIGHUP')
      const word = bad ? 'the new conf was refused' : '| Reconfigured'
      const wanted = bad ? refused : n - refused
      // the log is what an operator would look at: the word comes when all is in force
      while (linesSince(word) < wanted && daemon.exitCode === null) await sleep(systemClock, ms(1))
    }
    over = true
    await Promise.all(clients)
    kept.destroy()
    expect(wrong).toEqual([])
    expect(asked).toBeGreaterThan(reloadsMax)
    expect(linesWith('| Reconfigured')).toBe(reloadsMax - refused)
    expect(linesWith('the new conf was refused')).toBe(refused)
    // one fetch in all: the cache went through a thousand confs
    expect(origin.requests.filter(request => request.url === '/kept')).toHaveLength(1)
    expect(linesWith('fault of ours')).toBe(0)
  }, 240_000)
})

/** The log is read on from where it was: a thousand times the whole would be long. */
let readUpTo = 0
let tail = ''
const counts = new Map<string, number>()
const linesSince = (word: string): number => {
  const text = readFileSync(logFile)
  const lines = (tail + text.subarray(readUpTo).toString('latin1')).split('\n')
  readUpTo = text.length
  tail = lines.pop() ?? ''
  for (const line of lines) for (const one of ['| Reconfigured', 'the new conf was refused']) if (line.includes(one)) counts.set(one, (counts.get(one) ?? 0) + 1)
  return counts.get(word) ?? 0
}
