// Ten thousand plug sessions at once (or as many as this machine has descriptors for): none is ended before its idle_timeout,
// none is forgotten after it, and what they leave is nothing. The clock is moved by hand, so every one of them counts.

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import { afterEach, expect, it } from 'vitest'
import { native } from '../../native/index.ts'
import { descriptorLimit, program } from '../support/gateway.ts'
import { stageOf, until } from '../scenario/scene.ts'

/** Two descriptors each, and some for this process. */
const count = Math.min(10_000, Math.floor((descriptorLimit() - 1000) / 2))
const few = count < 5000 ? `SKIPPED: ${descriptorLimit()} descriptors` : native.present ? '' : native.why

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** A child, and what it says. */
const start = (...words: readonly string[]): { child: ChildProcess; lines: Interface } => {
  const child = spawn(process.execPath, [program('held-ends'), ...words], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  if (child.stdout === null) throw new Error('it has no output')
  return { child, lines: createInterface({ input: child.stdout }) }
}

const heard = (lines: Interface, pattern: RegExp): Promise<string> =>
  new Promise(resolve => {
    const look = (line: string): void => {
      if (!pattern.test(line)) return
      lines.off('line', look)
      resolve(line)
    }
    lines.on('line', look)
  })

it.skipIf(few !== '')(`none of ${count} sessions ends before its idle_timeout, and none after it is still there ${few}`, async () => {
  const server = start('serve')
  const port = (await heard(server.lines, /^port/)).slice('port '.length)
  const proxy = await stageOf(`listener 127.0.0.1:0 service=any name=in\nservice any plug router=fixed idle_timeout=100s\nrouter fixed directed 127.0.0.1:${port}\nclient_ip_max_connections -1\n`)
  const clients = start('hold', '127.0.0.1', String(proxy.port('in')), String(count))
  let closed = 0
  clients.lines.on('line', line => {
    if (line.startsWith('closed ')) closed = Number(line.slice('closed '.length))
  })
  await heard(clients.lines, /^held/)
  const passes = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      await new Promise(resolve => setImmediate(resolve))
      proxy.clock.advance(1000)
    }
  }
  await passes(60)
  const half = Math.floor(count / 2)
  clients.child.stdin?.write(`speak ${half}\n`)
  await heard(clients.lines, /^spoken/)

  await passes(39)
  expect([proxy.machine.sessions, proxy.records.length]).toEqual([count, 0])
  await passes(32) // 131 s: who has been silent since the beginning, a quarter late and a second for each time it was looked at
  expect([proxy.machine.sessions, proxy.records.length]).toEqual([half, count - half])
  await until(() => closed === count - half, 'the clients to hear of it')
  await passes(28) // 159 s: a second is left to the others
  expect([proxy.machine.sessions, closed]).toEqual([half, count - half])
  await passes(31)
  expect([proxy.machine.sessions, proxy.records.length]).toEqual([0, count])
  await until(() => closed === count, 'the last to hear of it')
  expect(new Set(proxy.records.map(({ errorDetail }) => errorDetail))).toEqual(new Set(['idle']))
  expect(proxy.machine.comm.fdTable().map(({ kind }) => kind)).toEqual(['listener'])
}, 60_000)
