import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

// The doctor's eyes: files of the kernel and commands that only look. Handed in, so that tests can show it any machine.

export interface Look {
  /** The text without its last newline; null when it cannot be read. */
  file(path: string): string | null
  /** Null when the program is not installed. */
  run(command: string, ...args: readonly string[]): Ran | null
}

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Waiting for xtables' lock is the longest that may happen. */
const commandMsMax = 30_000

export const lookHere: Look = {
  file(path) {
    try {
      return readFileSync(path, 'latin1').trimEnd()
    } catch {
      return null // not there, or not for us: the check says which file it wanted
    }
  },
  run(command, ...args) {
    const ran = spawnSync(command, args, { encoding: 'utf8', timeout: commandMsMax, maxBuffer: 256 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'] })
    if (ran.error !== undefined && 'code' in ran.error && ran.error.code === 'ENOENT') return null
    return { code: ran.status ?? -1, stdout: ran.stdout, stderr: ran.stderr }
  },
}

/** Unknown words are no numbers. */
export const number = (text: string | null): number | null => (text === null || !/^-?\d+$/.test(text.trim()) ? null : Number(text))

/** A list of objects as `ip -j` and others print it; empty when they did not. */
export const jsonList = (ran: Ran | null): readonly Readonly<Record<string, unknown>>[] => {
  if (ran === null || ran.code !== 0) return []
  try {
    const value: unknown = JSON.parse(ran.stdout || '[]')
    return Array.isArray(value) ? value.filter(isRecord) : []
  } catch {
    return [] // `ip` without -j (busybox): said by the check that needs it
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null
