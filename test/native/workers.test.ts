import { readdirSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { noAddon } from './present.ts'

// An environment may end at any moment: in a callback, with connections open, with output waiting, with a relay
// running. Its engine goes with it, whole: no descriptor stays, no callback comes later, nothing crashes.

const program = new URL('./worker-program.ts', import.meta.url)

const descriptors = (): number => readdirSync('/proc/self/fd').length

/** Starts a worker with connections in the state `mode` names; resolves when it says that it is in it. */
const start = async (mode: string): Promise<Worker> => {
  const worker = new Worker(program, { workerData: { mode }, execArgv: [] })
  await new Promise<void>((ready, failed) => {
    worker.once('message', () => ready())
    worker.once('error', failed)
    worker.once('exit', code => failed(new Error(`${mode}: ended with ${code} before it was ready`)))
  })
  worker.removeAllListeners()
  return worker
}

const exited = (worker: Worker): Promise<number> => new Promise(done => worker.once('exit', done))

const modes = ['idle', 'busy-callback', 'writing', 'lending', 'relaying', 'connecting', 'closed-engine', 'many-engines'] as const

describe.skipIf(noAddon !== null)(`workers ${noAddon ?? ''}`, () => {
  it.each(modes)('terminated while %s leave nothing behind', async mode => {
    await (await start('idle')).terminate() // what the first worker of a process opens for good is there now
    const before = descriptors()
    for (let i = 0; i < 3; i++) await (await start(mode)).terminate()
    expect(descriptors()).toBe(before)
  })

  it.each(['exit-in-callback', 'throw-in-callback'] as const)('that %s end, and leave nothing behind', async mode => {
    await (await start('idle')).terminate()
    const before = descriptors()
    for (let i = 0; i < 3; i++) {
      const worker = await start(mode)
      worker.on('error', () => {}) // throw-in-callback: its uncaught exception
      const gone = exited(worker)
      worker.postMessage('go')
      expect(await gone).toBe(mode === 'exit-in-callback' ? 7 : 1)
    }
    expect(descriptors()).toBe(before)
  })

  it('each have an engine of their own, at the same time', async () => {
    const before = descriptors()
    const workers = await Promise.all(Array.from({ length: 6 }, (_, i) => start(i % 2 ? 'writing' : 'busy-callback')))
    await Promise.all(workers.map(worker => worker.terminate()))
    expect(descriptors()).toBeLessThanOrEqual(before + 2)
  })

  it('end by themselves when their engine has nothing open', async () => {
    const worker = new Worker(program, { workerData: { mode: 'all-closed' }, execArgv: [] })
    expect(await exited(worker)).toBe(0)
  })
})
