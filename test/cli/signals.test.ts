// What signals a running proxy understands: seen from outside, in a process that tells which handler was called.

import { spawn } from 'node:child_process'
import { expect, it } from 'vitest'

const module = new URL('../../src/cli/signals.ts', import.meta.url).pathname
const script = `
  import { listenToSignals } from '${module}'
  const said = word => () => console.log(word)
  const stop = listenToSignals({
    reconfigure: said('reconfigure'), rotate: said('rotate'), debug: said('debug'), shutdown: said('shutdown'),
    interrupt: () => { console.log('interrupt'); stop(); clearInterval(alive) },
  })
  const alive = setInterval(() => {}, 1e6)
  console.log('up')`

const heard = async (signals: readonly NodeJS.Signals[]): Promise<string[]> => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const words: string[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    // one signal after the other: equal ones that wait are merged by the kernel
    for (const word of text.trim().split('\n')) {
      words.push(word)
      const next = signals[words.length - 1]
      if (next !== undefined) child.kill(next)
    }
  })
  await new Promise(resolve => child.once('close', resolve))
  return words
}

it('calls each handler by its signal, and the process ends by itself when nobody listens any more', async () => {
  expect(await heard(['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGHUP', 'SIGINT'])).toEqual([
    'up',
    'reconfigure',
    'rotate',
    'debug',
    'reconfigure',
    'interrupt',
  ])
})

it('a second wish to stop is not gentle any more', async () => {
  expect(await heard(['SIGTERM', 'SIGTERM'])).toEqual(['up', 'shutdown', 'interrupt'])
  expect(await heard(['SIGTERM', 'SIGINT'])).toEqual(['up', 'shutdown', 'interrupt'])
})
