import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { COMM_TPROXY_LCL, CommError, createComm, usualBackend } from '../../comm/index.ts'
import { systemClock } from '../base/index.ts'
import { collectFacts, doctorExitCode, doctorJson, doctorText, examine, forConf, lookHere, type Probe, type RunningCounters } from '../intercept/index.ts'
import type { Common } from './command/command.ts'
import type { DoctorWish } from './command/doctor.ts'
import { askRunning } from './control.ts'
import { portsOf } from '../conf/index.ts'
import { loadConf } from './load-conf.ts'
import { findRunning } from './pid-file.ts'

/** `glassquid doctor`: looks at this machine and changes nothing. 1 when something fatal was found, or the conf is refused. */
export const doctor = async (wish: DoctorWish & Common): Promise<number> => {
  const conf = readableConf(wish)
  if (conf === 'refused') return 1
  const running = conf === null ? null : findRunning(conf.config.pid_filename)
  const found = examine(
    collectFacts({
      look: lookHere,
      platform: process.platform,
      ports: conf === null ? null : portsOf(conf.config).filter(port => !port.introduced),
      pid: running?.ok ? running.pid : null,
      user: conf?.config.cache_effective_user ?? null,
      openFilesMax: conf?.config.max_filedescriptors ?? 0,
      interfaces: wish.interfaces,
      probe: probeHere,
      counters: running?.ok ? await countersOf(wish) : null,
    }),
  )
  const examined = wish.confGiven ? forConf(found, resolve(wish.confFile)) : found
  process.stdout.write(wish.json ? doctorJson(examined) : doctorText(examined, wish.all))
  return doctorExitCode(examined)
}

/** Over its control socket; null when it does not tell. */
const countersOf = async (wish: Common): Promise<RunningCounters | null> => {
  const asked = await askRunning(wish, 'room_counters', new URLSearchParams({ format: 'json' }), 'GET')
  if (!asked.ok) return null
  const list: unknown = JSON.parse(asked.text)
  const value = (name: string): number => {
    const found: unknown = Array.isArray(list) ? list.find(one => one?.name === `http.${name}`)?.value : undefined
    return typeof found === 'number' ? found : 0
  }
  return { connections: value('connections'), directHits: value('directHits'), requests: value('requests'), hostMismatches: value('hostMismatches') }
}

/** Without a conf there is still a machine to look at. */
const readableConf = (wish: Common) => {
  if (!wish.confGiven && !existsSync(wish.confFile)) {
    process.stderr.write(`Note: there is no ${wish.confFile}: only the machine is looked at. Say which conf with -f FILE\n`)
    return null
  }
  return loadConf(wish, text => {
    if (/^(?:FATAL|ERROR)/.test(text)) process.stderr.write(`${text}\n`)
  }) ?? 'refused'
}

const probeHere: Probe = {
  foreignBind: address => listening(address, COMM_TPROXY_LCL),
  natLookup: () => listening('127.0.0.1', 0),
}

/** Opens a listener and closes it. What comm has to say about look-ups comes as its warning. */
const listening = (address: string, flags: number): string => {
  let said = ''
  const comm = createComm({ clock: systemClock, onWarning: text => (said = text) })
  try {
    const endpoint = { family: address.includes(':') ? (6 as const) : (4 as const), address, port: 0 }
    comm.listen({ endpoint, flags, dualStack: false, backlog: 1, natBackend: usualBackend(process.platform), note: 'doctor' }, () => {})
    return flags === 0 ? said : ''
  } catch (error) {
    if (error instanceof CommError) return `${error.code}: ${error.message}`
    throw error
  } finally {
    comm.close()
  }
}
