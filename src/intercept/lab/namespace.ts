import { type ChildProcess, spawn } from 'node:child_process'
import { ms, systemClock } from '../../base/index.ts'
import { Running } from './running.ts'

// One network namespace with its own mounts, held open by a process that waits for its standard input to end. We keep
// the other end of that pipe: when we die, however we die, the pipe closes, the holder ends, and the kernel takes the
// namespace with everything in it away. Nothing is named on the machine, nothing is left to clean.
//
// Everything that runs inside is started through `enter`, which is also the command a person types to look around.

/** What a finished command left behind. `code` is null when it was killed, also by our deadline; `stderr` ends in how. */
export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** 60 seconds unless told. The command is killed then and `code` is null. */
  readonly deadlineMs?: number
}

export interface Namespace {
  readonly name: string
  /** The holder's pid: `nsenter -t PID ...` works while it lives. */
  readonly pid: number
  /** Its file system seen from here: `/proc/PID/root`. Its /run is its own and starts with an empty /run/glassquid. */
  readonly root: string
  /** The command that enters this namespace, without what to run there. */
  readonly enter: readonly string[]
  /** Runs to its end, whatever that is. */
  run(command: string, ...args: readonly string[]): Promise<Ran>
  runWith(options: RunOptions, command: string, ...args: readonly string[]): Promise<Ran>
  /** Like `run`, but throws with the command's own words unless it ends with 0. Answers its standard output. */
  must(command: string, ...args: readonly string[]): Promise<string>
  /** A shell script under `set -e`; throws like `must`. */
  script(text: string): Promise<string>
  /** Something that stays: stopped by `stop()` or with the namespace, at the latest when this process dies. */
  spawn(command: string, args?: readonly string[], options?: Pick<RunOptions, 'env' | 'cwd'>): Running
  close(): Promise<void>
}

/** Against hanging, not against slowness: a machine that does much else takes many times as long as a quiet one. */
const runDeadlineMs = 60_000
const holderDeadlineMs = 30_000

/** Output of one command kept for the caller; more is cut, the command is not stopped. */
const outputBytesMax = 16 * 1024 * 1024

/**
 * Starts `command` (which must end in running `sh -c PREPARE`) and waits until the holder stands. `command` is
 * `unshare ...` for the first namespace and `nsenter ... unshare ...` for those that share its user namespace.
 */
export const holdNamespace = async (
  name: string,
  command: readonly string[],
  prepare: string,
  inUserNamespace: boolean,
): Promise<Namespace> => {
  const [file = '', ...args] = [...command, 'sh', '-c', `set -e\n${prepare}\necho held\nexec cat >/dev/null`]
  const holder = spawn(file, args, { stdio: 'pipe', detached: true })
  const said = await firstWords(holder)
  if (said.trim() !== 'held') throw new Error(`${name}: ${command.join(' ')}: ${said.trim() || 'ended at once'}`)
  const pid = holder.pid ?? 0
  const user = inUserNamespace ? ['-U', '--preserve-credentials'] : []
  return new HeldNamespace(name, pid, ['nsenter', '-t', String(pid), ...user, '-n', '-m'], holder)
}

class HeldNamespace implements Namespace {
  readonly name: string
  readonly pid: number
  readonly root: string
  readonly enter: readonly string[]
  private readonly holder: ChildProcess
  private readonly running = new Set<Running>()

  constructor(name: string, pid: number, enter: readonly string[], holder: ChildProcess) {
    this.name = name
    this.pid = pid
    this.root = `/proc/${pid}/root`
    this.enter = enter
    this.holder = holder
  }

  run(command: string, ...args: readonly string[]): Promise<Ran> {
    return this.runWith({}, command, ...args)
  }

  runWith(options: RunOptions, command: string, ...args: readonly string[]): Promise<Ran> {
    return runToEnd(this.start(command, args, options), options)
  }

  async must(command: string, ...args: readonly string[]): Promise<string> {
    return succeeded(this.name, [command, ...args].join(' '), await this.run(command, ...args))
  }

  async script(text: string): Promise<string> {
    return succeeded(this.name, text, await this.runWith({ input: text }, 'sh', '-e'))
  }

  spawn(command: string, args: readonly string[] = [], options: Pick<RunOptions, 'env' | 'cwd'> = {}): Running {
    const running = new Running(`${this.name}: ${command}`, this.start(command, args, options))
    this.running.add(running)
    void running.exited.then(() => this.running.delete(running))
    return running
  }

  async close(): Promise<void> {
    await Promise.all([...this.running].map(running => running.stop()))
    if (this.holder.exitCode !== null || this.holder.signalCode !== null) return
    const gone = new Promise(resolve => this.holder.once('exit', resolve))
    this.holder.stdin?.end()
    await gone
  }

  private start(command: string, args: readonly string[], options: RunOptions): ChildProcess {
    // setpriv: whatever runs inside dies with us, also when we are killed
    const [file = '', ...before] = [...this.enter, '--', 'setpriv', '--pdeathsig', 'KILL', '--', command]
    return spawn(file, [...before, ...args], {
      stdio: 'pipe',
      // its own session: Ctrl-C on our terminal is ours to deal with, and a stop reaches its children too
      detached: true,
      ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
  }
}

const firstWords = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    let complaint = ''
    const deadline = systemClock.after(ms(holderDeadlineMs), () => {
      child.kill('SIGKILL')
      resolve('did not start in time')
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint += text
    })
    child.stdout?.setEncoding('utf8').once('data', (text: string) => {
      deadline.cancel()
      resolve(text)
    })
    child.once('error', reject)
    child.once('close', () => {
      deadline.cancel()
      resolve(complaint)
    })
  })

const runToEnd = (child: ChildProcess, options: RunOptions): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    let kept = 0
    const keep = (into: Buffer[]) => (chunk: Buffer) => {
      if (kept < outputBytesMax) into.push(chunk)
      kept += chunk.length
    }
    child.stdout?.on('data', keep(stdout))
    child.stderr?.on('data', keep(stderr))
    const { deadlineMs = runDeadlineMs } = options
    let late = ''
    const deadline = systemClock.after(ms(deadlineMs), () => {
      late = `: it had not ended after ${deadlineMs} ms`
      killGroup(child)
    })
    child.once('error', reject)
    child.once('close', (code, signal) => {
      deadline.cancel()
      const how = code === null ? `\nended by ${signal}${late}\n` : ''
      resolve({ code, stdout: Buffer.concat(stdout).toString('latin1'), stderr: Buffer.concat(stderr).toString() + how })
    })
    // a command that ends before it has read everything is not an error of ours
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input ?? '')
  })

const killGroup = (child: ChildProcess): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // it ended by itself just now
  }
}

const succeeded = (where: string, what: string, ran: Ran): string => {
  if (ran.code === 0) return ran.stdout
  const how = ran.code === null ? 'was killed' : `ended with ${ran.code}`
  throw new Error(`${where}: ${what.trim()}\n  ${how}: ${(ran.stderr || ran.stdout).trim()}`)
}
