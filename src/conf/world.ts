import { globSync, readFileSync } from 'node:fs'

/** What reading a conf needs from outside. Tests give their own. */
export interface ConfWorld {
  /** The text of a file. Throws what node:fs throws. */
  readonly readFile: (path: string) => string
  /** Paths that match, in any order. */
  readonly glob: (pattern: string) => readonly string[]
  /** For `${env:NAME}`. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** `${service_name}`, the `-n` of the command line. */
  readonly serviceName?: string
  /** `${process_name}` and `${process_number}`: 0 for the only process, 1 and up for workers. */
  readonly processName?: string
  readonly processNumber?: number
  /** Tests listen on port 0; a conf for people may not. */
  readonly portZero?: boolean
}

/** The file system and this process's environment. */
export const systemWorld = (): ConfWorld => ({
  readFile: path => readFileSync(path, 'utf8'),
  glob: pattern => globSync(pattern),
  env: process.env,
})

/** `(2) No such file`-like words of an error from readFile. */
export const readErrorText = (error: unknown): string =>
  error instanceof Error ? error.message.replace(/, \w+ '.*'$/, '') : String(error)
