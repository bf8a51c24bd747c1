import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ms, sleep, systemClock } from '../../src/base/index.ts'

// Two proxies a replay can run against. `dayProxy`: the whole machine in a process of its own, whose clock is moved, so
// that a day of 86,400 seconds passes while its requests are asked, and everybody agrees on the second. `daemon`:
// bin/glassquid as it is, by the real clock; the day then has as many seconds as the replay takes.

export interface ReplayProxy {
  readonly port: number
  readonly pid: number
  readonly daySeconds: number
  /** The wall clock at second 0. */
  readonly epochMs: number
  /** Seconds its clock may differ from `now`. */
  readonly slack: number
  now(): number
  /** How often the clock wants to be moved on the way. */
  steps(requests: number): number
  /** All answers to this part of the trace have come, none is under way. */
  passed(part: number): Promise<void>
  stop(): Promise<void>
}

const confText = (port: number, cacheMib: number, more: string): string => `
http_port 127.0.0.1:${port} name=web
http_access allow all
cache_mem ${cacheMib} MB
maximum_object_size_in_memory 4 MB
refresh_pattern . 0 20% 4320
client_idle_pconn_timeout 2 days
server_idle_pconn_timeout 2 days
access_log none
${more}
`

const day = 86_400
/** Seconds at once. */
const stepSeconds = 10

export const dayProxy = (more = '') => async (cacheMib: number): Promise<ReplayProxy> => {
  const program = new URL('day-program.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--max-semi-space-size=32', '--v8-pool-size=1', program, confText(0, cacheMib, more)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  const [told] = (await Promise.race([once(child, 'message'), ended.then(() => [null])])) as [{ port: number; epochMs: number } | null]
  if (told === null) throw new Error('the proxy ended at once')
  let second = 0
  return {
    port: told.port,
    pid: child.pid ?? 0,
    daySeconds: day,
    epochMs: told.epochMs,
    slack: 0,
    now: () => second,
    steps: () => day / stepSeconds,
    async passed(part) {
      const to = Math.floor((day * part) / stepSeconds) * stepSeconds
      const moved = once(child, 'message')
      child.send({ advanceMs: 1000 * (to - second) })
      await moved
      second = to
    },
    async stop() {
      child.disconnect()
      await ended
    },
  }
}

/** What the replay is expected to do on any machine: the day is as long as that takes. */
const perSecond = 4000

export const daemon = (requests: number, more = '') => async (cacheMib: number): Promise<ReplayProxy> => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-replay-'))
  const conf = join(folder, 'glassquid.conf')
  const port = await freePort()
  writeFileSync(conf, `${confText(port, cacheMib, more)}cache_log ${join(folder, 'cache.log')}\npid_filename none\nvisible_hostname replay\n`)
  const child = spawn(join(import.meta.dirname, '../../bin/glassquid'), ['-f', conf], { stdio: ['ignore', 'inherit', 'inherit'] })
  const ended = once(child, 'exit')
  await answering(port)
  const epochMs = Date.now()
  return {
    port,
    pid: child.pid ?? 0,
    daySeconds: Math.ceil(requests / perSecond),
    epochMs,
    slack: 1, // Date has whole seconds
    now: () => (Date.now() - epochMs) / 1000,
    steps: () => 0,
    passed: async () => {},
    async stop() {
      child.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const freePort = async (): Promise<number> => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

const answering = async (port: number): Promise<void> => {
  for (let tries = 0; tries < 200; tries++) {
    const socket = net.connect(port, '127.0.0.1')
    const connected = await once(socket, 'connect').then(() => true, () => false)
    socket.destroy()
    if (connected) return
    await sleep(systemClock, ms(50))
  }
  throw new Error('the daemon does not listen')
}
