import { resolve } from 'node:path'
import type { HandedIn } from '../../comm/index.ts'
import { refusedAnswer } from '../admin/index.ts'
import { errnoOf, systemClock } from '../base/index.ts'
import type { Config } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'
import type { Common } from './command/command.ts'
import { AdminDoor } from './admin-door.ts'
import { logDifference, warnOfRestart } from './conf-diff.ts'
import { answerFrom, type ControlAnswerer, openControl, registerDeeds } from './control.ts'
import { takeHandedIn } from './handed-in.ts'
import { ListenFailed } from './listening.ts'
import { type LoadedConf, loadConf, readConf, RefusalWords, tellOnStderr } from './load-conf.ts'
import { claimPidFile } from './pid-file.ts'
import { becomeUser, keepCapabilitiesToMyself } from './privileges.ts'
import { adopt, openLog, portsText, startMachine, toggleDebug } from './running.ts'
import { type ServiceManager, takeServiceManager } from './service-manager.ts'
import { listenToSignals } from './signals.ts'
import { CacheDirRefused } from './stores.ts'
import { version } from './version.ts'

// The daemon from its first word to its last: conf, pid file, log, machine, `ready`, signals, stop. With `workers` this
// process serves nobody: it becomes their supervisor.

/** Answers the exit code: 0 after a stop that was asked for, 1 when it could not start. */
export const serve = async (common: Common): Promise<number> => {
  const loaded = loadConf({ ...common, places: true }, tellOnStderr)
  if (loaded === null) return 1
  const { config } = loaded
  const systemd = takeServiceManager(process.env, systemClock)
  const handedIn = takeHandedIn(process.env, process.pid)
  if (!handedIn.ok) return fatal(handedIn.reason)
  const claim = claimPidFile(config.pid_filename)
  // who starts it without rights in /run has not asked for a file there
  const without = !claim.ok && !claim.running && !config.given.has('pid_filename')
  if (!claim.ok && !without) return fatal(claim.reason)
  if (!claim.ok) process.stderr.write(`WARNING: ${claim.reason}: -k will not find this process; name another with pid_filename\n`)
  process.umask(process.umask() | config.umask) // who may signal reads the pid file
  try {
    return await serveAs(common, loaded, systemd, handedIn.sockets)
  } finally {
    if (claim.ok) claim.file.release()
  }
}

/** The pid file and the control socket are made by whoever starts it, all else by whom it becomes. */
const serveAs = async (common: Common, loaded: LoadedConf, systemd: ServiceManager, handedIn: readonly HandedIn[]): Promise<number> => {
  const { config } = loaded
  let answer: ControlAnswerer = async () => refusedAnswer(503, 'it has not started yet')
  const door = await openControl(config, request => answer(request))
  const became = becomeUser(config)
  if (!became.ok) return fatal(became.reason)
  const where = toCoredumpDir(common, config)
  const log = openLog(config, where.common, '')
  for (const remark of [...door.remarks, ...became.remarks, ...where.remarks]) log.write('main', 1, remark)
  for (const remark of became.remarks) if (remark.startsWith('WARNING')) process.stderr.write(`${remark}\n`)
  const use = (by: ControlAnswerer): void => void (answer = by)
  try {
    if (config.workers > 1) return await (await import('./workers/supervisor.ts')).supervise(where.common, loaded, log, use, systemd, handedIn)
    return await run(where.common, loaded, log, use, systemd, handedIn)
  } catch (error) {
    if (!(error instanceof ListenFailed || error instanceof CacheDirRefused)) throw error
    log.write('main', 0, `FATAL: ${error.message}`)
    return fatal(error.message)
  } finally {
    await door.close()
    await log.close()
  }
}

const fatal = (reason: string): number => {
  process.stderr.write(`FATAL: ${reason}\n`)
  return 1
}

/** Where a core would be written; the conf is found from there, too. */
const toCoredumpDir = (common: Common, { coredump_dir: folder }: Config): { readonly common: Common; readonly remarks: readonly string[] } => {
  if (folder === null) return { common, remarks: [] }
  const confFile = resolve(common.confFile)
  try {
    process.chdir(folder)
    return { common: { ...common, confFile }, remarks: [] }
  } catch (error) {
    return { common, remarks: [`WARNING: coredump_dir ${folder}: ${errnoOf(error)}; the working directory stays`] }
  }
}

const run = async (
  common: Common,
  loaded: LoadedConf,
  log: DebugLog,
  use: (by: ControlAnswerer) => void,
  systemd: ServiceManager,
  handedIn: readonly HandedIn[],
): Promise<number> => {
  let giveUp = (message: string): void => void (gaveUp = message)
  let gaveUp: string | null = null
  const machine = await startMachine(common, loaded, log, null, message => giveUp(message), handedIn)
  keepCapabilitiesToMyself()
  use(answerFrom(machine.manager))
  const door = new AdminDoor(answerFrom(machine.manager), log)
  await door.use(loaded.config)
  return await new Promise<number>(ended => {
    let { config } = loaded
    const listens = () => `${portsText(machine)}; ${machine.comm.engine} engine`
    /** One after the other, however fast they are asked for. */
    let reloads: Promise<void> = Promise.resolve()
    const stop = (graceMs: number, why: string) => {
      systemd.stopping()
      log.write('main', 1, `${why}: open transactions have ${Math.round(graceMs / 1000)} seconds`)
      void machine.stop(graceMs).then(() => door.close()).then(() => {
        log.write('main', 1, `glassquid ${version} ends`)
        stopListening()
        ended(gaveUp === null ? 0 : 1)
      })
    }
    const reconfigure = (): Promise<string> => {
      const done = reloads.then(async () => {
        systemd.reloading()
        log.write('conf', 1, `Reconfiguring from ${common.confFile}`)
        const refusals = new RefusalWords()
        const { loaded: next, draft } = readConf({ ...common, places: true }, text => {
          refusals.note(text)
          log.write('conf', 1, text.replaceAll('\n', ' |'))
        })
        const refused = next === null ? 'the new conf was refused' : await adopt(machine, next, log)
        if (next === null || refused !== null) {
          logDifference(log, 'Refused', config, draft)
          log.error('conf', `${refused ?? ''}: the former one stays in force`)
          return refused === null || next === null ? refusals.text : refused
        }
        logDifference(log, 'Reconfiguring', config, next.config)
        warnOfRestart(log, loaded.config, next.config)
        config = next.config
        await door.use(config)
        log.write('conf', 1, 'Reconfigured')
        return ''
      })
      reloads = done.then(() => systemd.ready(listens()))
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
    systemd.ready(listens())
    say(`ready: ${listens()}, process ${process.pid}`, log) // whoever waits for the word may signal at once
  })
}

/** One line with all that listens; scripts wait for the word. */
const say = (line: string, log: DebugLog): void => {
  process.stdout.write(`${line}\n`)
  log.write('main', 1, line)
}
