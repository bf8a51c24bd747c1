// That the works of the bench (npm run bench) have not collapsed. A floor is no goal: it lies several times below what is
// normal, and only an accident gets there (an accidental promise per hit, a copy of everything, a table that is walked).
// Seen in CPU time of the proxy's process against that of an empty `net` server for the same requests, in turns within
// one run: no clock on the wall is looked at, and what else runs on the machine takes its time from both.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cpuSeconds } from '../bench/measure.ts'

interface Subject {
  readonly child: ChildProcess
  readonly port: number
  /** What goes before a path on the request line. */
  readonly prefix: string
}

let canned: Subject
let proxy: Subject

beforeAll(async () => {
  canned = { ...(await started('../bench/canned.ts', '0')), prefix: '' }
  const conf = 'http_port 127.0.0.1:0 name=web\nhttp_access allow all\nclient_idle_pconn_timeout 1 hour\naccess_log none\n'
  proxy = { ...(await started('../bench/proxy-program.ts', conf)), prefix: `http://127.0.0.1:${canned.port}` }
})

afterAll(async () => {
  for (const { child } of [canned, proxy]) {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
})

const started = async (program: string, argument: string): Promise<Omit<Subject, 'prefix'>> => {
  const file = new URL(program, import.meta.url).pathname
  const child = spawn(process.execPath, [file, argument], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return { child, port: Number(/\d+/.exec(line)?.[0]), }
}

interface Work {
  readonly path: (n: number) => string
  readonly bytes: number
  readonly requests: number
  readonly closes: boolean
  readonly hits: boolean
}

let asked = 0
/** Answers of the proxy that were hits, of those in the work at hand. */
let hits = 0

/** CPU microseconds of the subject for each request. */
const cost = async (subject: Subject, work: Work): Promise<number> => {
  const before = cpuSeconds(subject.child.pid ?? 0)
  let left = work.requests
  const text = (): string =>
    `GET ${subject.prefix}${work.path(++asked)} HTTP/1.1\r\nHost: 127.0.0.1:${canned.port}\r\n${work.closes ? 'Connection: close\r\n' : ''}\r\n`
  const loop = async (): Promise<void> => {
    while (left > 0) await conversation(subject.port, work.bytes, () => (left-- > 0 ? text() : null), work.closes)
  }
  await Promise.all(Array.from({ length: 20 }, loop))
  return ((cpuSeconds(subject.child.pid ?? 0) - before) * 1e6) / work.requests
}

/** One connection: a request, its whole answer, the next. */
const conversation = (port: number, bytes: number, next: () => string | null, once: boolean): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    let got = 0
    let headBytes = -1
    const ask = (): void => {
      const text = next()
      if (text === null) socket.end()
      else socket.write(text)
      got = 0
      headBytes = -1
    }
    socket.on('connect', ask)
    socket.on('data', chunk => {
      if (headBytes < 0) {
        headBytes = got + chunk.indexOf('\r\n\r\n') + 4
        const head = chunk.toString('latin1', 0, headBytes)
        if (!head.startsWith('HTTP/1.1 200')) reject(new Error(head))
        if (head.includes('; hit')) hits++
      }
      got += chunk.length
      if (got === headBytes + bytes && !once) ask()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve())
  })

test.each<readonly [string, number, Work]>([
  // normal: 1 to 1.3
  ['a memory hit of 1 KB', 4, { path: () => '/1k', bytes: 1024, requests: 10_000, closes: false, hits: true }],
  ['a memory hit of 100 KB', 4, { path: () => '/100k', bytes: 102_400, requests: 4000, closes: false, hits: true }],
  // normal: 1 to 1.5
  ['a memory hit with a new connection', 5, { path: () => '/1k', bytes: 1024, requests: 2500, closes: true, hits: true }],
  // normal: 3 to 6; two connections, and the response is stored
  ['a miss of 1 KB', 25, { path: n => `/1k?${n}`, bytes: 1024, requests: 3000, closes: false, hits: false }],
])('%s costs no more than %d times what an empty server spends on it', { timeout: 60_000 }, async (_what, timesMax, work) => {
  // compilers have had their turn, and what can be stored is
  for (const subject of [canned, proxy]) await cost(subject, work)
  const ratios: number[] = []
  for (let round = 0; round < 3; round++) {
    const yardstick = await cost(canned, work)
    hits = 0
    ratios.push((await cost(proxy, work)) / yardstick)
    expect(hits).toBe(work.hits ? work.requests : 0)
  }
  console.log(`${_what}: ${ratios.map(ratio => ratio.toFixed(2)).join(' ')} times an empty server's CPU time`)
  // the best of three: a floor asks whether it can, not whether it always does
  expect(Math.min(...ratios)).toBeLessThan(timesMax)
})
