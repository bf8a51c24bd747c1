// Contract: the clock on the wall is set by hours and days, forward and back, under a running gateway: no connection is lost,
// no answer has a negative age, no duration in the log is negative or hours long, cache.log says each time what happened,
// and nothing breaks. (What it means for what is stored: test/scenario/clock.test.ts.)
//
// The clock is another one for the proxy alone: by libfaketime where that is installed (apt install faketime, or
// LIBFAKETIME=FILE), and by a preload that gives JavaScript another Date everywhere.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { curl, factsLog, Gateway, squidLikeConf, tproxyPort } from '../support/gateway.ts'
import { type Network, noLabWith, withLab } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'curl')
const otherClock = new URL('../support/programs/other-clock.cjs', import.meta.url).pathname

const faketime = (): string | null => {
  const given = process.env['LIBFAKETIME']
  const found = existsSync('/usr/lib') ? readdirSync('/usr/lib').map(name => `/usr/lib/${name}/faketime/libfaketime.so.1`) : []
  return [...(given === undefined ? [] : [given]), ...found].find(path => existsSync(path)) ?? null
}

interface Way {
  readonly env: (file: string) => Readonly<Record<string, string>>
  readonly say: (hours: number) => string
}

const preload: Way = { env: file => ({ NODE_OPTIONS: `--require ${otherClock}`, WALL_HOURS: file }), say: String }
const library = faketime()
const ways: [string, Way, number][] = [
  ['another Date, and two workers', preload, 2],
  ...(library === null ? [] : [[
    'libfaketime',
    {
      env: file => ({ LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_CACHE_DURATION: '1' }),
      say: hours => `${hours < 0 ? '' : '+'}${hours}h\n`,
    },
    0,
  ] as [string, Way, number]]),
]

const originProgram = `
  require('node:http').createServer((request, response) => {
    const known = request.headers['if-none-match'] === '"a"'
    response.writeHead(known ? 304 : 200, { 'Cache-Control': 'max-age=300', ETag: '"a"' })
    response.end(known ? '' : 'content of ' + request.url)
  }).listen(${tproxyPort}, () => console.log('listening'))`

/** Connections that stay: one request on each at the start, and one more for each line it reads. */
const staying = `
  const http = require('node:http')
  const agents = Array.from({ length: 40 }, () => new http.Agent({ keepAlive: true, maxSockets: 1 }))
  const sockets = new Set()
  const ask = (agent, i) => new Promise(resolve => {
    http.get({ host: 'origin.lab', port: ${tproxyPort}, path: '/' + i % 4, agent }, response => {
      sockets.add(response.socket)
      response.resume().on('end', () => resolve(response.headers.age === undefined || Number(response.headers.age) >= 0))
    }).on('error', () => resolve(false))
  })
  const round = async () => {
    const well = (await Promise.all(agents.map(ask))).filter(Boolean).length
    console.log('well ' + well + ', connections so far ' + sockets.size)
  }
  round()
  require('node:readline').createInterface({ input: process.stdin }).on('line', round)`

describe.skipIf(cannot !== null)(`a clock that is set ${cannot ?? ''}`, () => {
  it.each(ways)('by %s', { timeout: 180_000 }, (_, { env, say }, workers) =>
    withLab(async lab => {
      await lab.origin.spawn(process.execPath, ['-e', originProgram]).heard('listening')
      const file = join(lab.gateway.root, 'run/wall')
      writeFileSync(file, say(0))
      const gateway = await Gateway.open(lab, { conf: `${squidLikeConf}workers ${workers}\n${factsLog}`, env: env('/run/wall') })
      const clients = lab.client.spawn(process.execPath, ['-e', staying])
      await clients.heard(/well 40, connections so far 40\n$/)
      const steps = [-6, 26] // each is noticed within ten seconds
      let before = 0
      for (const [i, hours] of steps.entries()) {
        writeFileSync(file, say(hours))
        const by = Math.abs(hours - before)
        const word = hours < before ? 'set back' : 'went ahead'
        before = hours
        await expect.poll(() => stepsIn(gateway, `${word} by`).length, { timeout: 25_000 }).toBe(Math.max(1, workers))
        expect(spansOf(stepsIn(gateway, `${word} by`).at(-1) ?? '')).toBeCloseTo(by, 1)
        clients.tell('again\n')
        await clients.heard(new RegExp(`(?:well 40, connections so far 40\\n[^]*){${i + 2}}`))
        const got = await curl(lab, `http://origin.lab:${tproxyPort}/1`)
        expect([got.status, got.content]).toEqual([200, 'content of /1'])
        expect(Number(got.fields.get('age') ?? 0)).toBeGreaterThanOrEqual(0)
      }
      const records = await gateway.about('origin.lab', 40 * 3 + 2)
      expect(records).toHaveLength(40 * 3 + 2)
      expect(records.filter(({ status }) => status !== 200)).toEqual([])
      expect(gateway.cacheLog).not.toContain('fault of ours')
      const info = await lab.gateway.run('curl', '-sS', '-x', 'http://127.0.0.1:3128', 'http://127.0.0.1:3128/squid-internal-mgr/info')
      const up = Number(/UP Time:\t([\d.-]+) seconds/.exec(info.stdout)?.[1] ?? Number.NaN)
      expect(up).toBeGreaterThan(0)
      expect(up).toBeLessThan(600)
      expect((await gateway.control('shutdown')).code).toBe(0)
      expect(await gateway.proxy.exited).toBe(0)
      const elapsed = elapsedIn(lab)
      expect(elapsed.length).toBeGreaterThanOrEqual(records.length)
      expect(elapsed.filter(ms => !(ms >= 0 && ms < 60_000))).toEqual([])
    }))
})

const stepsIn = (gateway: Gateway, words: string): string[] => gateway.cacheLog.split('\n').filter(line => line.includes(`the clock`) && line.includes(words))

/** Hours of `by 6 h 0 min 0 s`. */
const spansOf = (line: string): number => {
  const [, hours = Number.NaN, minutes = 0, seconds = 0] = /by (\d+) h (\d+) min (\d+) s/.exec(line)?.map(Number) ?? []
  return hours + minutes / 60 + seconds / 3600
}

/** The second field of Squid's format. */
const elapsedIn = (lab: Network): number[] =>
  readFileSync(join(lab.gateway.root, 'run/glassquid/access.log'), 'latin1').trim().split('\n').map(line => Number(line.split(/ +/)[1]))

