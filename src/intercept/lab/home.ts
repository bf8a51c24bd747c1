import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The folder with bin and conf: above the sources, or above what was compiled from them. */
export const home = (): string => {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'bin/glassquid'))) return folder
  }
  throw new Error('bin/glassquid is not where it should be')
}

/** A program of the lab's beside this file, as source or compiled. */
export const labProgram = (name: string): string => join(import.meta.dirname, `${name}${import.meta.filename.slice(-3)}`)
