import { closeSync, linkSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { errnoOf } from '../base/index.ts'

// The pid file: one running proxy per file, and how `-k` finds it. A file left behind by a crash or a power cut is
// recognised and replaced; a living stranger that has got the old number since is not taken for us.

export type Claim =
  | { readonly ok: true; readonly file: PidFile }
  /** `running`: somebody else has it; false = it cannot be written. */
  | { readonly ok: false; readonly running: boolean; readonly reason: string }

export interface PidFile {
  /** Removes it, unless it has become somebody else's. Harmless when repeated. */
  release(): void
}

const noFile: PidFile = { release: () => {} }

/** Takes the file for this process. `null` (pid_filename none) needs none. */
export const claimPidFile = (path: string | null): Claim => {
  if (path === null) return { ok: true, file: noFile }
  const own = `${path}.${process.pid}`
  try {
    // linked into place complete: nobody ever reads half a number, and only one of two can win
    rmSync(own, { force: true })
    writeFileSync(own, `${process.pid}\n`, { mode: 0o644, flag: 'wx' }) // through nobody's link, where the folder is everybody's
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (linked(own, path)) return { ok: true, file: claimed(path) }
      const owner = readPid(path)
      if (owner !== null && isRunning(owner, path)) {
        return { ok: false, running: true, reason: `glassquid is already running! Process ID ${owner} (${path})` }
      }
      setAside(path, owner, `${own}.stale`)
    }
    return { ok: false, running: true, reason: `cannot take the pid file ${path}: it keeps coming back` }
  } catch (error) {
    return { ok: false, running: false, reason: `cannot write the pid file ${path}: ${systemWords(error)}` }
  } finally {
    rmSync(own, { force: true })
  }
}

/** The pid of the proxy that runs under this file, or the sentence that says why there is none. */
export const findRunning = (path: string | null): { readonly ok: true; readonly pid: number } | { readonly ok: false; readonly reason: string } => {
  if (path === null) return { ok: false, reason: "there is no pid file ('pid_filename none'): send the signal yourself" }
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch (error) {
    return { ok: false, reason: `failed to open PID file ${path}: ${systemWords(error)}` }
  }
  const pid = pidIn(text)
  if (pid === null) return { ok: false, reason: `the PID file ${path} holds no process ID` }
  if (!isRunning(pid, path)) return { ok: false, reason: `no running copy: ${path} names process ${pid}, which is gone or not ours` }
  return { ok: true, pid }
}

const attemptsMax = 3

const linked = (own: string, path: string): boolean => {
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Moves a stale file away; if it turns out to be a fresh one of another starter, it goes back. */
const setAside = (path: string, stale: number | null, aside: string): void => {
  try {
    renameSync(path, aside)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return // another starter was quicker
    throw error
  }
  if (readPid(aside) !== stale) linked(aside, path)
  rmSync(aside, { force: true })
}

/** Held open for as long as it is ours: who looks sees it, whatever the clock says. */
const claimed = (path: string): PidFile => {
  let fd = openSync(path, 'r')
  return {
    release: () => {
      if (fd < 0) return
      closeSync(fd)
      fd = -1
      try {
        if (readPid(path) === process.pid) unlinkSync(path)
      } catch {
        // gone, or no longer ours to remove (privileges dropped): a stale file is recognised at the next start
      }
    },
  }
}

const readPid = (path: string): number | null => {
  try {
    return pidIn(readFileSync(path, 'latin1'))
  } catch {
    return null
  }
}

const pidIn = (text: string): number | null => {
  const pid = /^\s*(\d{1,10})\s*$/.exec(text)?.[1]
  return pid === undefined || Number(pid) < 2 ? null : Number(pid)
}

/**
 * It lives, it is a glassquid, and holds the file, or was there when it was written. The clock alone would not do: one that
 * is set after the start, as on machines that do not keep time without power, makes every process look younger than its file.
 */
const isRunning = (pid: number, path: string): boolean => {
  if (pid === process.pid) return false // from before a restart that gave us the same number, as containers do
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') return false
  }
  let command: string
  try {
    command = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return true // no /proc here: it lives, and that is all we know
  }
  // a word of its command line is our program; that a stranger lives in a folder of that name says nothing
  return /(?:^|[\0/])(?:cli\/main\.[jt]s|bin\/glassquid|glassquid)(?:\0|$)/.test(command) && (holdsOpen(pid, path) || !startedAfter(pid, path))
}

/** False: it does not, or that cannot be seen. */
const holdsOpen = (pid: number, path: string): boolean => {
  try {
    const { dev, ino } = statSync(path)
    return readdirSync(`/proc/${pid}/fd`).some(fd => isFile(`/proc/${pid}/fd/${fd}`, dev, ino))
  } catch {
    return false
  }
}

const isFile = (path: string, dev: number, ino: number): boolean => {
  try {
    const found = statSync(path)
    return found.dev === dev && found.ino === ino
  } catch {
    return false // closed meanwhile, or nothing a path leads to
  }
}

/** Process start times are told in hundredths of a second since boot. */
const ticksPerSecond = 100
/** Boot time is told in whole seconds, and file times need not be the same clock's. */
const toleranceSeconds = 2

const startedAfter = (pid: number, path: string): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // the second field is a name in parentheses that may contain anything; start time is field 22
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
    const boot = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'latin1'))?.[1])
    const started = boot + ticks / ticksPerSecond
    return started > statSync(path).mtimeMs / 1000 + toleranceSeconds
  } catch {
    return false
  }
}

/** Without the name of the file: it is told already, and may be one that is there for a moment only. */
const systemWords = (error: unknown): string => (error instanceof Error ? error.message.replace(/^[A-Z]+: /, '').replace(/, \w+ '[^']*'.*$/, '') : String(error))
