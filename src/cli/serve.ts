import type { DebugLog } from '../log/index.ts'
import type { Common } from './command/command.ts'
import { AdminDoor } from './admin-door.ts'
import { confDifference } from './conf-diff.ts'
import { answerFrom, openControl, registerDeeds } from './control.ts'
import { ListenFailed } from './listening.ts'
import { type LoadedConf, loadConf, tellOnStderr } from './load-conf.ts'
import { claimPidFile } from './pid-file.ts'
import { adopt, openLog, portsText, startMachine, toggleDebug } from './running.ts'
import { listenToSignals } from './signals.ts'
import { CacheDirRefused } from './stores.ts'
import { version } from './version.ts'

// The daemon from its first word to its last: conf, pid file, log, machine, `ready`, signals, stop. With `workers` this
// process serves nobody: it becomes their supervisor.

/** Answers the exit code: 0 after a stop that was asked for, 1 when it could not start. */
export const serve = async (common: Common): Promise<number> => {
  const loaded = loadConf(common, tellOnStderr)
  if (loaded === null) return 1
  const claim = claimPidFile(loaded.config.pid_filename)
  if (!claim.ok) {
    process.stderr.write(`FATAL: ${claim.reason}\n`)
    return 1
  }
  const log = openLog(loaded.config, common, '')
  try {
    if (loaded.config.workers > 1) return await (await import('./workers/supervisor.ts')).supervise(common, loaded, log)
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
  const machine = await startMachine(common, loaded, log, null, message => giveUp(message))
  const control = await openControl(loaded.config, answerFrom(machine.manager), log)
  const door = new AdminDoor(answerFrom(machine.manager), log)
  await door.use(loaded.config)
  return await new Promise<number>(resolve => {
    let { config } = loaded
    /** One after the other, however fast they are asked for. */
    let reloads: Promise<void> = Promise.resolve()
    const stop = (graceMs: number, why: string) => {
      log.write('main', 1, `${why}: open transactions have ${Math.round(graceMs / 1000)} seconds`)
      void machine.stop(graceMs).then(() => Promise.all([control?.close(), door.close()])).then(() => {
        log.write('main', 1, `glassquid ${version} ends`)
        stopListening()
        resolve(gaveUp === null ? 0 : 1)
      })
    }
    const reconfigure = (): Promise<boolean> => {
      const done = reloads.then(async () => {
        log.write('conf', 1, `Reconfiguring from ${common.confFile}`)
        const next = loadConf(common, text => log.write('conf', 1, text.replaceAll('\n', ' |')))
        const refused = next === null ? 'the new conf was refused' : await adopt(machine, next, log)
        if (next === null || refused !== null) {
          log.error('conf', `${refused ?? ''}: the former one stays in force`)
          return false
        }
        for (const line of confDifference(config, next.config)) log.write('conf', 1, `Reconfiguring: ${line}`)
        config = next.config
        await door.use(config)
        log.write('conf', 1, 'Reconfigured')
        return true
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
    say(`ready: ${portsText(machine)}; ${machine.comm.engine} engine, process ${process.pid}`, log) // whoever waits for the word may signal at once
  })
}

/** One line with all that listens; scripts wait for the word. */
const say = (line: string, log: DebugLog): void => {
  process.stdout.write(`${line}\n`)
  log.write('main', 1, line)
}
