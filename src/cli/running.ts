import type { FdEntry, HandedIn } from '../../comm/index.ts'
import { armRegexGuard } from '../acl/index.ts'
import { endpointText, systemClock } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import { createDebugLog, type DebugLog, type DebugLogConf } from '../log/index.ts'
import type { Common } from './command/command.ts'
import { assemble, type Machine, type MachineOptions } from './assemble.ts'
import { clientsBeforeCollectors } from './collectors.ts'
import { stayOnCore } from './cpu-affinity.ts'
import { ListenFailed } from './listening.ts'
import type { LoadedConf } from './load-conf.ts'
import { withPortAddresses } from './port-hosts.ts'
import { version } from './version.ts'

// A machine with its log, in a process that lives: what the only process and one of several workers have in common.

export const openLog = (config: Config, { debugLevel, debugAll }: Common, kid: string): DebugLog => {
  debugging = debugAll
  return createDebugLog({
    ...logConf(config),
    clock: systemClock,
    kid,
    echoLevel: debugLevel ?? -1,
    echo: line => process.stderr.write(line),
  })
}

/** Throws what `assemble` throws. */
export const startMachine = async (
  common: Common,
  loaded: LoadedConf,
  log: DebugLog,
  worker: NonNullable<MachineOptions['worker']> | null,
  fatal: (message: string) => void,
  handedIn: readonly HandedIn[],
): Promise<Machine> => {
  const config = await withPortAddresses(loaded.config)
  const machine = assemble({ ...loaded, config }, { clock: systemClock, log, fatal, handedIn, ...(worker === null ? {} : { worker }) })
  outliveBugs(log)
  clientsBeforeCollectors()
  stayOnCore(config, worker?.number ?? 1, log)
  log.write('main', 1, `Starting glassquid ${version} (Node ${process.versions.node}), process ${process.pid}, conf ${common.confFile}`)
  if (!armRegexGuard().armed) log.warning('acl', 'this Node has no linear-time regular expressions: patterns are matched step by step, which is slower')
  for (const switchWithoutEffect of common.ignored) log.write('main', 1, `${switchWithoutEffect} has no effect here`)
  if (machine.comm.engineNote !== '') {
    if (worker === null || worker.number === 1) process.stderr.write(`Note: running on Node's own sockets: ${machine.comm.engineNote}\n`)
    log.warning('comm', `running on Node's own sockets: ${machine.comm.engineNote}`)
  }
  return machine
}

/** All that listens. */
export const portsText = (machine: Machine): string =>
  machine.ports.map(port => `${port.mode} ${endpointText(port.endpoint)}${port.name === '' ? '' : ` (${port.name})`}`).join(', ')

/** The new conf from here on, or why not: then everything is as before. */
export const adopt = async (machine: Machine, loaded: LoadedConf, log: DebugLog): Promise<string | null> => {
  try {
    machine.reload({ ...loaded, config: await withPortAddresses(loaded.config) })
  } catch (error) {
    if (!(error instanceof ListenFailed)) throw error
    return error.message
  }
  configureLog(log, loaded.config)
  return null
}

/** cache_log, debug_options and logfile_rotate of a new conf. */
export const configureLog = (log: DebugLog, config: Config): void => log.configure(logConf(config))

const logConf = (config: Config): DebugLogConf => ({
  path: config.cache_log,
  levels: debugging ? everything : config.debug_options.levels,
  keep: config.debug_options.rotate ?? config.logfile_rotate,
})

/** -X, or SIGUSR2: whatever debug_options says, also after a reload. */
let debugging = false
const everything: DebugLogConf['levels'] = [{ section: 'ALL', level: 9 }]

/** SIGUSR2: everything, and back. What is open at that moment is written down. */
export const toggleDebug = (config: Config, log: DebugLog, machine: Machine | null): void => {
  debugging = !debugging
  log.configure(logConf(config))
  log.write('main', 1, `full debugging ${debugging ? 'on' : 'off'}`)
  if (!debugging || machine === null) return
  const table = machine.comm.fdTable()
  for (const entry of table.slice(0, fdLinesMax)) log.write('descriptors', 1, fdLine(entry))
  log.write('descriptors', 1, `${table.length} descriptors of ${machine.comm.budget.fdMax}`)
}

/** A log is for reading. */
const fdLinesMax = 1000

const fdLine = (entry: FdEntry): string => {
  const ends = [entry.local, entry.peer].map(end => (end === null ? '-' : endpointText(end))).join(' ')
  const seconds = (n: number) => Math.round(n / 1000)
  return `fd ${entry.fd} ${entry.kind} ${ends} in ${entry.bytesRead} out ${entry.bytesWritten} age ${seconds(entry.ageMs)} s deadline ${seconds(entry.deadlineMs)} s ${entry.note}`
}

/**
 * A fault of ours in one place must not cut thousands of people off: it is written down, and the rest goes on. comm
 * closes the connection whose callback threw; what arrives here has no connection any more.
 */
export const outliveBugs = (log: DebugLog): void => {
  const survive = (error: unknown) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log.limited(text.slice(0, 200), 'main', 0, `ERROR: a fault of ours: ${text.replaceAll('\n', ' | ')}`)
  }
  process.on('uncaughtException', survive)
  process.on('unhandledRejection', survive)
}
