// cpu_affinity_map: a process is bound to the core its number names, all its threads; what fails is told, and no more.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { stayOnCore } from '../../src/cli/cpu-affinity.ts'
import { parseConf, systemWorld } from '../../src/conf/index.ts'
import type { DebugLog } from '../../src/log/index.ts'

const confOf = (...lines: readonly string[]) => parseConf({ file: 'x.conf', text: `http_port 3128\nhttp_access deny all\n${lines.join('\n')}\n` }, systemWorld()).draft

const told = (lines: readonly string[], number: number, answer = '') => {
  const calls: (readonly [number, number])[] = []
  const said: string[] = []
  const log = { write: (_s: string, _l: number, text: string) => void said.push(text), warning: (_s: string, text: string) => void said.push(`WARNING: ${text}`) } as unknown as DebugLog
  stayOnCore(confOf(...lines), number, log, (pid, core) => (calls.push([pid, core]), answer))
  return { calls, said }
}

it.each<readonly [readonly string[], number, number | null]>([
  [[], 1, null],
  [['cpu_affinity_map process_numbers=1,2 cores=1,3'], 1, 0],
  [['cpu_affinity_map process_numbers=1,2 cores=1,3'], 2, 2],
  [['cpu_affinity_map process_numbers=1,2 cores=1,3'], 3, null],
  [['cpu_affinity_map process_numbers=1 cores=1', 'cpu_affinity_map process_numbers=1 cores=4'], 1, 3],
])('%j: process %i is bound to CPU %j', (lines, number, core) => {
  expect(told(lines, number).calls).toEqual(core === null ? [] : [[process.pid, core]])
})

it('a core that is not there is told of', () => {
  expect(told(['cpu_affinity_map process_numbers=1 cores=900'], 1, 'no such core').said).toEqual(['WARNING: cpu_affinity_map: process 1 is not bound to core 900: no such core'])
})

const noTaskset = spawnSync('taskset', ['--version']).error === undefined ? null : 'needs taskset: apt-get install util-linux'

it.skipIf(noTaskset !== null)(`binds by taskset ${noTaskset ?? ''}`, async () => {
  const script = `const { stayOnCore } = await import(${JSON.stringify(new URL('../../src/cli/cpu-affinity.ts', import.meta.url).href)})
  const said = []
  const log = { write: (s, l, text) => said.push(text), warning: (s, text) => said.push(text) }
  const { readFileSync } = await import('node:fs')
  const allowed = () => /^Cpus_allowed_list:\\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'latin1'))[1]
  const first = Number.parseInt(allowed())
  for (const core of [first + 1, 5000]) stayOnCore({ cpu_affinity_map: [{ process: 1, core }] }, 1, log)
  console.log(JSON.stringify([allowed() === String(first), said[0] === 'process 1 runs on core ' + (first + 1), said[1]]))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await once(child, 'close')
  expect(JSON.parse(text)).toEqual([true, true, expect.stringMatching(/^cpu_affinity_map: process 1 is not bound to core 5000: /)])
})
