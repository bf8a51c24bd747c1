// V8's threads stand behind the event loop, and the event loop stays where it was.

import { spawnSync } from 'node:child_process'
import os from 'node:os'
import { expect, it } from 'vitest'

it('every thread of the pool is nicer than the loop', () => {
  const module = new URL('../../src/cli/collectors.ts', import.meta.url).href
  const script = `const { clientsBeforeCollectors } = await import(${JSON.stringify(module)})
    const { readdirSync } = await import('node:fs')
    const { getPriority } = await import('node:os')
    const found = clientsBeforeCollectors()
    const nice = readdirSync('/proc/self/task').map(thread => getPriority(Number(thread)))
    console.log(JSON.stringify({ found, nice, own: getPriority() }))`
  const { stdout } = spawnSync(process.execPath, ['--v8-pool-size=3', '--input-type=module', '-e', script], { encoding: 'utf8' })
  const { found, nice, own } = JSON.parse(stdout) as { found: number; nice: number[]; own: number }
  expect(found).toBe(3)
  expect(nice.filter(one => one === 10)).toHaveLength(3)
  expect(own).toBe(os.getPriority())
})
