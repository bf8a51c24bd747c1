import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../src/base/index.ts'
import { httpOrigin } from '../support/origin.ts'
import { contentFor } from './disk-program.ts'

// Contract: a proxy with a disk cache may be killed at any moment of its work. The next one starts at once and serves
// what the former had stored; every content a client gets to its end, before or after, is one the origin has sent under
// that URI, byte for byte. Seen with clients that ask without pause, and an origin that never says the same twice.

const program = new URL('proxy-program.ts', import.meta.url).pathname
const kills = 30
/** So many at least, where a start takes long: more than a hundred seconds of them are not needed. */
const killsMin = 10
const killingMs = 100_000
/** Whoever has no answer for so long gets none. */
const patienceMs = 60_000
const uris = 60
const scratch: string[] = []

afterEach(() => {
  for (const folder of scratch.splice(0)) rmSync(folder, { recursive: true, force: true })
})

const newFolder = (name: string): string => {
  const folder = mkdtempSync(join(tmpdir(), `glassquid-${name}-`))
  scratch.push(folder)
  return folder
}

interface Answer {
  readonly status: number
  readonly version: number
  readonly content: Buffer
  readonly hit: boolean
}

/** Null: it was cut off, as by a kill. `hung`: neither that nor an answer has come. */
const ask = (port: number, uri: string, fields: http.OutgoingHttpHeaders, hung: () => void): Promise<Answer | null> =>
  new Promise(resolve => {
    const asked = http.get({ port, path: uri, agent: false, headers: fields }, response => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', () => resolve(null))
      response.on('close', () => {
        if (!response.complete) resolve(null)
        else {
          resolve({
            status: response.statusCode ?? 0,
            version: Number(response.headers['x-version']),
            content: Buffer.concat(pieces),
            hit: String(response.headers['cache-status']).includes('; hit'),
          })
        }
      })
    })
    asked.on('error', () => resolve(null))
    asked.setTimeout(patienceMs, () => {
      hung()
      asked.destroy()
    })
  })

test(`up to ${kills} kills of a proxy at work`, { timeout: 180_000 }, async () => {
  let version = 0
  const sent = new Map<string, number>()
  const origin = await httpOrigin((request, response) => {
    const n = Number(request.url?.slice(1))
    const content = contentFor(n, ++version)
    sent.set(`${n} ${version}`, content.length)
    response.setHeader('Cache-Control', 'max-age=1000')
    response.setHeader('X-Version', version)
    if (version % 2 === 0) response.setHeader('Content-Length', content.length)
    response.end(content)
  })
  const wrong: string[] = []
  const check = (n: number, answer: Answer | null): void => {
    if (answer?.status !== 200) return
    if (!sent.has(`${n} ${answer.version}`)) wrong.push(`${n}: version ${answer.version} was never sent`)
    else if (!answer.content.equals(contentFor(n, answer.version))) wrong.push(`${n}: other bytes in version ${answer.version}`)
  }
  const folder = newFolder('proxy')
  const env = { ...process.env, NODE_COMPILE_CACHE: newFolder('compiled') }
  expect(spawnSync(process.execPath, [program], { env, timeout: patienceMs }).status).toBe(0)
  const enough = systemClock.mono() + killingMs
  let hits = 0
  let killed = 0
  try {
    for (let i = 0; i < kills && (i < killsMin || systemClock.mono() < enough); i++) {
      const child = spawn(process.execPath, [program, folder], { stdio: ['ignore', 'pipe', 'inherit'], env })
      const closed = once(child, 'close')
      const port = await Promise.race([once(child.stdout, 'data'), closed]).then(([said]) => Number(String(said)))
      expect(child.exitCode, 'it has ended before it was ready').toBe(null)
      let alive = true
      const hung = (n: number): void => {
        if (!alive) return // somebody else has the port by now
        wrong.push(`${n}: no answer for ${patienceMs / 1000} seconds`)
        child.kill('SIGKILL')
      }
      let answers = 0
      const last = 3 + ((i * 7919) % 80)
      const client = async (seed: number): Promise<void> => {
        for (let k = seed; alive; k = (k * 31 + 7) % 10_007) {
          const n = k % uris
          // now and then the stored one is not wanted, so that there is something to write
          const answer = await ask(port, `http://127.0.0.1:${origin.port}/${n}`, k % 4 === 0 ? { 'Cache-Control': 'no-cache' } : {}, () => hung(n))
          check(n, answer)
          if (answer?.hit === true) hits++
          if (++answers === last) child.kill('SIGKILL')
        }
      }
      const clients = [1, 2, 3, 4, 5, 6].map(seed => client(seed * 97 + i))
      await closed
      alive = false
      await Promise.all(clients)
      expect(child.signalCode).toBe('SIGKILL')
      expect(wrong).toEqual([])
      killed++
    }
  } finally {
    await origin.close()
  }
  expect(killed).toBeGreaterThanOrEqual(killsMin)
  expect(hits).toBeGreaterThan(killed)
})
