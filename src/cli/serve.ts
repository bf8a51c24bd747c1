import type { FdEntry } from '../../comm/index.ts'
import { armRegexGuard } from '../acl/index.ts'
import { endpointText, systemClock } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import { createDebugLog, type DebugLog, type DebugLogConf } from '../log/index.ts'
import type { Common } from './command/command.ts'
import { assemble, type Machine } from './assemble.ts'
import { openControl, registerDeeds } from './control.ts'
import { ListenFailed } from './listening.ts'
import { type LoadedConf, loadConf, tellOnStderr } from './load-conf.ts'
import { claimPidFile } from './pid-file.ts'
import { withPortAddresses } from './port-hosts.ts'
import { listenToSignals } from './signals.ts'
import { CacheDirRefused } from './stores.ts'
import { version } from './version.ts'

// The daemon from its first word to its last: conf, pid file, log, machine, `ready`, signals, stop.

/** Answers the exit code: 0 after a stop that was asked for, 1 when it could not start. */
export const serve = async (common: Common): Promise<number> => {
  const loaded = loadConf(common, tellOnStderr)
  if (loaded === null) return 1
  const claim = claimPidFile(loaded.config.pid_filename)
  if (!claim.ok) {
    process.stderr.write(`FATAL: ${claim.reason}\n`)
    return 1
  }
  const log = createDebugLog({
    ...logConf(loaded.config),
    clock: systemClock,
    kid: '',
    echoLevel: common.debugLevel ?? -1,
    echo: line => process.stderr.write(line),
  })
  try {
    return await run(common, loaded, log)
  } catch (error) {
    if (!(error instanceof ListenFailed || error instanceof CacheDirRefused)) throw error
    process.stderr.write(`FATAL: ${error.message}\n`)
    log.write('main', 0, `FATAL: ${error.message}`)
    return 1
  } finally {
    await log.close()
    claim.file.release()
  }
}

const run = async (common: Common, loaded: LoadedConf, log: DebugLog): Promise<number> => {
  let giveUp = (message: string): void => void (gaveUp = message)
  let gaveUp: string | null = null
  const fatal = (message: string): void => giveUp(message)
  const machine = assemble({ ...loaded, config: await withPortAddresses(loaded.config) }, { clock: systemClock, log, fatal })
  outliveBugs(log)
  log.write('main', 1, `Starting glassquid ${version} (Node ${process.versions.node}), process ${process.pid}, conf ${common.confFile}`)
  if (!armRegexGuard().armed) log.warning('acl', 'this Node has no linear-time regular expressions: patterns are matched step by step, which is slower')
  for (const switchWithoutEffect of common.ignored) log.write('main', 1, `${switchWithoutEffect} has no effect here`)
  const control = await openControl(loaded.config, machine.manager, log)
  return await new Promise<number>(resolve => {
    let { config } = loaded
    /** One after the other, however fast they are asked for. */
    let reloads: Promise<void> = Promise.resolve()
    const stop = (graceMs: number, why: string) => {
      log.write('main', 1, `${why}: open transactions have ${Math.round(graceMs / 1000)} seconds`)
      void machine.stop(graceMs).then(() => control?.close()).then(() => {
        log.write('main', 1, `glassquid ${version} ends`)
        stopListening()
        resolve(gaveUp === null ? 0 : 1)
      })
    }
    const reconfigure = (): Promise<boolean> => {
      const done = reloads.then(async () => {
        const next = await reload(common, machine, log)
        config = next ?? config
        return next !== null
      })
      reloads = done.then(() => {})
      return done
    }
    const rotate = () => {
      log.rotate()
      machine.rotate()
      log.write('main', 1, 'logs rotated')
    }
    const stopListening = listenToSignals({
      reconfigure: () => void reconfigure(),
      rotate,
      debug: () => toggleDebug(config, log, machine),
      shutdown: () => stop(config.shutdown_lifetime, 'Preparing for shutdown'),
      interrupt: () => stop(0, 'Stopping at once'),
    })
    giveUp = message => {
      gaveUp = message
      process.stderr.write(`FATAL: ${message}\n`)
      log.write('main', 0, `FATAL: ${message}`)
      stop(config.shutdown_lifetime, 'Stopping')
    }
    if (gaveUp !== null) giveUp(gaveUp)
    // as a signal: who asks twice has waited long enough
    registerDeeds(machine.manager, { reconfigure, rotate, shutdown: () => process.kill(process.pid, 'SIGTERM') })
    say(machine, log) // whoever waits for the word may signal at once
  })
}

/** One line with all that listens; scripts wait for the word. */
const say = (machine: Machine, log: DebugLog): void => {
  if (machine.comm.engineNote !== '') {
    process.stderr.write(`Note: running on Node's own sockets: ${machine.comm.engineNote}\n`)
    log.warning('comm', `running on Node's own sockets: ${machine.comm.engineNote}`)
  }
  const ports = machine.ports.map(port => `${port.mode} ${endpointText(port.endpoint)}${port.name === '' ? '' : ` (${port.name})`}`)
  const line = `ready: ${ports.join(', ')}; ${machine.comm.engine} engine, process ${process.pid}`
  process.stdout.write(`${line}\n`)
  log.write('main', 1, line)
}

/** The new conf, or null: then everything is as before, and the log says why. */
const reload = async (common: Common, machine: Machine, log: DebugLog): Promise<Config | null> => {
  log.write('conf', 1, `Reconfiguring from ${common.confFile}`)
  const loaded = loadConf(common, text => log.write('conf', 1, text.replaceAll('\n', ' |')))
  if (loaded === null) {
    log.error('conf', 'the new conf was refused: the former one stays in force')
    return null
  }
  try {
    machine.reload({ ...loaded, config: await withPortAddresses(loaded.config) })
  } catch (error) {
    if (!(error instanceof ListenFailed)) throw error
    log.error('conf', `${error.message}; the former conf stays in force`)
    return null
  }
  log.configure(logConf(loaded.config))
  log.write('conf', 1, 'Reconfigured')
  return loaded.config
}

const logConf = (config: Config): DebugLogConf => ({
  path: config.cache_log,
  levels: config.debug_options.levels,
  keep: config.debug_options.rotate ?? config.logfile_rotate,
})

let debugging = false

/** SIGUSR2: everything, and back. What is open at that moment is written down. */
const toggleDebug = (config: Config, log: DebugLog, machine: Machine): void => {
  debugging = !debugging
  log.configure({ ...logConf(config), levels: debugging ? [{ section: 'ALL', level: 9 }] : config.debug_options.levels })
  log.write('main', 1, `full debugging ${debugging ? 'on' : 'off'}`)
  if (!debugging) return
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
const outliveBugs = (log: DebugLog): void => {
  const survive = (error: unknown) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log.limited(text.slice(0, 200), 'main', 0, `ERROR: a fault of ours: ${text.replaceAll('\n', ' | ')}`)
  }
  process.on('uncaughtException', survive)
  process.on('unhandledRejection', survive)
}
