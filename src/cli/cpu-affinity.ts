import { spawnSync } from 'node:child_process'
import type { Config } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'

/** What sets it, and how it went: '' or why not. All threads of the process, those of the pool too. */
export type SetAffinity = (pid: number, core: number) => string

const withTaskset: SetAffinity = (pid, core) => {
  const { error, status, stderr } = spawnSync('taskset', ['-acp', String(core), String(pid)], { encoding: 'utf8', timeout: 5000 })
  if (error !== undefined) return `taskset cannot be started (${error.message})`
  return status === 0 ? '' : stderr.trim().split('\n').at(-1) || `taskset ended with ${status}`
}

/** cpu_affinity_map: this process, the `number`th, stays on its core. Once, when it starts. */
export const stayOnCore = (config: Config, number: number, log: DebugLog, set: SetAffinity = withTaskset): void => {
  const place = config.cpu_affinity_map.findLast(one => one.process === number)
  if (place === undefined) return
  const failure = set(process.pid, place.core - 1) // they are counted from 1
  if (failure === '') log.write('main', 1, `process ${number} runs on core ${place.core}`)
  else log.warning('main', `cpu_affinity_map: process ${number} is not bound to core ${place.core}: ${failure}`)
}
